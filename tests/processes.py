"""Processes that tests start: workers of a cluster on loopback, or one alone."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).parents[1]
LIMIT = 300  # seconds; what takes longer hangs


def free_addresses(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [f"localhost:{one.getsockname()[1]}" for one in sockets]


def run(module, folder, *tasks, addresses=()):
    """One process for each task, the workers of a cluster if there are addresses: their statuses, and what they said.

    None of them outlives this, nor the tests.
    """
    end, processes, said = time.monotonic() + LIMIT, [], []
    with contextlib.ExitStack() as stack:
        for index, task in enumerate(tasks):
            environment = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
            if addresses:
                cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
                environment["TF_CONFIG"] = json.dumps(cluster)
            said.append(stack.enter_context(tempfile.TemporaryFile("w+")))
            process = subprocess.Popen(
                [sys.executable, "-m", module, json.dumps({"folder": str(folder), **task})],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,  # its end is the worker's
                stdout=said[-1],
                stderr=subprocess.STDOUT,
            )
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(end - time.monotonic(), 0))
        statuses = [process.poll() for process in processes]
        for file in said:
            file.seek(0)
        return statuses, [file.read() for file in said]


def begin(main):
    """In a process that `run` starts: calls `main` with its task."""
    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    return main(**json.loads(sys.argv[1]))


def _end_with_the_tests():
    """When the tests are no more, however they ended, this process goes, too."""
    sys.stdin.read()
    os._exit(1)

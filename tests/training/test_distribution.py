"""Two workers on loopback train as one process does, and what ends one of them costs no epoch."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest

from kvision.training.states import States, epochs

ROOT = pathlib.Path(__file__).parents[2]
LIMIT = 300  # seconds; what takes longer hangs


def free_addresses(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [f"localhost:{one.getsockname()[1]}" for one in sockets]


def run(folder, *tasks, addresses=()):
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
                [sys.executable, "-m", "tests.training.worker", json.dumps({"folder": str(folder), **task})],
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


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What two workers left in `two`, and one process, with two devices or one, in `one`."""
    folder = tmp_path_factory.mktemp("runs")
    task = {"cases": [("local", {}), ("synchronized", {"synchronized": True, "augment": False}), ("apart", {})]}
    statuses, said = run(folder / "two", task, task, addresses=free_addresses(2))
    assert statuses == [0, 0], "\n".join(said)
    cases = [("local", {}), ("whole", {"augment": False})]
    cases += [(name, {"network": "capsules", "augment": False}) for name in ("capsules", "whole capsules")]
    statuses, said = run(folder / "one", {"devices": 2, "cases": cases})
    assert statuses == [0], said
    return folder


def largest_difference(one, other):
    with np.load(one) as ours, np.load(other) as theirs:
        assert ours.files == theirs.files
        return max(float(np.abs(ours[name] - theirs[name]).max()) for name in ours.files)


SAME = {  # of two replicas or one, what the others are compared with
    "per-worker statistics, augmented: two workers, and one process with two devices": ("two/local", "one/local"),
    "synchronized statistics: two workers, and one process with the whole batch": ("two/synchronized", "one/whole"),
    "losses of heads: two devices, and the whole batch on one": ("one/capsules", "one/whole capsules"),
}


@pytest.mark.parametrize("pair", SAME)
def test_replicas_train_as_one_process_does(runs, pair):
    """Gradients are means over the global batch; the decay, the rate and the momentum do not know of replicas."""
    ours, theirs = (runs / name for name in SAME[pair])
    difference = largest_difference(ours / "weights-0.npz", theirs / "weights-0.npz")
    print(f"{pair}: largest difference of a weight {difference:.2g}")
    assert difference < 1e-5
    ours, theirs = (json.loads((name / "history-0.json").read_text()) for name in (ours, theirs))
    assert ours.keys() == theirs.keys() == {"loss", "accuracy", "val_loss", "val_accuracy"}
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], rtol=1e-5, atol=1e-5)


def test_statistics_of_replicas_are_others_than_those_of_the_batch(runs):
    assert largest_difference(runs / "two/local/weights-0.npz", runs / "one/whole/weights-0.npz") > 0.01


@pytest.mark.parametrize("name", ["local", "synchronized"])
def test_workers_end_alike(runs, name):
    weights, histories = ([runs / "two" / name / f"{kind}-{i}" for i in (0, 1)] for kind in ("weights", "history"))
    assert largest_difference(*(path.with_suffix(".npz") for path in weights)) == 0
    chief, other = (path.with_suffix(".json").read_text() for path in histories)
    assert chief == other


def test_workers_that_find_different_states_refuse(runs):
    for worker in (0, 1):
        error = (runs / "two" / "apart" / f"error-{worker}").read_text()
        assert "differ from worker to worker: [2, 0]" in error and "storage that all of them share" in error


def test_lost_workers_cost_no_epoch(runs, tmp_path):
    """Worker 1 is killed in epoch 2, the chief terminated in epoch 3; then they end as if nothing had happened."""
    for index, epoch, name, status in ((1, 1, "SIGKILL", -9), (0, 2, "SIGTERM", -15)):
        addresses = free_addresses(2)
        tasks = [{"cases": [("local", {"end": (epoch, name)} if worker == index else {})]} for worker in (0, 1)]
        statuses, said = run(tmp_path, *tasks, addresses=addresses)
        assert statuses[index] == status and statuses[1 - index] == 1, "\n".join(said)
        assert f"worker {index} of 2 ({addresses[index]}) was lost" in said[1 - index]
        assert "Start all workers again" in said[1 - index]
        assert epochs(States(tmp_path / "local" / "state").newest()) == epoch
    task = {"cases": [("local", {})]}
    statuses, said = run(tmp_path, task, task, addresses=free_addresses(2))
    assert statuses == [0, 0], "\n".join(said)
    for name in ("weights-0", "weights-1"):
        assert largest_difference(tmp_path / "local" / f"{name}.npz", runs / "two" / "local" / f"{name}.npz") == 0
    for name in ("history-0.json", "history-1.json"):
        assert (tmp_path / "local" / name).read_text() == (runs / "two" / "local" / name).read_text()

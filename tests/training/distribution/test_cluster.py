"""Who the workers are, by TF_CONFIG; and how Kubernetes and Slurm set it, in the words of the docstring."""

import json
import os
import re
import subprocess
import textwrap

import pytest

from kvision.training.distribution import cluster
from kvision.training.distribution.cluster import Cluster, is_chief

PAIR = {"worker": ["a:1", "b:2"]}


def config(jobs, job="worker", index=0):
    return json.dumps({"cluster": jobs, "task": {"type": job, "index": index}})


@pytest.mark.parametrize(
    "text, addresses, index",
    [
        (None, (), 0),
        ("", (), 0),
        ("{}", (), 0),
        (config(PAIR), ("a:1", "b:2"), 0),
        (config(PAIR, index=1), ("a:1", "b:2"), 1),
        (config({"worker": ["b:2"], "chief": ["a:1"]}), ("a:1", "b:2"), 1),
        (config({"worker": ["b:2"], "chief": ["a:1"]}, "chief"), ("a:1", "b:2"), 0),
    ],
)
def test_the_cluster(monkeypatch, text, addresses, index):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    found = Cluster.from_environment()
    assert (found.addresses, found.index, is_chief()) == (addresses, index, index == 0)


@pytest.mark.parametrize(
    "text",
    [
        "worker",
        "[]",
        config(PAIR, index=2),
        config(PAIR, "evaluator"),
        config({**PAIR, "ps": ["c:3"]}),
        config({**PAIR, "chief": ["c:3", "d:4"]}),
        config({"worker": ["a:1", "a:1"]}),
        config({"worker": ["a", "b"]}),
        json.dumps({"cluster": PAIR}),
    ],
)
def test_errors_show_what_was_received(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=f"TF_CONFIG is JSON such as .* Received: {re.escape(text)}"):
        Cluster.from_environment()


@pytest.mark.parametrize(
    "message, index",
    [
        ("aborted by: Error reported from /job:worker/task:2: ... unhealthy:\n/job:worker/replica:0/task:2", 3),
        ("Socket closed ... from remote target /job:chief/replica:0/task:0 while calling RecvBuf", 0),
        ("from remote target /job:worker/replica:0/task:1: aborted by ... target /job:worker/replica:0/task:2", 3),
        ("{{node CollectiveReduceV2_device_/job:worker/replica:0/task:0/device:CPU:0}} Deadline Exceeded", 0),
    ],
)
def test_the_lost_worker(message, index):
    """The last other one that the message names; without any the chief, with whom all are in touch."""
    tasks = (("chief", 0), ("worker", 0), ("worker", 1), ("worker", 2))
    assert Cluster(tasks, ("a:1", "b:2", "c:3", "d:4"), 1).lost(message) == index


PROGRAMS = {  # stand-ins that say what they were started with
    "kvision": 'echo "$TF_CONFIG"',
    "scontrol": 'test "$*" = "show hostnames n[1-2]" && printf "n1\nn2\n"',
    "srun": 'while [[ $1 == --* ]]; do shift; done; for i in 0 1; do SLURM_PROCID=$i "$@"; done',
}


@pytest.mark.parametrize(
    "block, variables, addresses, indices",
    [
        (2, {"JOB_COMPLETION_INDEX": "3"}, [f"train-{i}.train:2222" for i in range(8)], [3]),
        (3, {"SLURM_JOB_NODELIST": "n[1-2]"}, ["n1:2222", "n2:2222"], [0, 1]),
    ],
    ids=["Kubernetes", "Slurm"],
)
def test_the_shell_lines_of_the_docstring(tmp_path, block, variables, addresses, indices):
    blocks = [textwrap.dedent(block) for block in re.findall(r"(?m)^(?: {4}.*\n)+", cluster.__doc__)]
    (tmp_path / "worker.sh").write_text(blocks[1])
    for name, body in PROGRAMS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    environment = {**variables, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    said = subprocess.run(
        ["bash", "-ec", blocks[block]], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert [json.loads(line) for line in said] == [json.loads(config({"worker": addresses}, index=i)) for i in indices]
    assert json.loads(blocks[0]) == json.loads(cluster.EXAMPLE)

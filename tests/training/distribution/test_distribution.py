"""Two workers on loopback train as one process does, and what ends one of them costs no epoch."""

import json

import numpy as np
import pytest

from kvision.training.callbacks.states import States, epochs
from tests.processes import free_addresses, run

WORKER = "tests.training.distribution.worker"
CASES = [("local", {}), ("synchronized", {"synchronized": True, "augment": False}), ("half", {}), ("apart", {})]


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """What two workers left that ran all cases, and then "lost", in which worker 1 was killed; how that ended."""
    folder, addresses = tmp_path_factory.mktemp("workers"), free_addresses(2)
    tasks = [{"cases": [*CASES, ("lost", arguments)]} for arguments in ({}, {"end": (1, "SIGKILL")})]
    return folder, run(WORKER, folder, *tasks, addresses=addresses), addresses


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    """What one process left, with two devices or, in cases named "whole ...", one."""
    folder = tmp_path_factory.mktemp("process")
    cases = [("local", {}), ("half", {}), ("whole", {"augment": False})]
    cases += [(name, {"network": "capsules", "augment": False}) for name in ("capsules", "whole capsules")]
    statuses, said = run(WORKER, folder, {"devices": 2, "cases": cases})
    assert statuses == [0], said
    return folder


def largest_difference(one, other):
    with np.load(one / "weights.npz") as ours, np.load(other / "weights.npz") as theirs:
        assert ours.files == theirs.files
        return max(float(np.abs(ours[name] - theirs[name]).max()) for name in ours.files)


SAME = {  # what two workers, or two devices, left, and one process
    "two workers, and two devices of one process, statistics of each": ("local", "local"),
    "two workers with synchronized statistics, and one with the whole batch": ("synchronized", "whole"),
    "losses of heads: two devices, and the whole batch on one": ("capsules", "whole capsules"),
}


@pytest.mark.parametrize("pair", SAME)
def test_replicas_train_as_one_process_does(workers, process, pair):
    """Gradients are means over the global batch; the decay, the rate and the momentum do not know of replicas."""
    ours, theirs = SAME[pair]
    ours, theirs = (process if ours == "capsules" else workers[0]) / ours / "0", process / theirs / "0"
    difference = largest_difference(ours, theirs)
    print(f"{pair}: largest difference of a weight {difference:.2g}")
    assert difference < 1e-5
    ours, theirs = (json.loads((folder / "history.json").read_text()) for folder in (ours, theirs))
    assert ours.keys() == theirs.keys() == {"loss", "accuracy", "val_loss", "val_accuracy"}
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], rtol=1e-5, atol=1e-5)


def test_statistics_of_each_replica_are_not_those_of_the_batch(workers, process):
    assert largest_difference(workers[0] / "local/0", process / "whole/0") > 0.01


@pytest.mark.parametrize("name", ["local", "synchronized"])
def test_workers_end_alike(workers, name):
    assert_alike(*(workers[0] / name / str(worker) for worker in (0, 1)))


def test_gradients_that_overflow_on_one_replica_are_left_out_on_all(workers, process):
    for folder in (workers[0] / "half/0", workers[0] / "half/1", process / "half/0"):
        with np.load(folder / "weights.npz") as left:
            assert np.isfinite(left["kernel"]).all() and left["iterations"] == 3 and left["scale"] == 2**14
    assert largest_difference(workers[0] / "half/0", process / "half/0") < 1e-5


def test_workers_that_find_different_states_refuse(workers):
    for worker in (0, 1):
        error = (workers[0] / f"apart/{worker}/error").read_text()
        assert "Workers differ in the epochs that are saved: [2, 0]." in error
        assert f"/apart/{worker}/state'" in error and "storage that all of them share" in error


def test_lost_workers_cost_no_epoch(workers):
    """Worker 1 was killed in epoch 2, the chief is terminated in epoch 3; in the end it is as if nothing had been."""
    folder, ended, addresses = workers
    assert_lost(1, -9, ended, addresses)
    assert epochs(States(folder / "lost/state").newest()) == 1
    addresses = free_addresses(2)
    ended = run(
        WORKER, folder, *({"cases": [("lost", end)]} for end in ({"end": (2, "SIGTERM")}, {})), addresses=addresses
    )
    assert_lost(0, -15, ended, addresses)
    assert epochs(States(folder / "lost/state").newest()) == 2
    statuses, said = run(WORKER, folder, *[{"cases": [("lost", {})]}] * 2, addresses=free_addresses(2))
    assert statuses == [0, 0], "\n".join(said)
    for worker in (0, 1):
        assert_alike(folder / f"lost/{worker}", folder / f"local/{worker}")


def assert_lost(index, status, ended, addresses):
    statuses, said = ended
    assert statuses[index] == status and statuses[1 - index] == 1, "\n".join(said)
    assert f"worker {index} of 2 ({addresses[index]}) was lost" in said[1 - index]
    assert "Start all workers again" in said[1 - index]


def assert_alike(one, other):
    """Weights and history, bit for bit."""
    assert largest_difference(one, other) == 0
    assert (one / "history.json").read_text() == (other / "history.json").read_text()

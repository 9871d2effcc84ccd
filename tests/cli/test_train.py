"""`kvision train` on two workers is one training, and the same command again goes on with it."""

import json

import keras
import numpy as np
import pytest

from kvision.training.callbacks.states import States, epochs
from tests.processes import free_addresses, run

WORKER = "tests.cli.worker"
FLAGS = ["--recipe=ResNet", "--batch=128", "--epochs=4", "--rate=0.1", "--warmup=1", "--average=0.9"]
FLAGS += ["--padding=1", "--noflip"]


def train_on_two(folder, *flags, other=(), **options):
    """Both workers' statuses and what they said; `other` flags and the options are for the second alone."""
    flags = [*FLAGS, *flags]
    tasks = {"calls": [flags]}, {"calls": [[*flags, *other]], **options}
    return run(WORKER, folder, *tasks, addresses=free_addresses(2))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run folder of two workers that nothing interrupted, and what they said."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    statuses, said = train_on_two(folder, "--tensorboard")
    assert statuses == [0, 0], "\n".join(said)
    return folder, said


def left(folder):
    """Weights, averaged weights and history."""
    models = [keras.models.load_model(folder / name) for name in ("model.keras", "average.keras")]
    return [weight for model in models for weight in model.get_weights()], json.loads(
        (folder / "history.json").read_text()
    )


def test_two_workers_are_one_training(whole, tmp_path):
    """That of one process with two devices, which refuses a batch that they cannot share."""
    calls = [[*FLAGS, "--batch=33"], FLAGS]
    statuses, said = run(WORKER, tmp_path / "run", {"calls": calls, "devices": 2})
    assert statuses == [0], said
    assert "33 images cannot be shared by 2 replicas" in said[0] and "Pass --batch=32" in said[0]
    (ours, history), (theirs, expected) = left(whole[0]), left(tmp_path / "run")
    difference = max(float(np.abs(one - other).max()) for one, other in zip(ours, theirs, strict=True))
    print(f"largest difference of a weight: {difference:.2g}")
    assert difference < 1e-5 and history.keys() == expected.keys()
    for name, values in history.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-5)


def test_only_the_chief_talks_and_writes(whole):
    folder, (chief, other) = whole
    assert "epoch 4/4" in chief and f"The run folder: {folder}" in chief
    assert "epoch" not in other and "It waits for the others" in other
    assert len(list(folder.glob("tensorboard/train/events.out.*"))) == 1
    assert json.loads((folder / "config.json").read_text())["replicas"] == 2
    assert {path.name for path in folder.iterdir()} == {
        *("config.json", "history.json", "curves.png", "model.keras", "average.keras", "tensorboard")
    }


def test_the_same_command_goes_on_where_a_worker_was_killed(whole, tmp_path):
    folder = tmp_path / "run"
    statuses, said = train_on_two(folder, killed=2)
    assert statuses == [1, -9], "\n".join(said)
    assert "worker 1 of 2" in said[0] and "was lost" in said[0] and "Start all workers again" in said[0]
    assert epochs(States(folder / "state").newest()) == 2
    statuses, said = train_on_two(folder)
    assert statuses == [0, 0], "\n".join(said)
    assert "epoch 2/4" not in said[0] and "epoch 3/4" in said[0]
    (ours, history), (theirs, expected) = left(folder), left(whole[0])
    assert history == expected
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_workers_with_different_commands_refuse(tmp_path):
    statuses, said = train_on_two(tmp_path / "run", other=["--seed=1"])
    assert statuses == [1, 1] and all("Workers differ in seed: [0, 1]" in told for told in said), "\n".join(said)
    assert not (tmp_path / "run").exists()

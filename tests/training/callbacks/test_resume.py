"""Interrupted training goes on from its last whole epoch, and ends where it would have ended, bit for bit."""

import multiprocessing
import os
import random
import shutil
import signal
import time

import keras
import numpy as np
import pytest

from kvision import data
from kvision.training import Resume, WeightAverage
from tests.training.callbacks import killed_run

EPOCHS = 4
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype("uint8")
LABELS = np.arange(40) % 2


def train(directory, epochs=EPOCHS, callbacks=()):
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 3))
    x = keras.layers.Dense(8)(keras.layers.Flatten()(x))
    x = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(x))
    model = keras.Model(inputs, keras.layers.Dense(2, "softmax")(x))
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    resume = Resume(directory)
    split = data.load((IMAGES, LABELS), "train", validation=0, test=0)
    batches = data.training_batches(
        split, 8, augment=[data.RandomFlip()], transform=lambda x: x / 255, first_epoch=resume.epochs
    )
    model.fit(
        batches,
        steps_per_epoch=5,
        epochs=epochs,
        validation_data=(IMAGES / 255, LABELS),
        callbacks=[resume, *callbacks],
        shuffle=False,
        verbose=0,
    )
    return model, resume


def assert_same(one, other):
    (model, resume), (expected, unbroken) = one, other
    for ours, theirs in zip(state(model), state(expected), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert resume.history == unbroken.history


def state(model):
    return [variable.numpy() for variable in (*model.variables, *model.optimizer.variables)]


class Killed(keras.callbacks.Callback):
    """Ends training as a signal would: in the middle of the third epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == (2, 3):
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    directory = tmp_path_factory.mktemp("unbroken")
    train(directory, epochs=3)
    shutil.copytree(directory, directory / "three")
    return directory / "three", train(directory)


def test_goes_on_where_it_was_and_ends_the_same(unbroken, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, callbacks=[Killed()])
    assert Resume(tmp_path).epochs == 2
    resumed = train(tmp_path)
    assert_same(resumed, unbroken[1])
    assert int(resumed[0].optimizer.iterations) == EPOCHS * 5 and len(resumed[1].history["loss"]) == EPOCHS
    assert [path.name[:11] for path in sorted(tmp_path.glob("epoch-*"))] == ["epoch-0003.", "epoch-0004."]


def turn_a_bit(path):
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.write_bytes(contents)


DAMAGES = {
    "cut": (lambda path: os.truncate(path, path.stat().st_size - 100), "its SHA-256 begins with"),
    "a bit turned": (turn_a_bit, "its SHA-256 begins with"),
    "empty": (lambda path: path.write_bytes(b""), "it is empty"),
    "without checksum": (lambda p: p.rename(p.with_name("epoch-0003.weights.h5")), "there is no checksum in its name"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_passed_over(damage, unbroken, tmp_path):
    directory = shutil.copytree(unbroken[0], tmp_path / "state")
    deed, words = DAMAGES[damage]
    deed(next(directory.glob("epoch-0003.*")))
    with pytest.warns(UserWarning, match=rf"epoch-0003.* is damaged: {words}.* goes on after epoch 2\.") as told:
        assert_same(train(directory), unbroken[1])
    assert [warning.category for warning in told].count(UserWarning) == 1
    assert sorted(path.name[:11] for path in directory.iterdir()) == ["epoch-0003.", "epoch-0004."]
    assert train(directory, epochs=EPOCHS)[1].epochs == EPOCHS


def test_without_a_whole_state_training_begins_anew(unbroken, tmp_path):
    directory = shutil.copytree(unbroken[0], tmp_path / "state")
    for path in directory.glob("epoch-*"):
        turn_a_bit(path)
    with pytest.warns(UserWarning, match=r"is damaged.* begins anew\."):
        assert_same(train(directory), unbroken[1])


def test_a_kill_while_writing_and_a_deleted_state_lose_an_epoch_at_most(unbroken, tmp_path):
    """No warning: what was written is whole, what was deleted is not missed."""
    directory = shutil.copytree(unbroken[0], tmp_path / "state")
    whole = next(directory.glob("epoch-0003.*"))
    (directory / ".partial.weights.h5").write_bytes(whole.read_bytes()[:5000])
    assert Resume(directory).epochs == 3
    whole.unlink()
    assert Resume(directory).epochs == 2
    assert_same(train(directory), unbroken[1])


def callbacks(directory):
    """All that remember: the rate falls, the best weights come back at the end."""
    return [
        keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=2, min_delta=10),
        keras.callbacks.EarlyStopping("loss", mode="max", patience=2, restore_best_weights=True),
        keras.callbacks.EarlyStopping("val_loss", patience=100),
        keras.callbacks.ModelCheckpoint(directory / "best.keras", "loss", mode="max", save_best_only=True),
        WeightAverage(0.9),
    ]


def test_other_callbacks_go_on_too(tmp_path):
    one, other = callbacks(tmp_path / "one"), callbacks(tmp_path / "other")
    expected = train(tmp_path / "one" / "state", 8, one)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "other" / "state", 8, [*callbacks(tmp_path / "other"), Killed()])
    assert_same(train(tmp_path / "other" / "state", 8, other), expected)
    assert 0.0124 < float(expected[0].optimizer.learning_rate) < 0.026  # it fell, once or twice
    epochs = len(expected[1].history["loss"])
    assert 2 < epochs < 8, "the case does not stop early: choose another"
    for ours, theirs in zip(other, one, strict=True):
        for name in ("best", "best_epoch", "wait", "cooldown_counter", "stopped_epoch"):
            assert getattr(ours, name, None) == getattr(theirs, name, None)
    for ours, theirs in zip(other[-1].averaged_model().weights, one[-1].averaged_model().weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # Once stopped, stopped.
    assert_same(train(tmp_path / "other" / "state", 8, callbacks(tmp_path / "other")), expected)


def test_a_callback_that_is_new_begins_anew(unbroken, tmp_path):
    directory = shutil.copytree(unbroken[0], tmp_path / "state")
    average = WeightAverage(0.0)
    with pytest.warns(UserWarning, match="nothing of WeightAverage 1: begun anew"):
        resumed = train(directory, callbacks=[average])
    for ours, theirs in zip(average.averaged_model().weights, resumed[0].weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_state_of_another_network_is_an_error(unbroken):
    layers = [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")]
    other = keras.Sequential(layers, name="other")
    other.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="does not fit 'other'"):
        other.fit(IMAGES, LABELS, epochs=5, callbacks=[Resume(unbroken[0])], verbose=0)


def test_the_next_training_of_a_resumed_model_begins_at_its_beginning(unbroken, tmp_path):
    model, _ = train(shutil.copytree(unbroken[0], tmp_path / "state"))
    history = model.fit(IMAGES / 255, LABELS, epochs=2, verbose=0)
    assert history.epoch == [0, 1]


def test_the_next_training_of_the_same_model_begins_anew(tmp_path):
    train(tmp_path, epochs=2)
    model, _ = train(tmp_path, epochs=3)
    again = model.fit(np.ones((8, 8, 8, 3)), np.ones(8), epochs=2, verbose=0)
    assert again.epoch == [0, 1]


def test_discard(tmp_path):
    _, resume = train(tmp_path / "state", epochs=1)
    resume.discard()
    assert not (tmp_path / "state").exists() and resume.history["loss"] and resume.epochs == 0


def test_only_the_chief_writes(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}')
    _, resume = train(tmp_path / "state", epochs=1)
    assert len(resume.history["loss"]) == 1 and not (tmp_path / "state").exists()
    (tmp_path / "state").mkdir()
    resume.discard()
    assert (tmp_path / "state").exists()


def test_killed_at_any_moment_and_started_again_until_done(tmp_path):
    """Real processes and SIGKILL. Their parent has imported TensorFlow for all of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([killed_run.__name__])
    whole, killed = tmp_path / "whole", tmp_path / "killed"

    def start(directory):
        process = context.Process(target=killed_run.run, args=(directory,))
        process.start()
        return process

    process = start(whole)
    process.join(120)
    assert process.exitcode == 0
    one, other = sorted(path.stat().st_mtime for path in whole.glob("epoch-*"))
    moments, kills = random.Random(0), 0
    for _ in range(4):
        before = set(killed.glob("epoch-*"))
        process = start(killed)
        while not set(killed.glob("epoch-*")) - before and process.is_alive():
            time.sleep(0.001)
        time.sleep(moments.uniform(0, other - one))  # about an epoch
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    assert kills >= 2
    process = start(killed)
    process.join(120)
    assert process.exitcode == 0
    assert (killed / "result").read_text() == (whole / "result").read_text()

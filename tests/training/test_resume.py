"""Interrupted training goes on from its last whole epoch, and ends where it would have ended."""

import json

import keras
import numpy as np
import pytest

from kvision import applications, data
from kvision.training import Resume

EPOCHS = 4
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype("uint8")
LABELS = np.arange(40) % 2


def train(directory, epochs=EPOCHS, callbacks=()):
    keras.utils.set_random_seed(0)
    model = applications.ResNet20(input_shape=(8, 8, 3), classes=2, depths=(1, 1, 1), widths=(16, 16, 16))
    rate = keras.optimizers.schedules.CosineDecay(0.05, EPOCHS * 5)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    resume = Resume(directory)
    split = data.load((IMAGES, LABELS), "train", validation=0, test=0)
    batches = data.training_batches(
        split, 8, augment=[data.RandomFlip()], transform=lambda x: x / 255, first_epoch=resume.epochs
    )
    model.fit(batches, steps_per_epoch=5, epochs=epochs, callbacks=[resume, *callbacks], shuffle=False, verbose=0)
    return model, resume


class Killed(keras.callbacks.Callback):
    """Ends training as a signal would: in the middle of the third epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == (2, 3):
            raise KeyboardInterrupt


def test_goes_on_where_it_was_and_ends_the_same(tmp_path):
    whole, unbroken = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", callbacks=[Killed()])
    assert Resume(tmp_path / "broken").epochs == 2
    resumed, resume = train(tmp_path / "broken")
    for ours, expected in zip(resumed.weights, whole.weights, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-6)
    assert int(resumed.optimizer.iterations) == EPOCHS * 5
    assert resume.history.keys() == unbroken.history.keys() and len(resume.history["loss"]) == EPOCHS
    np.testing.assert_allclose(resume.history["loss"], unbroken.history["loss"], atol=1e-5)


def test_a_history_ahead_of_its_state_is_cut(tmp_path):
    """As after a kill between the two files of an epoch."""
    train(tmp_path, epochs=2)
    history = json.loads((tmp_path / "history.json").read_text())
    (tmp_path / "history.json").write_text(json.dumps({name: [*values, 9.0] for name, values in history.items()}))
    (tmp_path / ".partial.weights.h5").write_bytes(b"half a file")
    _, resume = train(tmp_path, epochs=3)
    assert len(resume.history["loss"]) == 3 and 9.0 not in resume.history["loss"]
    assert [path.name for path in tmp_path.glob("epoch-*")] == ["epoch-0003.weights.h5"]


def test_a_state_of_another_network_is_an_error(tmp_path):
    train(tmp_path, epochs=1)
    other = applications.ResNet20(input_shape=(8, 8, 3), classes=3)
    other.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="does not fit 'resnet20'"):
        other.fit(IMAGES, LABELS, epochs=2, callbacks=[Resume(tmp_path)], verbose=0)


def test_discard(tmp_path):
    _, resume = train(tmp_path / "state", epochs=1)
    resume.discard()
    assert not (tmp_path / "state").exists() and resume.history["loss"] and resume.epochs == 0

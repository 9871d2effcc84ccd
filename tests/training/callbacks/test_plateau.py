"""The rate falls when validation stays, climbs first where it shall, and goes on after interruptions."""

import functools

import keras
import numpy as np
import pytest

from kvision import training
from kvision.optimizers import Warmup
from kvision.training import ReduceOnPlateau

STEPS = 2
X, Y = np.ones((8, 3), "float32"), np.zeros((8, 1), "float32")
# Better in epochs 0, 1, 2 and 5; nothing better for 2 epochs: drops after epochs 4, 7 and 9.
VALUES = [0.1, 0.2, 0.3, 0.3, 0.2, 0.4, 0.4, 0.4, 0.1, 0.1, 0.1, 0.1]
EPOCHS = len(VALUES)


class Validation(keras.callbacks.Callback):
    """In the place of a validation: gives values, keeps the rates of all steps, and may end as a killed process."""

    def __init__(self, values=VALUES, killed_in=None):
        super().__init__()
        self.values, self.killed_in, self.rates = values, killed_in, {}

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.rates[self.epoch, batch] = float(self.model.optimizer.learning_rate)
        if self.epoch == self.killed_in:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        logs["val_accuracy"] = self.values[epoch]


def fit(plateau, validation, *callbacks, epochs=EPOCHS):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    callbacks = [validation, plateau, *callbacks]
    model.fit(X, Y, batch_size=4, epochs=epochs, callbacks=callbacks, shuffle=False, verbose=0)
    return validation.rates


def by_epoch(rates):
    return [rates[epoch, STEPS - 1] for epoch in range(EPOCHS)]


@pytest.mark.parametrize(("drops", "last"), [(None, 1e-4), (2, 1e-3)])
def test_drops_by_hand(drops, last):
    rates = by_epoch(fit(ReduceOnPlateau(0.1, patience=2, drops=drops), Validation()))
    assert rates == pytest.approx([0.1] * 5 + [0.01] * 3 + [1e-3] * 2 + [last] * 2, rel=1e-4)


def test_it_climbs_first_and_drops_nothing_meanwhile():
    """In 5 steps, 2.5 epochs, from 0.1 to 0.2: the third epoch is the first without a better value that counts."""
    plateau = ReduceOnPlateau(Warmup(0.2, 5, start=0.1), patience=2)
    rates = fit(plateau, Validation([0.9, 0.2, 0.2, 0.2, 0.2, 0.2]), epochs=6)
    assert [rates[divmod(step, STEPS)] for step in range(6)] == pytest.approx([0.1, 0.12, 0.14, 0.16, 0.18, 0.2])
    assert [rates[epoch, 1] for epoch in (3, 4, 5)] == pytest.approx([0.2, 0.02, 0.02])


def climbing(warmup):
    return ReduceOnPlateau(Warmup(0.1, warmup, start=0.01), patience=2)


@functools.cache
def uninterrupted(warmup):
    return fit(climbing(warmup), Validation())


@pytest.mark.parametrize(("warmup", "killed_in"), [(0, 4), (0, 7), (5, 1), (5, 7)])
def test_goes_on_after_an_interruption(tmp_path, warmup, killed_in):
    """`Resume` remembers the epochs since the last better value."""
    with pytest.raises(KeyboardInterrupt):
        fit(climbing(warmup), Validation(killed_in=killed_in), training.Resume(tmp_path))
    rest = fit(climbing(warmup), Validation(), training.Resume(tmp_path))
    assert min(rest)[0] == killed_in
    assert rest == pytest.approx({step: uninterrupted(warmup)[step] for step in rest}, rel=1e-5)

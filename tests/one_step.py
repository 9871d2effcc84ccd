"""What one step of `fit` does to the small networks of the contract's tests, on whatever backend this process has.

KERAS_BACKEND=tensorflow python -m tests.one_step FOLDER ResNet50 CapsNet     # on_jax.py compares
"""

import pathlib
import sys

import keras
import numpy as np

from kvision.losses import MarginLoss
from tests.applications.test_contract import TINY


def step(name: str, start: list[np.ndarray] | None = None) -> tuple[list[np.ndarray], list[np.ndarray], float]:
    """The weights before and after a step, and its loss, with those of training heads; `start` are other weights."""
    (tiny,) = (tiny for tiny in TINY if tiny.row.name == name)
    keras.utils.set_random_seed(0)
    model = tiny()
    if start is not None:
        model.set_weights(start)
    before = model.get_weights()
    loss = MarginLoss() if tiny.row.scores == "lengths" else "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.SGD(0.01), loss)
    random = np.random.default_rng(0)
    x = random.normal(size=(8, *tiny.shape)).astype("float32")
    y = random.integers(0, 5, (8, *tiny.row.architecture.positions))
    history = model.fit(x, y, batch_size=8, verbose=0).history
    return before, model.get_weights(), history["loss"][0]


if __name__ == "__main__":
    folder, *names = sys.argv[1:]
    for name in names:
        before, after, loss = step(name)
        np.savez(pathlib.Path(folder) / f"{name}.npz", *before, *after, np.array(loss))

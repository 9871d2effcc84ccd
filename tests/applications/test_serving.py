"""Every kind of network exports, and a process without Keras and kvision answers what the network answers."""

import subprocess
import sys

import numpy as np

from kvision.classifier import Preprocess
from kvision.export import savedmodel
from tests.applications.test_contract import TINY

LOAD = """
import pathlib, sys
sys.modules["keras"] = sys.modules["kvision"] = sys.modules["tf_keras"] = None
import numpy as np
import tensorflow as tf
for folder in pathlib.Path(sys.argv[1]).iterdir():
    serve = tf.saved_model.load(str(folder / "1")).signatures["tensor"]
    scores = serve(pixels=tf.constant(np.load(folder / "pixels.npy")))["scores"]
    np.save(folder / "scores.npy", scores.numpy())
"""


def spread_out(model) -> None:
    """Kernels from N(0, 2 / fan-in): some networks' own are so small that all images get the same scores."""
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        if variable.name == "kernel":
            deviation = np.sqrt(2 / np.prod(variable.shape[:-1]))
            variable.assign(random.normal(0, deviation, variable.shape))


def test_every_kind_of_network_is_served_without_keras(tmp_path):
    expected, random = {}, np.random.default_rng(1)
    for number, tiny in enumerate(TINY):
        folder = tmp_path / f"{number}-{tiny.row.name}"
        model = tiny(input_shape=(*tiny.shape[:2], 3), classifier_activation=None)
        spread_out(model)
        savedmodel(model, folder, preprocess=Preprocess((0.5,), (0.3,)))
        pixels = random.uniform(0, 128, (2, *model.input_shape[1:])) + [[[[0, 0, 128]]], [[[128, 64, 0]]]]
        pixels = pixels.astype("float32")
        np.save(folder / "pixels.npy", pixels)
        expected[folder] = model.predict_on_batch((pixels / 255 - 0.5) / 0.3)
    subprocess.run([sys.executable, "-c", LOAD, str(tmp_path)], check=True, timeout=300)
    for folder, scores in expected.items():
        largest = np.abs(scores).max()
        assert np.ptp(scores, axis=0).max() > 1e-3 * largest, f"{folder.name}: the scores do not depend on the image"
        difference = np.abs(np.load(folder / "scores.npy") - scores).max()
        assert difference < 1e-5 * largest, f"{folder.name}: {difference / largest:.1e} of the largest logit"

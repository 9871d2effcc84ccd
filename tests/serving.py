"""A SavedModel asked by a process without Keras and kvision."""

import os
import pathlib
import subprocess
import sys

import numpy as np

ASK = """
import pathlib, sys
sys.modules["keras"] = sys.modules["kvision"] = sys.modules["tf_keras"] = None
import numpy as np
import tensorflow as tf
for folder in map(pathlib.Path, sys.argv[1:]):
    serve = tf.saved_model.load(str(folder)).signatures["tensor"]
    scores = serve(pixels=tf.constant(np.load(folder / "pixels.npy")))["scores"]
    np.save(folder / "scores.npy", scores.numpy())
"""


def ask(questions: dict[pathlib.Path, np.ndarray], onednn: bool = True) -> dict[pathlib.Path, np.ndarray]:
    """The scores `(B, classes)` that each folder's "tensor" signature answers for pixels `(B, H, W, C)`.

    One process asks all folders, with or without oneDNN, which TensorFlow leaves out on older processors.
    """
    for folder, pixels in questions.items():
        np.save(folder / "pixels.npy", pixels)
    command = [sys.executable, "-c", ASK, *map(str, questions)]
    subprocess.run(command, check=True, timeout=300, env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": str(int(onednn))})
    return {folder: np.load(folder / "scores.npy") for folder in questions}

"""A SavedModel asked by a process without Keras and kvision, and what is in its graph."""

import os
import pathlib
import subprocess
import sys

import numpy as np
from tensorflow.core.protobuf import saved_model_pb2

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


def operations(folder: pathlib.Path) -> set[str]:
    """The operations of all of a SavedModel's functions.

    None of the functions is marked to be compiled by XLA alone.
    """
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    (graph,) = (meta.graph_def for meta in saved.meta_graphs)
    marked = [f.signature.name for f in graph.library.function if f.attr["_XlaMustCompile"].b]
    assert not marked, f"XLA-only functions: {marked}"
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    assert not [node.name for node in nodes if node.attr["_XlaMustCompile"].b]
    functions = {function.signature.name for function in graph.library.function}
    return {node.op for node in nodes} - functions

"""ONNX files, for ONNX Runtime and what else reads them. By tf2onnx: `pip install kvision[onnx]`."""

import os
import pathlib
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from kvision.classifier import Preprocess
from kvision.export.converted import ask_both, new_file, representable
from kvision.export.inference import Surgery
from kvision.export.publish import published
from kvision.export.signatures import PixelModule

OPSET = 18


def onnx(
    model: keras.Model,
    path: str | os.PathLike,
    preprocess: Preprocess | None = None,
    *,
    outputs: Mapping[str, str | keras.KerasTensor] | None = None,
    surgery: Surgery | None = None,
) -> pathlib.Path:
    """Writes a classifier as an ONNX file with the signature `tensor` of `savedmodel`, in float32.

    `pixels` `(B, H, W, C)` float32 in [0, 255], of the network's size; to `scores` `(B, classes)`, and the other
    outputs. Encoded images are TensorFlow's alone. The file is loaded in ONNX Runtime and asked before it is kept.

    Args:
        path: the file, such as "resnet50.onnx".
        model, preprocess, outputs, surgery: as `savedmodel` takes them.

    Returns:
        The path.

    Raises:
        ValueError: as `savedmodel` does; tf2onnx or onnxruntime are not installed; a network that they cannot
            represent, or not with the same answers.
        FileExistsError: the file exists.
    """
    try:
        import onnxruntime
        import tf2onnx
    except ImportError as error:
        raise ValueError(f"ONNX files need tf2onnx and onnxruntime: `pip install kvision[onnx]` ({error}).") from error
    path = new_file(path)
    module = PixelModule(model, preprocess, outputs=outputs, surgery=surgery)
    function = tf.function(module.tensor, autograph=False)
    with published(path) as partial, representable("ONNX"):
        tf2onnx.convert.from_function(
            function,
            module.signature,
            opset=OPSET,
            output_path=str(partial),
            custom_op_handlers={"Erfc": (_erfc, [])},
        )
        session = onnxruntime.InferenceSession(str(partial), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]

        def answers(pixels: np.ndarray) -> dict[str, np.ndarray]:
            return dict(zip(names, session.run(names, {"pixels": pixels}), strict=True))

        ask_both(module, answers, "ONNX Runtime")
    return path


def _erfc(graph, node, name, arguments):
    """What TensorFlow's GELU is made of and tf2onnx does not know, as `1 - erf(x)`."""
    (output,) = node.output
    shape, dtype = graph.get_shape(output), graph.get_dtype(output)
    graph.remove_node(name)
    one = graph.make_const(f"{name}/one", np.array(1, "float32"))
    erf = graph.make_node("Erf", node.input, name=f"{name}/erf", shapes=[shape], dtypes=[dtype])
    graph.make_node("Sub", [one.output[0], erf.output[0]], outputs=[output], name=name, shapes=[shape], dtypes=[dtype])

"""LiteRT files (once TensorFlow Lite's), for phones and small devices. Asked by ai-edge-litert: `pip install
kvision[litert]`."""

import os
import pathlib
import tempfile
from collections.abc import Mapping

import keras
import tensorflow as tf

from kvision.classifier import Preprocess
from kvision.export.converted import ask_both, new_file, representable
from kvision.export.inference import Surgery
from kvision.export.publish import published
from kvision.export.signatures import PixelModule


def litert(
    model: keras.Model,
    path: str | os.PathLike,
    preprocess: Preprocess | None = None,
    *,
    outputs: Mapping[str, str | keras.KerasTensor] | None = None,
    surgery: Surgery | None = None,
) -> pathlib.Path:
    """Writes a classifier as a LiteRT file with the signature `tensor` of `savedmodel`, in float32.

    `pixels` `(B, H, W, C)` float32 in [0, 255], of the network's size; to `scores` `(B, classes)`, and the other
    outputs. Built-in operations only. The file is loaded in LiteRT and asked before it is kept.

    Args:
        path: the file, such as "resnet50.tflite".
        model, preprocess, outputs, surgery: as `savedmodel` takes them.

    Returns:
        The path.

    Raises:
        ValueError: as `savedmodel` does; ai-edge-litert is not installed; a network that LiteRT cannot represent, or
            not with the same answers.
        FileExistsError: the file exists.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise ValueError(f"LiteRT files need ai-edge-litert: `pip install kvision[litert]` ({error}).") from error
    path = new_file(path)
    module = PixelModule(model, preprocess, outputs=outputs, surgery=surgery)
    with published(path) as partial, tempfile.TemporaryDirectory() as folder, representable("LiteRT"):
        function = tf.function(module.tensor, autograph=False).get_concrete_function(*module.signature)
        tf.saved_model.save(module, folder, signatures={"tensor": function})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["tensor"])
        partial.write_bytes(converter.convert())
        answers = Interpreter(str(partial)).get_signature_runner("tensor")
        ask_both(module, lambda pixels: answers(pixels=pixels), "LiteRT")
    return path

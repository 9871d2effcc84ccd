"""SavedModels that TensorFlow Serving, `saved_model_cli` and a process without Keras can run."""

import os
import pathlib
import shutil
from collections.abc import Sequence

import keras
import tensorflow as tf

from kvision.classifier import Preprocess
from kvision.data import decode_image, resize_for_evaluation
from kvision.export.inference import for_inference

LARGEST_GRAPH = 1.9e9  # protobuf's limit is 2 GiB, and the graph holds more than weights


def savedmodel(
    model: keras.Model,
    path: str | os.PathLike,
    labels: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    *,
    dtype: str = "float32",
    constants: bool = False,
    top: int = 5,
) -> pathlib.Path:
    """Writes a classifier as a SavedModel of core TensorFlow operations, with decoding and preprocessing inside.

    Signatures:

    - `serving_default`: `images`, encoded JPEG, PNG, GIF (first frame) or BMP files of any size, strings `(B,)`; to
      `labels` `(B, top)` strings and `scores` `(B, top)` float32, best first, and `ok` `(B,)`. An image that cannot be
      decoded is not ok and has empty labels and zero scores; the others of its batch are answered.
    - `tensor`: `pixels` `(B, H, W, C)` float32 in [0, 255], of the network's size; to `scores` `(B, classes)` float32.

    Of a network that reads several symbols of an image, such as a house number, these are `(B, positions, top)` and
    `(B, positions, classes)`.

    Args:
        model: a Functional classifier with one image input and one output `(B, classes)` or `(B, positions, classes)`.
        path: the version folder, such as "served/1". A path whose last part is no number gets the next version below
            it. The folder appears whole or not at all.
        labels: one name for each class; None gives the class numbers.
        preprocess: what the pixels go through; None takes the one of the model's origin.
        dtype: "float32", "bfloat16" or "float16", of weights and computation.
        constants: True freezes the weights into the graph: faster, for models below 1.9 GB, and slower to load.
        top: how many classes `serving_default` answers; all, where there are fewer.

    Returns:
        The version folder.

    Raises:
        ValueError: a model, labels, size or preprocessing that do not fit together, or too large for constants.
        FileExistsError: the version folder exists.
    """
    preprocess = _preprocessing(model, preprocess)
    classes, size, channels = _shapes(model, preprocess)
    if labels is not None and len(labels) != classes:
        raise ValueError(f"`labels` has one name for each of the model's {classes} classes. Received: {len(labels)}")
    names = [str(label) for label in (range(classes) if labels is None else labels)]
    if top < 1:
        raise ValueError(f"`top` is at least 1. Received: {top}")
    folder = _version(pathlib.Path(path))
    module = _Served(
        for_inference(model, dtype), names, preprocess, size, channels, dtype, constants, min(top, classes)
    )
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        tf.saved_model.save(module, str(partial), signatures=module.signatures())
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _preprocessing(model, preprocess: Preprocess | None) -> Preprocess:
    origin = getattr(model, "origin", None)
    preprocess = preprocess or (origin and origin.preprocess)
    if preprocess is None:
        raise ValueError(
            f"Nothing says how pixels become the input of '{model.name}': it was not trained or loaded with a "
            "preprocessing. Pass preprocess=kvision.classifier.Preprocess(mean=..., std=...), or what the row has: "
            "kvision.applications.ResNet50.preprocessing()."
        )
    return preprocess


def _shapes(model, preprocess: Preprocess) -> tuple[int, tuple[int, int], int]:
    """Classes, height and width, and channels."""
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.outputs[0].shape) not in (2, 3):
        raise ValueError(
            "A classifier has one input (B, H, W, C) and one output (B, classes) or (B, positions, classes). Received: "
            "inputs "
            f"{[tensor.shape for tensor in model.inputs]}, outputs {[tensor.shape for tensor in model.outputs]}"
        )
    shape = model.inputs[0].shape
    if len(shape) != 4 or shape[-1] not in (1, 3):
        raise ValueError(f"Encoded images have 1 or 3 channels. Received: a model with input {shape}")
    # A model of a fixed size is served at that size, whatever its checkpoint was evaluated at.
    size = shape[1:3] if None not in shape[1:3] else preprocess.size
    if size is None:
        raise ValueError(
            f"The input of '{model.name}' has no fixed size, and the preprocessing names none. Pass "
            "preprocess=dataclasses.replace(preprocess, size=(height, width))."
        )
    return model.outputs[0].shape[-1], tuple(size), shape[-1]


def _version(path: pathlib.Path) -> pathlib.Path:
    if not path.name.isdigit():
        versions = [int(entry.name) for entry in path.iterdir() if entry.name.isdigit()] if path.is_dir() else []
        path = path / str(max(versions, default=0) + 1)
    if path.exists():
        raise FileExistsError(
            f"{str(path)!r} exists and is kept. Pass another version, such as '{path.with_name('2')}'."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


class _Served(tf.Module):
    """What is saved: the folded network's variables (or none) and the functions of the signatures."""

    def __init__(self, network, names, preprocess, size, channels, dtype, constants, top):
        super().__init__(name="kvision")
        self._network = lambda: network  # an attribute that holds the model, even in a list, would be saved as objects
        self._size, self._channels, self._top = size, channels, top
        self._names, self._preprocess, self._dtype = tuple(names), preprocess, dtype
        self._constants = None
        values = [variable.value for variable in network.variables]
        if constants:
            nbytes = sum(value.dtype.size * value.shape.num_elements() for value in values)
            if nbytes > LARGEST_GRAPH:
                raise ValueError(
                    f"{nbytes / 1e9:.1f} GB of weights do not fit into a graph (2 GB at most). Use constants=False."
                )
            self._constants = tuple(variable.numpy() for variable in network.variables)
        else:
            self.weights = values

    def signatures(self) -> dict:
        images = tf.TensorSpec([None], tf.string, "images")
        pixels = tf.TensorSpec([None, *self._size, self._channels], tf.float32, "pixels")
        # One function that both signatures call: the network is traced, and its constants are written, once.
        self._scores = tf.function(self._network_scores, autograph=False).get_concrete_function(pixels)
        return {
            "serving_default": tf.function(self._serve, autograph=False).get_concrete_function(images),
            "tensor": tf.function(self._tensor, autograph=False).get_concrete_function(pixels),
        }

    def _serve(self, images):
        spec = (tf.TensorSpec((*self._size, self._channels), tf.float32), tf.TensorSpec((), tf.bool))
        pixels, ok = tf.map_fn(self._decode, images, fn_output_signature=spec)
        scores, classes = tf.math.top_k(self._scores(pixels), self._top)
        whether = tf.reshape(ok, [-1] + [1] * (scores.shape.rank - 1))
        labels = tf.where(whether, tf.gather(tf.constant(self._names), classes), "")
        return {"labels": labels, "scores": tf.where(whether, scores, 0.0), "ok": ok}

    def _tensor(self, pixels):
        return {"scores": self._scores(pixels)}

    def _decode(self, contents):
        """Pixels and True, or zeros and False. An error in a dataset's element can be passed over; elsewhere in a graph
        it would fail the whole batch."""

        def decode(contents):
            image = decode_image(contents, self._channels)
            fraction, interpolation = self._preprocess.crop_fraction, self._preprocess.interpolation
            return resize_for_evaluation(image, self._size, fraction, interpolation), True

        failed = tf.data.Dataset.from_tensors((tf.zeros((*self._size, self._channels)), False))
        tried = tf.data.Dataset.from_tensors(contents).map(decode).ignore_errors()
        return tried.concatenate(failed).take(1).get_single_element()

    def _network_scores(self, pixels):
        network, x = self._network(), tf.cast(self._preprocess(pixels), self._dtype)
        if self._constants is None:
            return tf.cast(network(x, training=False), tf.float32)
        count = len(network.trainable_variables)
        order = {id(variable): value for variable, value in zip(network.variables, self._constants, strict=True)}
        values = [tf.constant(order[id(v)]) for v in network.trainable_variables + network.non_trainable_variables]
        scores, _ = network.stateless_call(values[:count], values[count:], x, training=False)
        return tf.cast(scores, tf.float32)

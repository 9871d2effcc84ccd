"""SavedModels that TensorFlow Serving, `saved_model_cli` and a process without Keras can run."""

import os
import pathlib
from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from kvision.classifier import Preprocess
from kvision.export.encoded import MAX_PIXELS
from kvision.export.inference import Surgery
from kvision.export.publish import published, version_folder
from kvision.export.signatures import EncodedModule, PixelModule


def savedmodel(
    model: keras.Model,
    path: str | os.PathLike,
    labels: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    *,
    dtype: str = "float32",
    constants: bool = False,
    top: int = 5,
    features: str | bool = True,
    outputs: Mapping[str, str | keras.KerasTensor] | None = None,
    on_error: str = "mark",
    max_pixels: int = MAX_PIXELS,
    warmup: bool = False,
    surgery: Surgery | None = None,
) -> pathlib.Path:
    """Writes a classifier as a SavedModel of core TensorFlow operations, with decoding and preprocessing inside.

    Signatures, of any number of images B:

    - `serving_default`: `images`, encoded JPEG, PNG, GIF (first frame), BMP or WebP files of any size, strings `(B,)`;
      to `labels` `(B, top)` strings and `scores` `(B, top)` float32, best first, and `ok` `(B,)`. An image that cannot
      be decoded is not ok and has empty labels and zero scores; the others of its batch are answered.
    - `tensor`: `pixels` `(B, H, W, C)` float32 in [0, 255], of the network's size; to `scores` `(B, classes)` float32.
    - `features`: `images` as above; to `features`, the input of the last dense layer or what is named, and `ok`.

    Of a network that reads several symbols of an image, such as a house number, scores and labels are
    `(B, positions, top)` and `(B, positions, classes)`.

    Args:
        model: a Functional classifier with one image input and one output `(B, classes)` or `(B, positions, classes)`.
        path: the version folder, such as "served/1". A path whose last part is no number gets the next version below
            it. The folder appears whole or not at all.
        labels: one name for each class; None gives the class numbers.
        preprocess: what the pixels go through; None takes the one of the model's origin.
        dtype: "float32", "bfloat16" or "float16", of weights and computation.
        constants: True freezes the weights into the graph: faster, for models below 1.9 GB, and slower to load.
        top: how many classes `serving_default` answers; all, where there are fewer.
        features: the layer whose output the signature `features` gives; True for the input of the last dense layer
            (where there is none it is left out, and the log says so), False for no such signature.
        outputs: more answers of `serving_default` and `tensor`, by name: a layer, or a tensor of the model's graph,
            such as `{"crops": "st"}` for what a spatial transformer saw. Float32, and zero for images that are not ok.
        on_error: "mark" images that cannot be decoded as not ok, or "raise": then one fails its whole batch.
        max_pixels: of an image, by its header; a larger one is not decoded, and not ok.
        warmup: True adds a request for each signature that TensorFlow Serving answers before it takes others (needs
            tensorflow-serving-api: `pip install kvision[serving]`).
        surgery: what is done to the network first; None is all that is exact.

    Returns:
        The version folder.

    Raises:
        ValueError: a model, labels, size, preprocessing or outputs that do not fit together, or too large for
            constants.
        FileExistsError: the version folder exists.
    """
    if top < 1 or max_pixels < 1:
        raise ValueError(f"`top` is at least 1, and so is `max_pixels`. Received: {top}, {max_pixels}")
    if on_error not in ("mark", "raise"):
        raise ValueError(f'`on_error` is "mark" or "raise". Received: {on_error!r}')
    folder = version_folder(path)
    network = PixelModule(model, preprocess, dtype, constants, features, outputs, surgery)
    if labels is not None and len(labels) != network.classes:
        raise ValueError(
            f"`labels` has one name for each of the model's {network.classes} classes. Received: {len(labels)}"
        )
    names = [str(label) for label in (range(network.classes) if labels is None else labels)]
    module = EncodedModule(network, names, min(top, network.classes), on_error, max_pixels)
    signatures = module.signatures()
    with published(folder) as partial:
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)  # nobody trains it any more
        tf.saved_model.save(module, str(partial), signatures, options)
        if warmup:
            from kvision.export.warmup import write_requests

            write_requests(partial, signatures)
    return folder

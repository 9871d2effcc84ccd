"""Splits of images in memory: arrays, and the digits inside scikit-learn."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from kvision.data.sources.carve import carve
from kvision.data.sources.duplicates import same_rows
from kvision.data.sources.split import Split, dealt, fingerprint


def load_digits(split: str, validation: float, test: float, seed: int) -> Split:
    """1,797 handwritten digits, uint8 (8, 8, 1), from scikit-learn (UCI ML repository, Alpaydin & Kaynak 1998)."""
    from sklearn import datasets

    digits = datasets.load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)  # stored as 0..16
    return load_arrays(images, digits.target, None, split, validation, test, seed)


def load_arrays(
    images: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str] | None,
    split: str,
    validation: float,
    test: float,
    seed: int,
) -> Split:
    """Images (N, H, W, C) or (N, H, W), uint8 or float, and integer labels (N,)."""
    images, labels = _array(images, "images"), _array(labels, "labels")
    _check(images, labels, class_names)
    if images.ndim == 3:
        images = images[..., np.newaxis]
    names = tuple(map(str, range(labels.max() + 1) if class_names is None else class_names))
    chosen = carve(labels, split, validation, test, seed, same_rows(images) if validation or test else None)
    # Eager tensors are captured by the functions below: constants of the graph would be copied into it.
    with tf.device("CPU"):
        images, labels = tf.constant(images[chosen]), tf.constant(labels[chosen].astype(np.int32))

    places = dealt(len(chosen))

    def examples(seed, shard):
        return places(seed, shard).map(lambda place: (place, images[place], labels[place]))

    def own_fingerprint():
        return fingerprint([images.numpy().tobytes(), labels.numpy().tobytes(), *map(str.encode, names)])

    return Split(split, names, len(chosen), tuple(images.shape[1:]), examples, places, own_fingerprint)


def _array(values, name):
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be one array, got parts of different shapes: {error}") from error


def _check(images, labels, class_names):
    if images.ndim not in (3, 4) or not (images.dtype == np.uint8 or images.dtype.kind == "f"):
        raise ValueError(
            f"images must be (N, H, W, C) or (N, H, W), uint8 or float, got {images.shape} of {images.dtype}"
        )
    if images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[3] > 4:
        raise ValueError(f"images must be (N, H, W, C), got {images.shape}, which looks like (N, C, H, W)")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be integers of the shape (N,), got {labels.shape} of {labels.dtype}")
    if len(images) != len(labels) or not len(images):
        raise ValueError(f"images and labels must be as many and at least 1, got {len(images)} and {len(labels)}")
    if labels.min() < 0:
        raise ValueError(f"labels must be class ids from 0 on, got {labels.min()}")
    if class_names is not None and labels.max() >= len(class_names):
        raise ValueError(f"labels must be below {len(class_names)}, the number of class_names, got {labels.max()}")

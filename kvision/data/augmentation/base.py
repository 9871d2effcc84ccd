"""Random augmentations for tf.data: a batch in, a batch out, on stateless random numbers from one seed."""

import functools
from collections.abc import Callable

import keras
import tensorflow as tf

Batch = tf.Tensor | tuple[tf.Tensor, ...]


@keras.saving.register_keras_serializable(package="kvision")
class Augmentation(keras.layers.Layer):
    """Base of the random augmentations: the same answer for the same seed, on any number of threads.

    Unlike Keras's own augmentation layers these have no place in a model, where they would be exported with it and
    answer differently each time: they are mapped over a `tf.data.Dataset`, where they also run in parallel with
    training.

        batches = batches.enumerate().map(lambda number, batch: layer(*batch, seed=(0, number)), tf.data.AUTOTUNE)

    A subclass defines `call(images, seed)` for a batch (B, H, W, C). One that changes labels derives from `Mixing`.

    Args:
        images: (B, H, W, C), or one image (H, W, C), any numeric dtype. The result has the same dtype.
        labels: anything, or None. They come back as they are, but from `Mixing`.
        sample_weight: (B,), or None, likewise.
        seed: two integers, shape (2,), int32 or int64.

    Returns:
        images, or (images, labels), or (images, labels, sample_weight): as many as were given.

    Raises:
        ValueError: on a symbolic Keras tensor, images of another rank, or no seed.
    """

    # Not Layer.__call__: that casts the images to the dtype policy, and to JAX arrays on that backend.
    def __call__(
        self, images: tf.Tensor, labels: tf.Tensor | None = None, sample_weight: tf.Tensor | None = None, *, seed=None
    ) -> Batch:
        if isinstance(images, keras.KerasTensor):
            raise ValueError(
                f"{type(self).__name__} was called on a symbolic Keras tensor. A random augmentation would become "
                "part of the model and of every export of it. Map it over the tf.data pipeline instead: "
                "dataset.map(lambda images, labels: layer(images, labels, seed=seed))"
            )
        images = tf.convert_to_tensor(images)
        if images.shape.rank not in (3, 4):
            raise ValueError(
                f"{type(self).__name__} takes a batch (B, H, W, C) or an image (H, W, C), got the shape {images.shape}"
            )
        if seed is None:
            raise ValueError(f"{type(self).__name__} needs seed=, two integers: with the same seed it does the same")
        result = self.augment(images, labels, sample_weight, tf.cast(tf.convert_to_tensor(seed), tf.int64))
        given = [part for part in result if part is not None]
        return given[0] if len(given) == 1 else tuple(given)

    def augment(self, images, labels, sample_weight, seed):
        if images.shape.rank == 4:
            return self.call(images, seed), labels, sample_weight
        return self.call(images[tf.newaxis], seed)[0], labels, sample_weight

    def call(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define call(images, seed)")


def fused(function: Callable) -> Callable:
    """Tensors -> a tensor, under XLA where every shape is known when the graph is traced, as for batches of one size.

    XLA makes one loop of a chain of pixelwise steps; what cuts and copies is faster without. Random numbers are drawn
    outside and handed in: inside, XLA would draw others.
    """
    compiled = tf.function(function, autograph=False, jit_compile=True)

    @functools.wraps(function)
    def choose(*tensors):
        known = all(tensor.shape.is_fully_defined() for tensor in tensors)
        return (compiled if known else function)(*tensors)

    return choose


def rounded(images: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Float values in another dtype: to the nearest integer where it has only those, clipped to its range."""
    return tf.saturate_cast(tf.round(images) if dtype.is_integer else images, dtype)

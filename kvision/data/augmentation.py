"""Random augmentations for tf.data: a batch in, a batch out, on stateless random numbers from one seed."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="kvision")
class Augmentation(keras.layers.Layer):
    """Base of the random augmentations: `layer(images, seed=seed)`, the same answer for the same seed.

    Unlike Keras's own augmentation layers these have no place in a model, where they would be exported with it and
    answer differently each time: they are mapped over a `tf.data.Dataset`, where they also run in parallel with
    training. A subclass defines `call(images, seed)`.

    Args:
        images: (B, H, W, C), any numeric dtype. The result has the same dtype.
        seed: two integers, shape (2,), int32 or int64.

    Raises:
        ValueError: on a symbolic Keras tensor, images of another rank, or no seed.
    """

    # Not Layer.__call__: that casts the images to the dtype policy, and to JAX arrays on that backend.
    def __call__(self, images: tf.Tensor, seed: tf.Tensor | tuple[int, int] | None = None) -> tf.Tensor:
        if isinstance(images, keras.KerasTensor):
            raise ValueError(
                f"{type(self).__name__} was called on a symbolic Keras tensor. A random augmentation would become "
                "part of the model and of every export of it. Map it over the tf.data pipeline instead: "
                "dataset.map(lambda images, labels: (layer(images, seed=seed), labels))"
            )
        images = tf.convert_to_tensor(images)
        if images.shape.rank != 4:
            raise ValueError(f"{type(self).__name__} takes a batch (B, H, W, C), got the shape {images.shape}")
        if seed is None:
            raise ValueError(f"{type(self).__name__} needs seed=, two integers: with the same seed it does the same")
        return self.call(images, seed)

    def call(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define call(images, seed)")


@keras.saving.register_keras_serializable(package="kvision")
class RandomFlip(Augmentation):
    """Mirrors each image left to right with the given probability (AlexNet, Krizhevsky et al. 2012, section 4.1).

    Args:
        probability: in [0, 1].

    Raises:
        ValueError: a probability outside [0, 1].
    """

    def __init__(self, probability: float = 0.5, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= probability <= 1:
            raise ValueError(f"probability must be in [0, 1], got {probability!r}")
        self.probability = probability

    def call(self, images, seed):
        count = tf.shape(images)[0]
        chosen = tf.cast(tf.random.stateless_uniform([count], seed) < self.probability, tf.int32)
        kept, mirrored = tf.dynamic_partition(images, chosen, 2)
        places = tf.dynamic_partition(tf.range(count), chosen, 2)
        return tf.ensure_shape(tf.dynamic_stitch(places, [kept, tf.reverse(mirrored, [2])]), images.shape)

    def get_config(self):
        return {**super().get_config(), "probability": self.probability}


@keras.saving.register_keras_serializable(package="kvision")
class RandomCropWithPadding(Augmentation):
    """Pads every side and crops the original size at a random place: shifts by up to `padding` pixels.

    The CIFAR recipe of He et al. 2015 (arXiv:1512.03385, section 4.2), there with zeros; the authors' code for wide
    residual networks (Zagoruyko & Komodakis 2016) mirrors the border.

    Args:
        padding: pixels on each side.
        mode: "constant" for zeros, "reflect" for the mirrored border (without repeating its pixels).

    Raises:
        ValueError: a negative padding or another mode.
        tf.errors.InvalidArgumentError: in mode "reflect", images not larger than the padding.
    """

    def __init__(self, padding: int = 4, mode: str = "constant", **kwargs):
        super().__init__(**kwargs)
        if padding < 0:
            raise ValueError(f"padding must be 0 or more pixels, got {padding!r}")
        if mode not in ("constant", "reflect"):
            raise ValueError(f'mode must be "constant" or "reflect", got {mode!r}')
        self.padding = padding
        self.mode = mode

    def call(self, images, seed):
        count, *window = tf.unstack(tf.shape(images))
        shift = tf.random.stateless_uniform([count, 2], seed, 0, 2 * self.padding + 1, tf.int32)
        corners = tf.pad(shift, [[0, 0], [0, 1]])  # top, left, first channel
        return tf.map_fn(
            lambda pair: tf.slice(pair[0], pair[1], window),
            (self._pad(images), corners),
            fn_output_signature=tf.TensorSpec(images.shape[1:], images.dtype),
        )

    def _pad(self, images):
        if self.mode == "constant":
            return tf.pad(images, [[0, 0], [self.padding] * 2, [self.padding] * 2, [0, 0]])
        for axis in (1, 2):  # ten times faster than tf.pad's REFLECT
            size = tf.shape(images)[axis]
            before = tf.gather(images, tf.range(self.padding, 0, -1), axis=axis)
            after = tf.gather(images, tf.range(size - 2, size - 2 - self.padding, -1), axis=axis)
            images = tf.concat([before, images, after], axis)
        return images

    def get_config(self):
        return {**super().get_config(), "padding": self.padding, "mode": self.mode}

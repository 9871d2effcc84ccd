"""Random windows of images with a border added."""

import keras
import tensorflow as tf

from kvision.data.augmentation.base import Augmentation


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

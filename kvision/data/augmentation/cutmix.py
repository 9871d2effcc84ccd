"""CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features.

Yun, Han, Oh, Chun, Choe & Yoo, ICCV 2019, arXiv:1905.04899.
"""

import keras
import tensorflow as tf

from kvision.data.augmentation.erasing import pasted, where_chosen
from kvision.data.augmentation.mixing import Mixing, beta, check_beta


@keras.saving.register_keras_serializable(package="kvision")
class CutMix(Mixing):
    """A box of each image is replaced by what another shows there; labels are mixed by the pixels of each.

    Algorithm A1 of the paper. p ~ Beta(alpha, alpha) is the part to keep, sqrt(1 - p) that of the
    box in height and width, its centre any pixel. What is outside the image is cut off, and p counted again. As there,
    partners are a random order of the batch, and there is one box for it.

    Args:
        alpha: 1 in the paper, where p is uniform. 0 mixes nothing.
        probability: that a batch is mixed, or with per="sample" an image: 1 on ImageNet, 0.5 on CIFAR.
        per: "batch" draws one box for the batch, "sample" one for each image.
        classes: see `Mixing`.

    Raises:
        ValueError: a negative alpha, a probability outside [0, 1] or another `per`; on labels see `Mixing`.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        probability: float = 1.0,
        per: str = "batch",
        classes: int | None = None,
        **kwargs,
    ):
        super().__init__(classes, **kwargs)
        self.alpha, self.per = check_beta(alpha, per)
        if not 0 <= probability <= 1:
            raise ValueError(f"probability must be in [0, 1], got {probability!r}")
        self.probability = probability

    def mix(self, images, seed):
        count, height, width, _ = tf.unstack(tf.shape(images))
        ordering, choosing, drawing, *placing = tf.unstack(tf.random.split(seed, 5))
        partners = tf.random.experimental.stateless_shuffle(tf.range(count), ordering)
        boxes = 1 if self.per == "batch" else count
        chosen = tf.random.stateless_uniform([boxes], choosing) < self.probability
        scale = tf.sqrt(tf.where(chosen, 1 - beta(self.alpha, self.per, boxes, drawing), 0.0))
        (top, bottom), (left, right) = (
            _side(size, scale, key) for size, key in zip((height, width), placing, strict=True)
        )
        pasted_pixels = (bottom - top) * (right - left)
        own = 1 - tf.cast(pasted_pixels, tf.float32) / tf.cast(height * width, tf.float32)
        if self.per == "batch":
            piece = tf.gather(images[:, top[0] : bottom[0], left[0] : right[0]], partners)
            mixed = tf.ensure_shape(pasted(images, piece, top[0], left[0]), images.shape)
            return mixed, partners, tf.repeat(own, count)

        def cut(i):
            piece = images[partners[i], top[i] : bottom[i], left[i] : right[i]]
            return pasted(images[i], piece, top[i], left[i])

        return where_chosen(pasted_pixels > 0, cut, images), partners, own

    def get_config(self):
        own = {"alpha": self.alpha, "probability": self.probability, "per": self.per}
        return {**super().get_config(), **own}


def _side(size, scale, seed):
    """First pixels and last, exclusive, of a box's side (boxes,): as in the authors' code of an even length."""
    half = tf.cast(tf.cast(size, tf.float32) * scale, tf.int32) // 2
    centre = tf.random.stateless_uniform(tf.shape(scale), seed, 0, size, tf.int32)
    return tf.maximum(centre - half, 0), tf.minimum(centre + half, size)

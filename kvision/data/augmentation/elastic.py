"""Elastic distortions: "Best Practices for Convolutional Neural Networks Applied to Visual Document Analysis".

Simard, Steinkraus & Platt, ICDAR 2003, section 2. Also of the multi-column networks of Ciresan, Meier & Schmidhuber,
CVPR 2012, arXiv:1202.2745.
"""

import math

import keras
import tensorflow as tf

from kvision.data.augmentation.base import Augmentation, fused
from kvision.data.augmentation.warp import sample


@keras.saving.register_keras_serializable(package="kvision")
class RandomElastic(Augmentation):
    """Moves every pixel by a smooth random field, as hands do that write a digit; what comes from outside is zero.

    Each pixel's shift in x and in y is uniform in [-1, 1]; both fields are convolved with a Gaussian, and scaled. As
    that averages, shifts are normal, with a deviation of about alpha / (2 sqrt(3 pi) sigma) pixels. The field goes on
    beyond the image, so that this holds up to the border: the paper leaves that open.

    Args:
        alpha: the scale, in pixels.
        sigma: deviation of the Gaussian, in pixels; it ends at four of them. The paper's 34 and 4 are for digits in
            images of 29 x 29.

    Raises:
        ValueError: a negative alpha, or a sigma that is not above 0.
    """

    def __init__(self, alpha: float = 34.0, sigma: float = 4.0, **kwargs):
        super().__init__(**kwargs)
        if alpha < 0:
            raise ValueError(f"alpha must be 0 or more pixels, got {alpha!r}")
        if sigma <= 0:
            raise ValueError(f"sigma must be more than 0 pixels, got {sigma!r}")
        self.alpha, self.sigma = float(alpha), float(sigma)

    def draw(self, images: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """How far each pixel moves in x and in y, in pixels, float32 (B, H, W) each."""
        count, height, width, _ = tf.unstack(images.shape if images.shape.is_fully_defined() else tf.shape(images))
        reach = math.ceil(4 * self.sigma)
        taps = [math.exp(-0.5 * (place / self.sigma) ** 2) for place in range(-reach, reach + 1)]
        taps = tf.constant(taps) / sum(taps)
        noise = tf.random.stateless_uniform([2 * count, height + 2 * reach, width + 2 * reach], seed)
        return tuple(tf.split(_smooth(noise, taps, tf.constant(self.alpha)), 2))

    def call(self, images, seed):
        right, down = self.draw(images, seed)
        height, width = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float32))
        return sample(images, tf.range(width)[None, None, :] + right, tf.range(height)[None, :, None] + down)

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha, "sigma": self.sigma}


@fused
def _smooth(fields, taps, alpha):
    """Fields (N, H, W), convolved along both axes as far as the taps are inside; 0 ... 1 becomes -alpha ... alpha."""
    for axis in (1, 2):
        count = tf.shape(fields)[axis] - taps.shape[0] + 1
        parts = [
            tap * (fields[:, place : place + count] if axis == 1 else fields[:, :, place : place + count])
            for place, tap in enumerate(tf.unstack(taps))
        ]
        fields = tf.add_n(parts)
    return alpha * (2 * fields - 1)

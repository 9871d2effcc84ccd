"""Noise on pixels."""

import keras
import tensorflow as tf

from kvision.data.augmentation.base import Augmentation, fused, rounded


@keras.saving.register_keras_serializable(package="kvision")
class VicinityNoise(Augmentation):
    """Adds normally distributed noise to every value of every pixel: an image stands for its vicinity.

    Vicinal Risk Minimization: Chapelle, Weston, Bottou & Vapnik, NIPS 2000, with Gaussian vicinities, as section 2 of
    mixup names them. Labels stay. Values are not clipped, but for integer dtypes.

    Args:
        deviation: of the noise, in the units of the pixels.

    Raises:
        ValueError: a negative deviation.
    """

    def __init__(self, deviation: float, **kwargs):
        super().__init__(**kwargs)
        if deviation < 0:
            raise ValueError(f"deviation must be 0 or more, got {deviation!r}")
        self.deviation = float(deviation)

    def call(self, images, seed):
        # Half the time of tf.random.stateless_normal: bits, and under XLA the inverse of the distribution function.
        bits = tf.random.stateless_uniform(tf.shape(images), seed, None, None, tf.int32)
        bits = tf.ensure_shape(bits, images.shape)
        return _disturbed(images, bits, tf.constant(self.deviation))

    def get_config(self):
        return {**super().get_config(), "deviation": self.deviation}


@fused
def _disturbed(images, bits, deviation):
    # (-1, 1), symmetric about 0: float32 would round the last 2^7 integers to 1. The tails end at 5.4 deviations.
    uniform = tf.minimum(tf.maximum((tf.cast(bits, tf.float32) + 0.5) / 2**31, -1 + 2**-24), 1 - 2**-24)
    noise = deviation * 2**0.5 * tf.math.erfinv(uniform)
    return rounded(tf.cast(images, tf.float32) + noise, images.dtype)

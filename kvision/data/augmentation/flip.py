"""Mirrored images."""

import keras
import tensorflow as tf

from kvision.data.augmentation.base import Augmentation


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

"""Two digits in one image: MultiMNIST of Sabour, Frosst & Hinton, NIPS 2017, arXiv:1710.09829, section 6.1."""

import keras
import tensorflow as tf

from kvision.data.augmentation.base import Augmentation
from kvision.data.augmentation.padded_crop import RandomCropWithPadding


@keras.saving.register_keras_serializable(package="kvision")
class OverlappingPairs(Augmentation):
    """Lays over every image of a batch another of a different class, both shifted at random.

    The partner is drawn from the images of other classes in the same batch, all equally likely. A pair weighs the mean
    of its two sample weights.

    Args:
        classes: how many there are.
        shift: the largest, in pixels, up, down, left and right. The paper's 4 make images of 36x36 of MNIST's.
        limit: the value of full ink, at which sums are clipped: 255, or 1 for scaled pixels.

    Takes images (B, H, W, C), ink bright on zeros, any numeric dtype, and labels (B,), class ids. Returns images
    (B, H + 2 shift, W + 2 shift, C) of the same dtype, and float32 labels (B, classes), 1 for both classes.

    Raises:
        ValueError: fewer than two classes, a negative shift, or no positive limit; a single image, or no labels, or
            labels that are not class ids.
        tf.errors.InvalidArgumentError: an image finds no other class in its batch.
    """

    def __init__(self, classes: int = 10, shift: int = 4, limit: float = 255.0, **kwargs):
        super().__init__(**kwargs)
        if classes < 2 or shift < 0 or limit <= 0:
            raise ValueError(
                "Pairs are of two classes or more, shifts of 0 pixels or more, and full ink has a positive value. "
                f"Received: classes={classes}, shift={shift}, limit={limit}"
            )
        self.classes, self.shift, self.limit = int(classes), int(shift), float(limit)

    def augment(self, images, labels, sample_weight, seed):
        if images.shape.rank != 4 or labels is None:
            raise ValueError("OverlappingPairs takes a batch (B, H, W, C) with its labels: pairs are of two classes")
        labels = tf.convert_to_tensor(labels)
        if labels.shape.rank != 1 or not labels.dtype.is_integer:
            raise ValueError(
                "OverlappingPairs takes class ids, integers of the shape (B,), "
                f"got {labels.dtype.name} of the shape {labels.shape}"
            )
        partner_seed, *shift_seeds = tf.unstack(tf.random.split(seed, 3))
        other = labels[:, None] != labels
        message = "Every batch of pairs holds images of two classes or more, for each image finds a partner in it"
        tf.debugging.assert_equal(tf.reduce_all(tf.reduce_any(other, 1)), True, message)
        draws = tf.random.stateless_uniform(tf.shape(other), partner_seed)
        partners = tf.argmax(tf.where(other, draws, -1.0), 1)
        below, above = (
            tf.cast(self._shifted(digits, key), tf.float32)
            for digits, key in zip((images, tf.gather(images, partners)), shift_seeds, strict=True)
        )
        both = tf.one_hot(labels, self.classes) + tf.one_hot(tf.gather(labels, partners), self.classes)
        if sample_weight is not None:
            sample_weight = (sample_weight + tf.gather(sample_weight, partners)) / 2
        return tf.cast(tf.minimum(below + above, self.limit), images.dtype), both, sample_weight

    def _shifted(self, images, seed):
        room = tf.pad(images, [[0, 0], [self.shift] * 2, [self.shift] * 2, [0, 0]])
        return RandomCropWithPadding(self.shift)(room, seed=seed)

    def get_config(self):
        return {**super().get_config(), "classes": self.classes, "shift": self.shift, "limit": self.limit}

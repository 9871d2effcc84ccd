"""The mean and deviation of a split's pixels, for models that start from scratch."""

import numpy as np
import tensorflow as tf

from kvision.data.images import resize_for_evaluation
from kvision.data.sources.split import Split


def pixel_statistics(
    split: Split, size: tuple[int, int] | None = None, limit: int = 2000
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of pixels divided by 255, over equally weighted images.

    Args:
        split: where the images come from.
        size: to which images are resized first; None leaves them as they are.
        limit: how many images are looked at, the first of a seeded order.

    Returns:
        (means, deviations), one float for each channel; a constant channel has deviation 1.
    """

    def moments(image, _):
        pixels = tf.cast(image if size is None else resize_for_evaluation(image, size), tf.float64) / 255
        return tf.stack([tf.reduce_mean(pixels, (0, 1)), tf.reduce_mean(pixels**2, (0, 1))])

    images = split.shuffled((0, 0)).take(limit)
    mean, square = np.mean(list(images.map(moments, tf.data.AUTOTUNE).as_numpy_iterator()), axis=0)
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    return tuple(mean.tolist()), tuple(np.where(deviation > 1e-6, deviation, 1.0).tolist())

"""Boxes of an image are painted over: random erasing and Cutout."""

import keras
import tensorflow as tf

from kvision.data.augmentation.base import Augmentation, rounded

TRIES = 100


@keras.saving.register_keras_serializable(package="kvision")
class RandomErasing(Augmentation):
    """Paints over a box of each image, with the given probability, in random pixels or one colour.

    Random Erasing Data Augmentation: Zhong, Zheng, Kang, Li & Yang, AAAI 2020, arXiv:1708.04896, Algorithm 1. The box
    has the part S ~ U(area) of the image and the aspect r ~ U(aspect) = height / width: it is sqrt(S r) high and
    sqrt(S / r) wide, rounded, drawn again until it is smaller than the image both ways, and lies at a random place.
    As in the authors' code an image is left as it is after 100 such draws. On square images, with the paper's ranges,
    about one draw in 20 is too large: 100 in a row never are.

    Args:
        probability: that an image is erased, in [0, 1].
        area: the smallest and the largest part of the image.
        aspect: the smallest and the largest ratio of height to width.
        fill: None for pixels that are random integers 0 ... 255, the paper's choice; or a number, or one for each
            channel: the authors' code takes the mean of the data set.

    Raises:
        ValueError: numbers that are not such, or a fill for another number of channels than the images have.
    """

    def __init__(
        self,
        probability: float = 0.5,
        area: tuple[float, float] = (0.02, 0.4),
        aspect: tuple[float, float] = (0.3, 1 / 0.3),
        fill: float | tuple[float, ...] | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 0 <= probability <= 1:
            raise ValueError(f"probability must be in [0, 1], got {probability!r}")
        if not 0 < area[0] <= area[1] <= 1:
            raise ValueError(f"area is the smallest and the largest part of the image, in (0, 1], got {area!r}")
        if not 0 < aspect[0] <= aspect[1]:
            raise ValueError(f"aspect is the smallest and the largest height / width, above 0, got {aspect!r}")
        self.probability = probability
        self.area, self.aspect, self.fill = tuple(area), tuple(aspect), fill

    def call(self, images, seed):
        choosing, sizing, placing, painting = tf.unstack(tf.random.split(seed, 4))
        count, *image, channels = tf.unstack(tf.shape(images))
        height, width, fits = self._sizes(count, image, sizing)
        chosen = fits & (tf.random.stateless_uniform([count], choosing) < self.probability)
        room = tf.cast(image - tf.stack([height, width], 1) + 1, tf.float32)
        top, left = tf.unstack(tf.cast(room * tf.random.stateless_uniform([count, 2], placing), tf.int32), axis=1)
        if self.fill is None:  # pixels for all boxes are drawn at once
            size = tf.where(chosen, height * width * channels, 0)
            start = tf.cumsum(size, exclusive=True)
            pixels = tf.cast(random_bytes(tf.reduce_sum(size), painting), images.dtype)

        def erased(i):
            if self.fill is None:
                piece = tf.reshape(pixels[start[i] : start[i] + size[i]], [height[i], width[i], channels])
            else:
                piece = plain(self.fill, height[i], width[i], images)
            return pasted(images[i], piece, top[i], left[i])

        return where_chosen(chosen, erased, images)

    def _sizes(self, count, image, seed):
        """Heights and widths (B,) of the boxes, and whether they are smaller than the image."""
        area, aspect = tf.unstack(tf.random.stateless_uniform([2, count, TRIES], seed))
        area = self.area[0] + (self.area[1] - self.area[0]) * area
        aspect = self.aspect[0] + (self.aspect[1] - self.aspect[0]) * aspect
        pixels = area * tf.cast(image[0] * image[1], tf.float32)
        height = tf.cast(tf.round(tf.sqrt(pixels * aspect)), tf.int32)
        width = tf.cast(tf.round(tf.sqrt(pixels / aspect)), tf.int32)
        fits = (height < image[0]) & (width < image[1])
        first = tf.argmax(fits, 1)
        return [tf.gather(draws, first, batch_dims=1) for draws in (height, width, fits)]

    def get_config(self):
        own = {"probability": self.probability, "area": self.area, "aspect": self.aspect, "fill": self.fill}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="kvision")
class Cutout(Augmentation):
    """Paints over a square of each image, whose centre is any pixel: at the border a part of the square is outside.

    Improved Regularization of Convolutional Neural Networks with Cutout: DeVries & Taylor 2017, arXiv:1708.04552,
    section 3.2.

    Args:
        length: side of the square: 16 on CIFAR-10, 8 on CIFAR-100, 20 on SVHN.
        fill: a number, or one for each channel. The paper fills normalised images with zero. Before the normalisation
            that is the mean of the data set.

    Raises:
        ValueError: a length below 1, or a fill for another number of channels than the images have.
    """

    def __init__(self, length: int = 16, fill: float | tuple[float, ...] = 0.0, **kwargs):
        super().__init__(**kwargs)
        if length < 1:
            raise ValueError(f"length must be 1 or more pixels, got {length!r}")
        self.length, self.fill = length, fill

    def call(self, images, seed):
        count, *image, _ = tf.unstack(tf.shape(images))
        sides = []
        for size, key in zip(image, tf.unstack(tf.random.split(seed, 2)), strict=True):
            start = tf.random.stateless_uniform([count], key, 0, size, tf.int32) - self.length // 2
            sides.append((tf.maximum(start, 0), tf.minimum(start + self.length, size)))
        (top, bottom), (left, right) = sides

        def cut(i):
            piece = plain(self.fill, bottom[i] - top[i], right[i] - left[i], images)
            return pasted(images[i], piece, top[i], left[i])

        return where_chosen(tf.fill([count], True), cut, images)

    def get_config(self):
        return {**super().get_config(), "length": self.length, "fill": self.fill}


def pasted(images, piece, top, left):
    """Images (..., H, W, C), and over them a piece (..., h, w, C) whose corner is (top, left)."""
    bottom, right = top + tf.shape(piece)[-3], left + tf.shape(piece)[-2]
    band = images[..., top:bottom, :, :]
    band = tf.concat([band[..., :left, :], piece, band[..., right:, :]], -2)
    return tf.concat([images[..., :top, :, :], band, images[..., bottom:, :, :]], -3)


def where_chosen(chosen, change, images):
    """`change(i)` in the place of each image i that is chosen, bool (B,)."""
    return tf.map_fn(
        lambda i: tf.cond(chosen[i], lambda: change(i), lambda: images[i]),
        tf.range(tf.shape(images)[0]),
        fn_output_signature=tf.TensorSpec(images.shape[1:], images.dtype),
    )


def plain(fill, height, width, images):
    """A piece (height, width, C) of one colour."""
    if isinstance(fill, list | tuple) and images.shape[-1] not in (None, len(fill)):
        raise ValueError(f"fill has {len(fill)} numbers, the images {images.shape[-1]} channels")
    colour = rounded(tf.constant(fill, tf.float32), images.dtype)
    return tf.broadcast_to(colour, [height, width, tf.shape(images)[-1]])


def random_bytes(count, seed):
    """uint8 (count,): eight from each random number, three times as fast as one from each."""
    numbers = tf.random.stateless_uniform([(count + 7) // 8], seed, None, None, tf.uint64)
    return tf.reshape(tf.bitcast(numbers, tf.uint8), [-1])[:count]

"""Distorted digits: appendix A.4 of "Spatial Transformer Networks", Jaderberg et al., NIPS 2015, arXiv:1506.02025.

R, RTS, P, E and TC of its Table 1 are `RandomSimilarity()`, `RandomSimilarity(45, (0.7, 1.2), (42, 42))`,
`RandomProjection()`, `RandomSpline()` and `RandomClutter()`. They need the TensorFlow backend. What comes from outside
an image is zero.
"""

import math

import keras
import tensorflow as tf

from kvision.data.augmentation.base import Augmentation, fused
from kvision.data.augmentation.warp import sample, uniform
from kvision.layers.spatial_transforms import Projective, ThinPlateSpline


def _check_scales(scales) -> tuple[float, float]:
    low, high = (float(scale) for scale in scales)
    if not 0 < low <= high:
        raise ValueError(f"scales are the smallest and the largest, above 0, got {scales!r}")
    return low, high


@keras.saving.register_keras_serializable(package="kvision")
class RandomSimilarity(Augmentation):
    """Turns and scales each image and puts it at a random place of the canvas, whole, as far as it was upright.

    Args:
        degrees: it is turned by up to so much to either side.
        scales: the smallest and the largest factor.
        size: height and width of the canvas; None for the images' own.

    Raises:
        ValueError: scales that are not positive or not in order, or a size below 1.
    """

    def __init__(self, degrees: float = 90.0, scales=(1.0, 1.0), size: tuple[int, int] | None = None, **kwargs):
        super().__init__(**kwargs)
        self.degrees, self.scales = float(degrees), _check_scales(scales)
        self.size = None if size is None else (int(size[0]), int(size[1]))
        if self.size and min(self.size) < 1:
            raise ValueError(f"size is a height and a width of at least 1, got {size!r}")

    def draw(self, source: tuple, count: int | tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Degrees counterclockwise (count,), factors (count,), and the row and column of the image's middle (count, 2).

        The middle is in pixels from that of the canvas; source is the image's height and width.
        """
        turning, scaling, placing = tf.unstack(tf.random.split(seed, 3))
        scale = uniform([count], scaling, *self.scales)
        source, size = tf.cast(source, tf.float32), tf.cast(self.size or source, tf.float32)
        room = tf.maximum((size - scale[:, None] * source) / 2, 0)  # on each side
        place = room * uniform([count, 2], placing, -1, 1)
        return uniform([count], turning, -self.degrees, self.degrees), scale, place

    def call(self, images, seed):
        count, *source = tf.unstack(tf.shape(images)[:3])
        degrees, scale, place = self.draw(source, count, seed)
        rows, columns = (tf.range(tf.cast(side, tf.float32)) for side in self.size or source)
        x, y = _similar_points(images, rows, columns, degrees * (math.pi / 180), scale, place)
        shape = [images.shape[0], *(self.size or images.shape[1:3]), images.shape[3]]
        return tf.ensure_shape(sample(images, x, y), shape)

    def get_config(self):
        return {**super().get_config(), "degrees": self.degrees, "scales": self.scales, "size": self.size}


@fused
def _similar_points(images, rows, columns, angle, scale, place):
    angle, scale, down, right = (part[:, None, None] for part in (angle, scale, place[:, 0], place[:, 1]))
    height, width = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float32))
    y = (rows[None, :, None] - (tf.cast(tf.size(rows), tf.float32) - 1) / 2 - down) / scale
    x = (columns[None, None, :] - (tf.cast(tf.size(columns), tf.float32) - 1) / 2 - right) / scale
    cosine, sine = tf.cos(angle), tf.sin(angle)
    return cosine * x - sine * y + (width - 1) / 2, sine * x + cosine * y + (height - 1) / 2


class _Bent(Augmentation):
    """Shrinks each image and moves some of its points."""

    def __init__(self, scales=(0.75, 1.0), deviation: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.scales, self.deviation = _check_scales(scales), float(deviation)
        if self.deviation < 0:
            raise ValueError(f"deviation must be 0 or more pixels, got {deviation!r}")

    def draw(self, images, seed, points: int):
        """Scales `(B, 1, 1)`, and how far the points move in x and y, in halves of the image `(B, 2, points)`."""
        count, height, width, _ = tf.unstack(tf.shape(images))
        scaling, moving = tf.unstack(tf.random.split(seed, 2))
        sides = tf.cast(tf.maximum(tf.stack([width, height]) - 1, 1), tf.float32)[:, None]
        noise = tf.random.stateless_normal([count, 2, points], moving, stddev=self.deviation)
        return uniform([count, 1, 1], scaling, *self.scales), 2 * noise / sides

    @staticmethod
    def show(images, transform, theta):
        height, width = tf.unstack(tf.shape(images)[1:3])
        return sample(images, *transform.grid(theta, height, width, (height, width)))

    def get_config(self):
        return {**super().get_config(), "scales": self.scales, "deviation": self.deviation}


@keras.saving.register_keras_serializable(package="kvision")
class RandomProjection(_Bent):
    """Shrinks each image and moves its four corners: it is seen from another side.

    Args:
        scales: the smallest and the largest factor.
        deviation: of each corner's shift in x and in y, normally distributed, in pixels.

    Raises:
        ValueError: scales that are not positive or not in order, or a negative deviation.
    """

    def __init__(self, scales=(0.75, 1.0), deviation: float = 5.0, **kwargs):
        super().__init__(scales, deviation, **kwargs)

    def call(self, images, seed):
        corners = tf.constant([[-1.0, 1.0, -1.0, 1.0], [-1.0, -1.0, 1.0, 1.0]])
        scale, moved = self.draw(images, seed, 4)
        x, y = tf.unstack((scale * corners + moved)[..., None], axis=1)  # where the corners are seen, (B, 4, 1)
        one, nothing = tf.ones_like(x), tf.zeros_like(x)
        p, q = corners[0, :, None], corners[1, :, None]
        # (a x + b y + c) / (g x + h y + 1) = p and its like for q, for all corners: eight equations.
        rows = [
            tf.concat([x, y, one, nothing, nothing, nothing, -p * x, -p * y], -1),
            tf.concat([nothing, nothing, nothing, x, y, one, -q * x, -q * y], -1),
        ]
        right = tf.broadcast_to(tf.concat([p, q], 0), [tf.shape(x)[0], 8, 1])
        return self.show(images, Projective(), tf.linalg.solve(tf.concat(rows, 1), right)[..., 0])


@keras.saving.register_keras_serializable(package="kvision")
class RandomSpline(_Bent):
    """Shrinks each image and bends it by a thin plate spline, whose control points are a regular grid.

    Args:
        scales: the smallest and the largest factor.
        deviation: of each control point's shift in x and in y, normally distributed, in pixels.
        points: how many control points, a square number.

    Raises:
        ValueError: scales that are not positive or not in order, a negative deviation, or another number of points.
    """

    def __init__(self, scales=(0.75, 1.0), deviation: float = 1.5, points: int = 16, **kwargs):
        super().__init__(scales, deviation, **kwargs)
        self.spline = ThinPlateSpline(points)

    def call(self, images, seed):
        points = self.spline.points
        scale, moved = self.draw(images, seed, points)
        theta = tf.reshape(self.spline.identity, [2, points]) / scale + moved
        return self.show(images, self.spline, tf.reshape(theta, [-1, 2 * points]))

    def get_config(self):
        return {**super().get_config(), "points": self.spline.points}


@keras.saving.register_keras_serializable(package="kvision")
class RandomClutter(Augmentation):
    """Puts each image at a random place of a larger canvas, among pieces of the other images of its batch.

    The canvas is zero, and no pixel below zero. Where images overlap, the brighter pixel is seen.

    Args:
        size: height and width of the canvas.
        patches: how many pieces.
        patch: height and width of a piece.

    Raises:
        ValueError: a size or patch below 1, or fewer than 0 patches.
        tf.errors.InvalidArgumentError: images larger than the canvas, or smaller than a piece.
    """

    def __init__(self, size: tuple[int, int] = (60, 60), patches: int = 6, patch: int = 6, **kwargs):
        super().__init__(**kwargs)
        self.size, self.patches, self.patch = (int(size[0]), int(size[1])), int(patches), int(patch)
        if min(self.size) < 1 or self.patch < 1 or self.patches < 0:
            raise ValueError(f"size and patch are at least 1, patches 0, got {size!r}, {patch!r} and {patches!r}")

    def call(self, images, seed):
        count, height, width, channels = tf.unstack(tf.shape(images))
        checks = [
            tf.debugging.assert_less_equal([height, width], self.size, "The images are larger than the canvas."),
            tf.debugging.assert_less_equal(self.patch, [height, width], "The images are smaller than a piece."),
        ]
        placing, choosing, cutting, strewing = tf.unstack(tf.random.split(seed, 4))

        def places(number, seed, area, window):
            """Corners of windows that lie in an area, for each image `(B, number, 2)`."""
            shape, room = [count, number, 2], tf.stack(area) - window + 1
            return tf.cast(tf.random.stateless_uniform(shape, seed) * tf.cast(room, tf.float32), tf.int32)

        def pixels(owners, corners, rows, columns):
            """Indices (image, row, column) of windows with these corners: `(..., rows, columns, 3)`."""
            y = corners[..., :1, None] + tf.range(rows)[:, None]
            x = corners[..., 1:, None] + tf.range(columns)[None, :]
            return tf.stack([tf.broadcast_to(owners[..., None, None], tf.shape(y + x)), *_both(y, x)], -1)

        with tf.control_dependencies(checks):
            own = tf.range(count)[:, None]
            shifts = uniform([count, self.patches], choosing, 0, tf.cast(tf.maximum(count - 1, 1), tf.float32))
            others = (own + 1 + tf.cast(shifts, tf.int32)) % count
        cut = places(self.patches, cutting, (height, width), self.patch)
        pieces = tf.gather_nd(images, pixels(others, cut, self.patch, self.patch))
        strewn = places(self.patches, strewing, self.size, self.patch)
        canvas = tf.zeros([count, *self.size, channels], images.dtype)
        own_pieces = tf.broadcast_to(own, [count, self.patches])
        canvas = tf.tensor_scatter_nd_max(canvas, pixels(own_pieces, strewn, self.patch, self.patch), pieces)
        place = places(1, placing, self.size, (height, width))
        return tf.tensor_scatter_nd_max(canvas, pixels(own, place, height, width), images[:, None])

    def get_config(self):
        return {**super().get_config(), "size": self.size, "patches": self.patches, "patch": self.patch}


def _both(y, x):
    """Rows and columns, both in the shape of the window."""
    return y + tf.zeros_like(x), x + tf.zeros_like(y)

"""Images seen through a moved grid: bilinear sampling for tf.data, and random affine maps by one such sampling."""

import math

import keras
import tensorflow as tf

from kvision.data.augmentation.base import Augmentation, fused, rounded


@keras.saving.register_keras_serializable(package="kvision")
class RandomAffine(Augmentation):
    """Each image is shifted, turned, sheared, stretched, rescaled and mirrored, all in one bilinear sampling.

    The recipe of S. Dieleman and colleagues for plankton (team Deep Sea, National Data Science Bowl 2015), after theirs
    for galaxies (Dieleman, Willett & Dambre 2015, arXiv:1503.07077). Parts are composed as in the authors' code
    (github.com/benanne/kaggle-ndsb, data.py), about the centre: first the translation, then the rotation, the shear,
    stretch and scale, last the mirror. Each can be off, at 0 or at the factor 1: a random rotation by any angle is
    `RandomAffine((0, 360), translation=0, scale=1, flip=0, shear=0, stretch=1)`.

    Args:
        rotation: degrees counterclockwise, uniform between the two; one number for up to so many to either side.
        translation: pixels, in x and in y, uniform up to so many to either side.
        scale: both sides grow by a factor between its inverse and itself, whose logarithm is uniform.
        flip: the probability of a mirror left to right.
        shear: degrees, uniform up to so many to either side; less than 90.
        stretch: drawn as the scale: the width grows by it, and the height shrinks by it.
        fill_mode: what is outside of an image: "constant" for `fill_value`, "nearest" for its nearest pixel, "reflect"
            for its mirror image, without repeating the pixels of the border.
        fill_value: in the units of the images.

    Raises:
        ValueError: an argument that is out of its range.
    """

    def __init__(
        self,
        rotation: float | tuple[float, float] = (0.0, 360.0),
        translation: float = 10.0,
        scale: float = 1.6,
        flip: float = 0.5,
        shear: float = 20.0,
        stretch: float = 1.3,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        turns = (-rotation, rotation) if isinstance(rotation, int | float) else tuple(rotation)
        if len(turns) != 2 or turns[0] > turns[1]:
            raise ValueError(f"rotation must be the least and the most degrees, or one number >= 0, got {rotation!r}")
        for name, value, low, high in [
            ("translation", translation, 0, math.inf),
            ("scale", scale, 1, math.inf),
            ("flip", flip, 0, 1),
            ("shear", shear, 0, 89.9),
            ("stretch", stretch, 1, math.inf),
        ]:
            if not low <= value <= high:
                raise ValueError(f"{name} must be in [{low}, {high}], got {value!r}")
        if fill_mode not in ("constant", *INSIDE):
            raise ValueError(f"fill_mode must be one of {', '.join(['constant', *INSIDE])}, got {fill_mode!r}")
        self.rotation = (float(turns[0]), float(turns[1]))
        self.translation, self.scale, self.flip = float(translation), float(scale), float(flip)
        self.shear, self.stretch = float(shear), float(stretch)
        self.fill_mode, self.fill_value = fill_mode, float(fill_value)

    def draw(self, count: int | tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """One set of random parameters for each of `count` images, float32 (count,): degrees, pixels and factors."""
        turning, shifting, scaling, mirroring, shearing, stretching = tf.unstack(tf.random.split(seed, 6))
        shift = uniform([2, count], shifting, -self.translation, self.translation)
        return {
            "rotation": uniform([count], turning, *self.rotation),
            "right": shift[0],
            "down": shift[1],
            "scale": log_uniform([count], scaling, 1 / self.scale, self.scale),
            "mirror": tf.where(tf.random.stateless_uniform([count], mirroring) < self.flip, -1.0, 1.0),
            "shear": uniform([count], shearing, -self.shear, self.shear),
            "stretch": log_uniform([count], stretching, 1 / self.stretch, self.stretch),
        }

    def call(self, images, seed):
        x, y = _affine_points(images, _matrix(**self.draw(tf.shape(images)[0], seed)))
        return sample(images, x, y, self.fill_mode, self.fill_value)

    def get_config(self):
        names = ("rotation", "translation", "scale", "flip", "shear", "stretch", "fill_mode", "fill_value")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def uniform(shape, seed: tf.Tensor, low, high) -> tf.Tensor:
    return low + (high - low) * tf.random.stateless_uniform(shape, seed)


def log_uniform(shape, seed: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Its logarithm is uniform."""
    return tf.exp(uniform(shape, seed, math.log(low), math.log(high)))


def _matrix(rotation, right, down, scale, mirror, shear, stretch):
    """From a point of the result to the point of the image that is seen there, both from the centre: (B, 2, 3)."""
    turn, lean = rotation * (math.pi / 180), shear * (math.pi / 180)
    x, y = mirror / (scale * stretch), stretch / scale
    rows = [
        [tf.cos(turn) * x, -tf.sin(turn + lean) * y, -right],
        [tf.sin(turn) * x, tf.cos(turn + lean) * y, -down],
    ]
    return tf.stack([tf.stack(row, -1) for row in rows], 1)


@fused
def _affine_points(images, matrix):
    height, width = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float32))
    right, below = (width - 1) / 2, (height - 1) / 2
    x, y = tf.range(width)[None, None, :] - right, tf.range(height)[None, :, None] - below
    a, b, c, d, e, f = tf.unstack(tf.reshape(matrix, [-1, 6, 1, 1]), axis=1)
    return a * x + b * y + c + right, d * x + e * y + f + below


def sample(
    images: tf.Tensor, x: tf.Tensor, y: tf.Tensor, fill_mode: str = "constant", fill_value: float = 0.0
) -> tf.Tensor:
    """The images at points between their pixels, bilinear.

    The same as `kvision.layers.bilinear_sampler.sample`, without gradients and for every numeric dtype: pixels are
    gathered as they are and not copied, neither to float32 nor into a border of zeros: half the time for uint8.

    Args:
        images: (B, H, W, C).
        x, y: columns and rows in pixels, float32 (B, H', W'): (0, 0) is the centre of the first pixel.
        fill_mode, fill_value: see `RandomAffine`. Constant is what lies a pixel or more outside.

    Returns:
        (B, H', W', C) in the dtype of the images, rounded if that has only integers.
    """
    if fill_mode != "constant":
        height, width = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float32))
        x, y = INSIDE[fill_mode](x, width - 1), INSIDE[fill_mode](y, height - 1)
    return _blend(images, *_corners(images, x, y), tf.constant(fill_value))


@fused
def _nearest(points, last):
    return tf.clip_by_value(points, 0, last)


@fused
def _reflected(points, last):
    return tf.abs(tf.math.floormod(points + last, tf.maximum(2 * last, 1)) - last)


INSIDE = {"nearest": _nearest, "reflect": _reflected}  # where inside of an image the same values are


# Two fused steps: in one, XLA would compute the corners again for every channel, at one and a half times the time.
@fused
def _corners(images, x, y):
    """For each point: the index of the pixel to its upper left, the way from there, and how much of it is inside."""
    count, height, width, _ = tf.unstack(tf.shape(images))
    column, right, across = _between(x, width)
    row, down, along = _between(y, height)
    return (tf.range(count)[:, None, None] * height + row) * width + column, right, down, across * along


def _between(points, size):
    """A coordinate beyond the first or the last pixel is taken there, and less of it is inside: none, a pixel away."""
    last = tf.cast(size - 1, tf.float32)
    cover = tf.clip_by_value(1 + tf.minimum(points, last - points), 0, 1)
    points = tf.clip_by_value(points, 0, last)
    first = tf.minimum(tf.floor(points), tf.maximum(last - 1, 0))
    return tf.cast(first, tf.int32), points - first, cover


@fused
def _blend(images, index, right, down, cover, fill):
    _, height, width, channels = tf.unstack(tf.shape(images))
    table = tf.reshape(images, [-1, channels])  # of all pixels: their channels are gathered together
    far, left = cover * right, cover * (1 - right)
    step, line = tf.minimum(width - 1, 1), width * tf.minimum(height - 1, 1)
    total = (fill * (1 - cover))[..., None]
    for place, weight in [
        (index, left * (1 - down)),
        (index + step, far * (1 - down)),
        (index + line, left * down),
        (index + line + step, far * down),
    ]:
        total += tf.cast(tf.gather(table, place), tf.float32) * weight[..., None]
    return tf.ensure_shape(rounded(total, images.dtype), [*index.shape, images.shape[-1]])

"""The test protocols of the papers: several views of one image, over which a network's answers are averaged.

A protocol is called with one image (H, W, C) of any size, numeric dtype and range. It returns its views, float32
(count, h, w, C) in the units of the input, not rounded; the second half of them mirrors the first.
`evaluation_batches(views=...)` makes batches of them, `kvision.evaluation.averaged` the network that reads those. The
views of `Whole` keep the proportions of the image: they are for `kvision.evaluation.dense`.
"""

from dataclasses import dataclass
from typing import ClassVar

import tensorflow as tf

from kvision.data.images import KERNELS, resize_for_evaluation


@dataclass(frozen=True)
class Mirrored:
    """The crop of `resize_for_evaluation` and its mirror image.

    Args:
        size, crop_fraction, interpolation, squash: see `resize_for_evaluation`.

    Raises:
        ValueError: what `resize_for_evaluation` refuses, when an image comes; an image that is not (H, W, C).
    """

    count: ClassVar[int] = 2

    size: int | tuple[int, int] = 224
    crop_fraction: float = 1.0
    interpolation: str = "bilinear"
    squash: bool = False

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        resizing = self.size, self.crop_fraction, self.interpolation, self.squash
        return _and_mirrored([resize_for_evaluation(_one_image(image), *resizing)])


@dataclass(frozen=True)
class Whole:
    """All of the resized image, and its mirror image: what a network sees that is applied densely.

    Very Deep Convolutional Networks (VGG): Simonyan & Zisserman, arXiv:1409.1556, section 3.2.

    Views of images of different proportions differ in size, so that a batch holds one image, unless all are alike.

    Args:
        shorter: the shorter side of the image after an antialiased resize that keeps the aspect ratio: the paper's Q.
        interpolation: "bilinear" or "bicubic" (Keys, a = -0.5).

    Raises:
        ValueError: a shorter side below 1, another interpolation; an image that is not (H, W, C).
    """

    count: ClassVar[int] = 2

    shorter: int = 256
    interpolation: str = "bilinear"

    def __post_init__(self):
        _check(1, (self.shorter,), self.interpolation)

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        return _and_mirrored([_resized(image, self.shorter, self.interpolation)])


@dataclass(frozen=True)
class TenCrops:
    """The four corners and the centre of the resized image, and their mirror images.

    ImageNet Classification with Deep Convolutional Neural Networks (AlexNet): Krizhevsky, Sutskever & Hinton, NIPS
    2012, section 4.1: "the standard 10-crop testing" of ResNet (He et al. 2015, arXiv:1512.03385, section 3.4).
    AlexNet takes the corners of the image's central square, of 256 x 256. Here they are those of the whole image, as
    in torchvision.

    The order is that of torchvision's ten_crop: top left, top right, bottom left, bottom right, centre, then the mirror
    images of these.

    Args:
        size: height and width of a view in pixels.
        shorter: the shorter side of the image after an antialiased resize that keeps the aspect ratio.
        interpolation: "bilinear" or "bicubic" (Keys, a = -0.5).

    Raises:
        ValueError: a size below 1, a shorter side below the size, another interpolation; an image that is not
            (H, W, C).
    """

    count: ClassVar[int] = 10

    size: int = 224
    shorter: int = 256
    interpolation: str = "bilinear"

    def __post_init__(self):
        _check(self.size, (self.shorter,), self.interpolation)

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        return _and_mirrored(_corners_and_centre(_resized(image, self.shorter, self.interpolation), self.size))


@dataclass(frozen=True)
class GridCrops:
    """Crops on a regular grid over the whole resized image, and their mirror images: 5 * 5 * 2 = 50.

    Very Deep Convolutional Networks (VGG): Simonyan & Zisserman, arXiv:1409.1556, section 3.2, which has 150 of them:
    `views=(GridCrops(shorter=256), GridCrops(shorter=384), GridCrops(shorter=512))`.

    The order: row by row from the top left; then the mirror images of these.

    Args:
        size: height and width of a view in pixels.
        shorter: the shorter side of the image after an antialiased resize that keeps the aspect ratio.
        grid: rows and columns; the outermost touch the borders of the image.
        interpolation: "bilinear" or "bicubic" (Keys, a = -0.5).

    Raises:
        ValueError: a size below 1, a shorter side below the size, a grid below 2, another interpolation; an image that
            is not (H, W, C).
    """

    size: int = 224
    shorter: int = 256
    grid: int = 5
    interpolation: str = "bilinear"

    def __post_init__(self):
        if self.grid < 2:
            raise ValueError(f"grid must be 2 or more rows and columns, got {self.grid!r}")
        _check(self.size, (self.shorter,), self.interpolation)

    @property
    def count(self) -> int:
        return 2 * self.grid**2

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        image = _resized(image, self.shorter, self.interpolation)
        room, last = tf.shape(image)[:2] - self.size, self.grid - 1
        half = [number * room // last for number in range(self.grid // 2)]  # rounded down, and as far from the end
        middle = [_half(room)] if self.grid % 2 else []
        places = [*half, *middle, *(room - place for place in reversed(half))]
        return _and_mirrored([_cut(image, (row[0], column[1]), self.size) for row in places for column in places])


@dataclass(frozen=True)
class Crops144:
    """Six views of each of three squares at each of four scales, and their mirror images: 4 * 3 * 6 * 2 = 144.

    Going Deeper with Convolutions (GoogLeNet): Szegedy et al., CVPR 2015, arXiv:1409.4842, section 7. The squares are
    left, centre and right of an image that is wider than high, or else top, centre and bottom. Their side is the
    shorter one of the image. The views of a square are its four corners, its centre, and all of it resized.

    The order: by scale, of a scale by square, of a square as just told; then the mirror images of these 72.

    Args:
        size: height and width of a view in pixels.
        shorter: the four shorter sides of the image after antialiased resizes that keep the aspect ratio.
        interpolation: "bilinear" or "bicubic" (Keys, a = -0.5).

    Raises:
        ValueError: a size below 1, not four shorter sides, one of them below the size, another interpolation; an image
            that is not (H, W, C).
    """

    count: ClassVar[int] = 144

    size: int = 224
    shorter: tuple[int, int, int, int] = (256, 288, 320, 352)
    interpolation: str = "bilinear"

    def __post_init__(self):
        object.__setattr__(self, "shorter", tuple(self.shorter))
        if len(self.shorter) != 4:
            raise ValueError(f"shorter must be the shorter sides of four scales, got {self.shorter!r}")
        _check(self.size, self.shorter, self.interpolation)

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        views = []
        for side in self.shorter:
            resized = _resized(image, side, self.interpolation)
            for square in _three_squares(resized, side):
                whole = resize_for_evaluation(square, self.size, interpolation=self.interpolation)
                views += [*_corners_and_centre(square, self.size), whole]
        return _and_mirrored(views)


def _check(size, shorter, interpolation):
    if size < 1:
        raise ValueError(f"size must be a positive integer, got {size!r}")
    if min(shorter) < size:
        raise ValueError(f"shorter must not be below the size {size} of the views, got {min(shorter)!r}")
    if interpolation not in KERNELS:
        raise ValueError(f"interpolation must be one of {', '.join(KERNELS)}, got {interpolation!r}")


def _one_image(image):
    image = tf.convert_to_tensor(image)
    if image.shape.rank != 3:
        raise ValueError(f"views are made of one image (H, W, C), got {image.shape}")
    return image


def _resized(image, shorter, interpolation):
    """The whole image in the size that `resize_for_evaluation` crops the centre of, float32."""
    image = _one_image(image)
    old = tf.shape(image)[:2]
    new = old * shorter // tf.reduce_min(old)
    return tf.raw_ops.ScaleAndTranslate(
        images=image[tf.newaxis],
        size=new,
        scale=tf.cast(new / old, tf.float32),
        translation=(0.0, 0.0),
        kernel_type=KERNELS[interpolation],
        antialias=True,
    )[0]


def _three_squares(image, side):
    """Left, centre and right of an image whose shorter side is its height, else top, centre and bottom."""
    room = tf.shape(image)[:2] - side  # 0 along the shorter side
    return [_cut(image, corner, side) for corner in (tf.zeros_like(room), _half(room), room)]


def _corners_and_centre(image, size):
    room = tf.shape(image)[:2] - size
    bottom, right = tf.unstack(room)
    return [_cut(image, corner, size) for corner in ((0, 0), (0, right), (bottom, 0), (bottom, right), _half(room))]


def _half(room):
    """Of a margin, rounded to even, as in torchvision's center_crop."""
    return tf.cast(tf.round(tf.cast(room, tf.float32) / 2), tf.int32)


def _cut(image, corner, size):
    window = image[corner[0] : corner[0] + size, corner[1] : corner[1] + size]
    return tf.ensure_shape(window, (size, size, image.shape[-1]))


def _and_mirrored(views):
    views = tf.stack(views)
    return tf.concat([views, tf.reverse(views, [2])], 0)

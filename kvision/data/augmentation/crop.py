"""Random windows of images of any size, brought to one size: the crops of AlexNet, VGG, ResNet and GoogLeNet.

They work on one image, before the batch is made (`training_batches(crop=...)`), or on a batch. `window` tells which
part of an image will be seen: only that has to be decoded.
"""

import math

import keras
import tensorflow as tf

from kvision.data.augmentation.base import Augmentation, fused, rounded
from kvision.data.images import KERNELS


class Window(Augmentation):
    """Base of the random windows. A subclass defines `windows(height, width, count, seed)`, int32 (count, 4).

    Args:
        size: height and width of the result in pixels; one integer for both.

    Raises:
        ValueError: a size below 1.
    """

    def __init__(self, size: int | tuple[int, int], **kwargs):
        super().__init__(**kwargs)
        self.size = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        if min(self.size) < 1:
            raise ValueError(f"size must be one or two positive integers, got {size!r}")

    def window(self, shape, seed) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Top, left, height and width of what is seen of an image of this shape (H, W, C) with this seed, int32.

        `layer(image, seed=seed)` is `layer.resize(image[top : top + height, left : left + width])`.
        """
        height, width, _ = tf.unstack(tf.cast(shape, tf.int32))
        return tuple(tf.unstack(self.windows(height, width, 1, tf.cast(seed, tf.int64))[0]))

    def windows(self, height: tf.Tensor, width: tf.Tensor, count: int | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define windows(height, width, count, seed)")

    def resize(self, window: tf.Tensor) -> tf.Tensor:
        """What was cut out, (h, w, C), in the layer's size and the same dtype."""
        return tf.ensure_shape(window, (*self.size, window.shape[-1]))

    def call(self, images, seed):
        count, height, width, _ = tf.unstack(tf.shape(images))

        def cut(pair):
            image, (top, left, height, width) = pair[0], tf.unstack(pair[1])
            return self.resize(image[top : top + height, left : left + width])

        windows = self.windows(height, width, count, seed)
        if images.shape[0] == 1:  # without a loop
            return cut((images[0], windows[0]))[tf.newaxis]
        result = tf.TensorSpec((*self.size, images.shape[-1]), images.dtype)
        return tf.map_fn(cut, (images, windows), fn_output_signature=result)

    def get_config(self):
        return {**super().get_config(), "size": self.size}


class ResizedWindow(Window):
    """Base of the random windows of other sizes than the result's.

    Args:
        interpolation: "bilinear" or "bicubic" (Keys, a = -0.5), both antialiased.

    Raises:
        ValueError: another interpolation.
    """

    def __init__(self, size: int | tuple[int, int], interpolation: str, **kwargs):
        super().__init__(size, **kwargs)
        if interpolation not in KERNELS:
            raise ValueError(f"interpolation must be one of {', '.join(KERNELS)}, got {interpolation!r}")
        self.interpolation = interpolation

    def resize(self, window):
        larger = tf.reduce_any(tf.shape(window)[:2] > self.size)
        if self.interpolation == "bilinear":  # where nothing shrinks, nothing is antialiased: the same in half the time
            resized = tf.cond(larger, lambda: self._antialiased(window), lambda: self._plain(window))
        else:
            resized = self._antialiased(window)
        return _in_the_dtype_of(tf.zeros([], window.dtype), tf.ensure_shape(resized, (*self.size, window.shape[-1])))

    def _antialiased(self, window):
        return tf.raw_ops.ScaleAndTranslate(
            images=window[tf.newaxis],
            size=self.size,
            scale=tf.cast(self.size / tf.shape(window)[:2], tf.float32),
            translation=(0.0, 0.0),
            kernel_type=KERNELS[self.interpolation],
            antialias=True,
        )[0]

    def _plain(self, window):
        return tf.raw_ops.ResizeBilinear(images=window[tf.newaxis], size=self.size, half_pixel_centers=True)[0]

    def get_config(self):
        return {**super().get_config(), "interpolation": self.interpolation}


@fused
def _in_the_dtype_of(example, values):
    return rounded(values, example.dtype)


def _places(room: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Corners of windows: int32, uniform over 0 ... room in each place of the tensor."""
    return tf.cast(tf.random.stateless_uniform(tf.shape(room), seed) * tf.cast(room + 1, tf.float32), tf.int32)


@keras.saving.register_keras_serializable(package="kvision")
class RandomCrop(Window):
    """A window of the given size, pixel by pixel, at any place of the image with the same probability.

    ImageNet Classification with Deep Convolutional Neural Networks (AlexNet): Krizhevsky, Sutskever & Hinton, NIPS
    2012, section 4.1: 224 x 224 of 256 x 256, and mirrored half of the time (`RandomFlip`).

    Args:
        size: height and width of the window in pixels; one integer for both.

    Raises:
        ValueError: a size below 1.
        tf.errors.InvalidArgumentError: an image that is smaller than the window.
    """

    def __init__(self, size: int | tuple[int, int] = 224, **kwargs):
        super().__init__(size, **kwargs)

    def windows(self, height, width, count, seed):
        room = tf.stack([height, width]) - self.size
        message = f"RandomCrop cuts windows of {self.size}. The image is smaller, height and width:"
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(room >= 0), [message, height, width])]):
            corners = _places(tf.tile(room[tf.newaxis], [count, 1]), seed)
        return tf.concat([corners, tf.tile([self.size], [count, 1])], 1)


@keras.saving.register_keras_serializable(package="kvision")
class RandomScaleCrop(ResizedWindow):
    """A window of an image that was resized to a random size: "scale jittering".

    Very Deep Convolutional Networks for Large-Scale Image Recognition (VGG): Simonyan & Zisserman, ICLR 2015,
    arXiv:1409.1556, section 3.1.1: with the aspect ratio kept, the shorter side becomes S, an integer uniform in [256,
    512]. ResNet (He et al. 2015, arXiv:1512.03385, section 3.4) takes [256, 480].

    Args:
        size: height and width of the window after the resize; one integer for both.
        shorter: the least and the greatest S, in pixels, not below the size.
        interpolation: "bilinear" or "bicubic" (Keys, a = -0.5), both antialiased.
        square: whether the window lies in the square in the middle of the image. AlexNet's images were cut to that
            before: 224 x 224 of 256 x 256 are `RandomScaleCrop(224, (256, 256), square=True)`.

    Raises:
        ValueError: a size below 1, other limits, or another interpolation.
    """

    def __init__(
        self,
        size: int | tuple[int, int] = 224,
        shorter: tuple[int, int] = (256, 512),
        interpolation: str = "bilinear",
        square: bool = False,
        **kwargs,
    ):
        super().__init__(size, interpolation, **kwargs)
        self.square = bool(square)
        low, high = (int(side) for side in shorter)
        if not max(self.size) <= low <= high:
            raise ValueError(f"shorter must be two integers in order, not below the size {size!r}, got {shorter!r}")
        self.shorter = (low, high)

    def windows(self, height, width, count, seed):
        scaling, placing = tf.unstack(tf.random.split(seed, 2))
        low, high = self.shorter
        shorter = tf.random.stateless_uniform([count, 1], scaling, low, high + 1, tf.int32)
        # The window is taken from the image as it is, in whole pixels of it, and then resized: decoding it is enough.
        # Its sides differ by up to half a pixel from those that S asks for.
        sides = tf.cast(tf.minimum(height, width), tf.float32) / tf.cast(shorter, tf.float32)
        window = tf.maximum(tf.cast(tf.round(tf.cast(self.size, tf.float32) * sides), tf.int32), 1)
        whole = tf.stack([height, width])
        seen = tf.fill([2], tf.minimum(height, width)) if self.square else whole
        return tf.concat([(whole - seen) // 2 + _places(seen - window, placing), window], 1)

    def get_config(self):
        return {**super().get_config(), "shorter": self.shorter, "square": self.square}


@keras.saving.register_keras_serializable(package="kvision")
class RandomResizedCrop(ResizedWindow):
    """A window of random area and aspect ratio, resized: the "Inception crop".

    Going Deeper with Convolutions (GoogLeNet): Szegedy et al., CVPR 2015, arXiv:1409.4842, section 6: "size is
    distributed evenly between 8% and 100% of the image area with aspect ratio constrained to the interval [3/4, 4/3]".
    What that leaves open is decided as in fb.resnet.torch, with which the ResNets of most papers were trained: the
    ratio is uniform, and is that of width to height or of height to width with the same probability; sides are rounded;
    of ten tries the first is taken that fits into the image, at a uniform place; if none does, the largest centred
    window with the aspect ratio of the result.

    Args:
        size: height and width of the result in pixels; one integer for both.
        area: the least and the greatest part of the image's area.
        aspect: the least and the greatest ratio of the sides.
        interpolation: "bilinear", as in torchvision, or "bicubic" (Keys, a = -0.5), as in fb.resnet.torch and timm;
            both antialiased.
        log_aspect: whether the logarithm of the ratio, width to height, is uniform, as in torchvision and timm.

    Raises:
        ValueError: a size below 1, an area that is not in (0, 1] or not in order, likewise an aspect above 0, or
            another interpolation.
    """

    tries = 10

    def __init__(
        self,
        size: int | tuple[int, int] = 224,
        area: tuple[float, float] = (0.08, 1.0),
        aspect: tuple[float, float] = (3 / 4, 4 / 3),
        interpolation: str = "bilinear",
        log_aspect: bool = False,
        **kwargs,
    ):
        super().__init__(size, interpolation, **kwargs)
        if not 0 < area[0] <= area[1] <= 1:
            raise ValueError(f"area must be the least and the greatest part, in (0, 1], got {area!r}")
        if not 0 < aspect[0] <= aspect[1]:
            raise ValueError(f"aspect must be the least and the greatest ratio, above 0, got {aspect!r}")
        self.area, self.aspect, self.log_aspect = tuple(area), tuple(aspect), bool(log_aspect)

    def draw(self, count: int | tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Parts of the area and ratios of width to height of all the tries, float32 (count, tries)."""
        sizing, shaping, turning = tf.unstack(tf.random.split(seed, 3))
        shape, (low, high) = [count, self.tries], self.aspect
        area = tf.random.stateless_uniform(shape, sizing, *self.area)
        if self.log_aspect:
            return area, tf.exp(tf.random.stateless_uniform(shape, shaping, math.log(low), math.log(high)))
        aspect = tf.random.stateless_uniform(shape, shaping, low, high)
        return area, tf.where(tf.random.stateless_uniform(shape, turning) < 0.5, 1 / aspect, aspect)

    def windows(self, height, width, count, seed):
        drawing, placing = tf.unstack(tf.random.split(seed, 2))
        area, aspect = self.draw(count, drawing)
        whole = tf.stack([height, width])
        area *= tf.reduce_prod(tf.cast(whole, tf.float32))
        sides = tf.stack([tf.sqrt(area / aspect), tf.sqrt(area * aspect)], -1)
        sides = tf.maximum(tf.cast(tf.round(sides), tf.int32), 1)  # (count, tries, 2)
        fits = tf.reduce_all(sides <= whole, -1)
        window = tf.gather(sides, tf.argmax(tf.cast(fits, tf.int32), 1), batch_dims=1)
        corner = _places(tf.maximum(whole - window, 0), placing)

        scale = tf.reduce_min(tf.cast(whole, tf.float32) / self.size)
        central = tf.maximum(tf.cast(tf.round(scale * self.size), tf.int32), 1)
        found = tf.reduce_any(fits, 1, keepdims=True)
        window, corner = tf.where(found, window, central), tf.where(found, corner, (whole - central) // 2)
        return tf.concat([corner, window], 1)

    def get_config(self):
        mine = {"area": self.area, "aspect": self.aspect, "log_aspect": self.log_aspect}
        return {**super().get_config(), **mine}

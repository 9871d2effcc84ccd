"""Random colours: what changes every pixel of an image alike."""

import keras
import tensorflow as tf

from kvision.data.augmentation.base import Augmentation, fused, rounded

# Of the training pixels of ImageNet, red, green and blue in [0, 1]: as fb.resnet.torch has them, to four digits.
IMAGENET_EIGENVALUES = (0.2175, 0.0188, 0.0045)
IMAGENET_EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


@keras.saving.register_keras_serializable(package="kvision")
class PCALighting(Augmentation):
    """Adds one random colour to all pixels of an image, along the principal components of the training set's.

    ImageNet Classification with Deep Convolutional Neural Networks: Krizhevsky, Sutskever & Hinton, NIPS 2012, section
    4.1: [p1 p2 p3] [a1 l1, a2 l2, a3 l3]^T with the eigenvectors p, the eigenvalues l and a ~ N(0, deviation^2), drawn
    once for each image. Images are (B, H, W, 3) in 0 ... 255; what is not integer is not clipped.

    Args:
        deviation: of the random factors a.
        eigenvalues: three, for pixels in [0, 1]. The default is ImageNet's, from fb.resnet.torch.
        eigenvectors: (3, 3), a row for each of red, green and blue, a column for each eigenvalue.

    Raises:
        ValueError: a negative deviation, eigenvalues or eigenvectors of another shape, or images without 3 channels.
    """

    def __init__(
        self, deviation: float = 0.1, eigenvalues=IMAGENET_EIGENVALUES, eigenvectors=IMAGENET_EIGENVECTORS, **kwargs
    ):
        super().__init__(**kwargs)
        if deviation < 0:
            raise ValueError(f"deviation must be 0 or more, got {deviation!r}")
        self.deviation = float(deviation)
        self.eigenvalues = tuple(float(value) for value in eigenvalues)
        self.eigenvectors = tuple(tuple(float(value) for value in row) for row in eigenvectors)
        if [len(row) for row in (self.eigenvalues, *self.eigenvectors)] != [3] * 4:
            raise ValueError(f"eigenvalues are three, eigenvectors (3, 3), got {eigenvalues!r} and {eigenvectors!r}")

    def call(self, images, seed):
        if images.shape[-1] != 3:
            raise ValueError(f"PCALighting takes images with red, green and blue, got the shape {images.shape}")
        factors = tf.random.stateless_normal([tf.shape(images)[0], 3], seed, stddev=self.deviation)
        colour = tf.linalg.matmul(255 * factors * self.eigenvalues, self.eigenvectors, transpose_b=True)
        return _lit(images, colour)

    def get_config(self):
        own = {"deviation": self.deviation, "eigenvalues": self.eigenvalues, "eigenvectors": self.eigenvectors}
        return {**super().get_config(), **own}


@fused
def _lit(images, colour):
    return rounded(tf.cast(images, tf.float32) + colour[:, None, None, :], images.dtype)


@keras.saving.register_keras_serializable(package="kvision")
class ColorJitter(Augmentation):
    """Changes brightness, contrast, saturation and hue of each image, in an order drawn for it.

    As in fb.resnet.torch, whose ResNets it trained, and with torchvision's names, clips and hue. A factor f is uniform
    in [max(0, 1 - x), 1 + x]. The image becomes f times itself plus 1 - f times black (brightness), the mean of its
    grey image (contrast) or its grey image (saturation), where grey is 0.299 R + 0.587 G + 0.114 B. Hue is turned by a
    part of the circle, uniform in [-x, x]. After each step pixels are clipped to 0 ... 255; they are rounded, where
    the dtype is integer, after the last.

    Images of one channel keep their saturation and hue.

    Args:
        brightness: x of the factor of brightness. 0 leaves the step out, here and below.
        contrast: of contrast.
        saturation: of saturation.
        hue: of hue, at most 0.5, which is half of the circle.

    Raises:
        ValueError: a negative argument, a hue above 0.5, or images with another number of channels than 1 or 3.
    """

    def __init__(
        self, brightness: float = 0.4, contrast: float = 0.4, saturation: float = 0.4, hue: float = 0.0, **kwargs
    ):
        super().__init__(**kwargs)
        if min(brightness, contrast, saturation, hue) < 0 or hue > 0.5:
            raise ValueError(
                "brightness, contrast and saturation must be 0 or more, hue in [0, 0.5], "
                f"got {brightness!r}, {contrast!r}, {saturation!r} and {hue!r}"
            )
        self.brightness, self.contrast, self.saturation, self.hue = brightness, contrast, saturation, hue

    def call(self, images, seed):
        if images.shape[-1] not in (1, 3):
            raise ValueError(f"ColorJitter takes images with 1 or 3 channels, got the shape {images.shape}")
        color = images.shape[-1] == 3
        steps = [name for name in ("brightness", "contrast", "saturation") if getattr(self, name) > 0]
        steps = [name for name in steps if color or name != "saturation"]
        turns = color and self.hue > 0
        if not steps and not turns:
            return images
        ordering, drawing, turning = tf.unstack(tf.random.split(seed, 3))
        count, strengths = tf.shape(images)[0], tf.constant([getattr(self, name) for name in steps], tf.float32)
        times = tf.random.stateless_uniform([count, len(steps) + 1], ordering)  # the last is when hue is turned
        order = tf.argsort(times[:, :-1])
        low = tf.maximum(1 - strengths, 0)
        factors = low + (1 + strengths - low) * tf.random.stateless_uniform([count, len(steps)], drawing)
        own = tf.gather(factors, order, batch_dims=1)
        grey, mean = (
            tf.where(tf.gather(tf.constant([step == name for step in steps], tf.bool), order), 1 - own, 0.0)
            for name in ("saturation", "contrast")
        )
        x = images
        if turns:  # between two passes: as one they take 20 times as long, and 10 s to compile
            early = tf.gather(times, order, batch_dims=1) < times[:, -1:]
            x = _blended(
                tf.cast(x, tf.float32),
                tf.where(early, own, 1.0),
                tf.where(early, grey, 0.0),
                tf.where(early, mean, 0.0),
                tf.zeros([]),
            )
            x = _turned(x, tf.random.stateless_uniform([count], turning, -self.hue, self.hue))
            own, grey, mean = tf.where(early, 1.0, own), tf.where(early, 0.0, grey), tf.where(early, 0.0, mean)
        return _blended(x, own, grey, mean, tf.zeros([], images.dtype))

    def get_config(self):
        own = {name: getattr(self, name) for name in ("brightness", "contrast", "saturation", "hue")}
        return {**super().get_config(), **own}


@fused
def _blended(images, own, grey, mean, like):
    """What `_steps` makes of images (B, H, W, C), in the dtype of `like`; `mean` (B, steps) has one step at most.

    The mean of the grey image is that before its step. Parameters that change nothing cost as much as others.
    """
    x = tf.cast(images, tf.float32)
    # That mean first, on planes, which are fast to sum: of images that take the steps before and no others.
    before = tf.cumsum(tf.cast(mean != 0, tf.int32), 1) == 0
    planes = tf.transpose(x, [0, 3, 1, 2])
    planes = _steps(planes, 1, tf.where(before, own, 1.0)[:, :-1], tf.where(before, grey, 0.0)[:, :-1], 0 * mean)
    means = tf.reduce_mean(tf.reduce_mean(_grey(planes, 1), 2), 2)
    return rounded(_steps(x, 3, own, grey, mean * means), like.dtype)


def _steps(x, axis, own, grey, constant):
    """Each step makes of x: own * x + grey * (grey image) + constant, clipped. Parameters are (B, steps)."""
    for step in range(own.shape[1]):
        a, b, c = (parameter[:, step, None, None, None] for parameter in (own, grey, constant))
        x = tf.clip_by_value(a * x + b * _grey(x, axis) + c, 0.0, 255.0)
    return x


def _grey(x, axis):
    if x.shape[axis] == 1:
        return x
    red, green, blue = tf.unstack(x, 3, axis)
    return tf.expand_dims(0.299 * red + 0.587 * green + 0.114 * blue, axis)


@fused
def _turned(x, turn):
    """The hue moved by a part of the circle (B,), value and chroma kept."""
    red, green, blue = tf.unstack(x, 3, -1)
    high, low = tf.maximum(tf.maximum(red, green), blue), tf.minimum(tf.minimum(red, green), blue)
    hue = tf.where(high == red, green - blue, tf.where(high == green, blue - red, red - green))
    hue = tf.math.divide_no_nan(hue, high - low) + tf.where(high == red, 0.0, tf.where(high == green, 2.0, 4.0))
    # Each channel is a trapezoid of the hue: https://en.wikipedia.org/wiki/HSL_and_HSV#HSV_to_RGB_alternative
    k = (hue + 6 * turn[:, None, None])[..., None] + tf.constant([5.0, 3.0, 1.0])
    k -= 6 * tf.floor(k / 6)
    return high[..., None] - (high - low)[..., None] * tf.clip_by_value(tf.minimum(k, 4 - k), 0.0, 1.0)

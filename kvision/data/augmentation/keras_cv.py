"""RandAugment and AugMix, of operations that keras-cv has: the only file that needs it.

keras-cv is no longer developed, and its layers draw from states and from TensorFlow's stateful random operations.
Here it supplies the operations on one image; which ones, and how strong, is drawn from the seed of the call.
"""

import keras
import tensorflow as tf

from kvision.data.augmentation.base import Augmentation, rounded
from kvision.data.augmentation.from_keras import Keys
from kvision.data.augmentation.mixing import beta, dirichlet


class _Operations(Augmentation):
    """Base of what applies random operations to each image (H, W, C), float32: they follow each other and are mixed.

    A subclass defines `operations()`, a list of callables, and `one(image, seed)`, which calls `self.apply`.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._draws, self._operations = _Draws(), self.operations()
        for layer in self._operations:
            if isinstance(layer, keras.layers.Layer):
                self._draws.replace(layer)
        self._traced = tf.function(self._apply)  # once, however often it is applied; keras-cv needs AutoGraph

    def call(self, images, seed):
        count = tf.shape(images)[0]
        seeds = tf.random.split(seed, count)
        return tf.map_fn(
            lambda i: rounded(self.one(tf.cast(images[i], tf.float32), seeds[i]), images.dtype),
            tf.range(count),
            fn_output_signature=tf.TensorSpec(images.shape[1:], images.dtype),
        )

    def apply(self, image, which, seed):
        """The image after operation number `which`; after none if it is -1."""
        return self._traced(image, which, seed)

    def _apply(self, image, which, seed):
        self._draws.keys = Keys(seed)
        branches = [lambda layer=layer: layer(image) for layer in self._operations]
        nothing = len(branches)
        result = tf.switch_case(tf.where(which < 0, nothing, which), [*branches, lambda: image])
        return tf.ensure_shape(result, image.shape)

    def operations(self):
        raise NotImplementedError(f"{type(self).__name__} must define operations()")

    def one(self, image, seed):
        raise NotImplementedError(f"{type(self).__name__} must define one(image, seed)")


@keras.saving.register_keras_serializable(package="kvision")
class RandAugment(_Operations):
    """So many operations after each other, each any of keras-cv's, all as strong.

    RandAugment: Practical Automated Data Augmentation with a Reduced Search Space: Cubuk, Zoph, Shlens & Le, NeurIPS
    2020, arXiv:1909.13719, section 3. Of the paper's fourteen operations keras-cv has ten: auto-contrast, equalize,
    solarize, colour, contrast, brightness, shear and translate in x and in y. Rotate, posterize and sharpness are
    missing; the identity is what `rate` leaves.

    Args:
        count: operations for each image, N in the paper: 2 on ImageNet with ResNet-50.
        magnitude: of all operations, M / 10 in the paper: 0.9 there.
        deviation: of the magnitude, where keras-cv draws it from a normal distribution clipped to [0, 1]; contrast,
            brightness and translate draw it between nothing and the magnitude.
        rate: that an operation is applied, in [0, 1].

    Images have three channels.

    Raises:
        ValueError: a count below 0, or a magnitude, deviation or rate outside [0, 1].
    """

    def __init__(
        self,
        count: int = 2,
        magnitude: float = 0.5,
        deviation: float = 0.15,
        rate: float = 10 / 11,
        **kwargs,
    ):
        if count < 0:
            raise ValueError(f"count must be 0 or more operations, got {count!r}")
        for name, value in (("magnitude", magnitude), ("deviation", deviation), ("rate", rate)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {value!r}")
        self.count, self.magnitude, self.deviation, self.rate = count, magnitude, deviation, rate
        super().__init__(**kwargs)

    def operations(self):
        import keras_cv

        return keras_cv.layers.RandAugment.get_standard_policy((0, 255), self.magnitude, self.deviation)

    def one(self, image, seed):
        choosing, skipping, drawing = tf.unstack(tf.random.split(seed, 3))
        kinds = tf.random.stateless_uniform([self.count], choosing, 0, len(self._operations), tf.int32)
        kinds = tf.where(tf.random.stateless_uniform([self.count], skipping) < self.rate, kinds, -1)
        seeds = tf.random.split(drawing, self.count)
        for step in range(self.count):
            image = self.apply(image, kinds[step], seeds[step])
        return image

    def get_config(self):
        own = {"count": self.count, "magnitude": self.magnitude, "deviation": self.deviation, "rate": self.rate}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="kvision")
class AugMix(_Operations):
    """Several chains of operations, mixed with each other and with the image.

    AugMix: A Simple Data Processing Method to Improve Robustness and Uncertainty: Hendrycks, Mu, Cubuk, Zoph, Gilmer &
    Lakshminarayanan, ICLR 2020, arXiv:1912.02781, Algorithm 1, with the nine operations and the strengths of the
    authors' code. The chains and their weights are written here: keras-cv's own AugMix turns by radians where the
    authors have degrees, inverts nearly all pixels where they invert few, and never translates in y.

    Args:
        severity: of each operation, in (0, 1]: tenths of the authors' levels, whose default is 3.
        chains: how many, k in the paper.
        depth: the fewest and the most operations of a chain.
        alpha: of the Dirichlet and the Beta distribution of the weights.

    Raises:
        ValueError: a severity outside (0, 1], no chains, depths that are not in order, or alpha not above 0.
    """

    def __init__(
        self,
        severity: float = 0.3,
        chains: int = 3,
        depth: tuple[int, int] = (1, 3),
        alpha: float = 1.0,
        **kwargs,
    ):
        if not 0 < severity <= 1:
            raise ValueError(f"severity must be in (0, 1], got {severity!r}")
        if chains < 1:
            raise ValueError(f"chains must be 1 or more, got {chains!r}")
        if not 0 <= depth[0] <= depth[1]:
            raise ValueError(f"depth is the fewest and the most operations, from 0 on, got {depth!r}")
        if alpha <= 0:
            raise ValueError(f"alpha must be above 0, got {alpha!r}")
        self.severity, self.chains, self.depth, self.alpha = severity, chains, tuple(depth), float(alpha)
        super().__init__(**kwargs)

    def operations(self):
        from keras_cv import layers

        strength = min(0.01, self.severity), self.severity
        black = {"fill_mode": "constant"}
        shear, shift = [0.3 * value for value in strength], self.severity / 3
        return [
            layers.AutoContrast((0, 255)),
            layers.Equalization((0, 255)),
            self._posterized,
            self._solarized,
            layers.RandomRotation(self.severity * 30 / 360, **black),
            layers.RandomShear(x_factor=shear, **black),
            layers.RandomShear(y_factor=shear, **black),
            layers.RandomTranslation(0.0, shift, **black),
            layers.RandomTranslation(shift, 0.0, **black),
        ]

    def _posterized(self, image):
        step = 2.0 ** tf.floor(4 + self._draws.uniform([], 0.01, self.severity) * 4)
        return tf.floor(image / step) * step

    def _solarized(self, image):
        return tf.where(image < 256 * (1 - self._draws.uniform([], 0.01, self.severity)), image, 255 - image)

    def one(self, image, seed):
        keys = tf.unstack(tf.random.split(seed, 5))
        shape = [self.chains, self.depth[1]]
        kinds = tf.random.stateless_uniform(shape, keys[0], 0, len(self._operations), tf.int32)
        depths = tf.random.stateless_uniform([self.chains], keys[1], self.depth[0], self.depth[1] + 1, tf.int32)
        kinds = tf.where(tf.range(self.depth[1]) < depths[:, None], kinds, -1)
        seeds = tf.reshape(tf.random.split(keys[2], self.chains * self.depth[1]), [*shape, 2])
        weights = dirichlet(self.alpha, self.chains, 1, keys[3])[0]
        mixed = tf.zeros_like(image)
        for chain in range(self.chains):
            result = image
            for step in range(self.depth[1]):
                result = self.apply(result, kinds[chain, step], seeds[chain, step])
            mixed += weights[chain] * result
        own = beta(self.alpha, "batch", 1, keys[4])
        return own * image + (1 - own) * mixed

    def get_config(self):
        own = {"severity": self.severity, "chains": self.chains, "depth": self.depth, "alpha": self.alpha}
        return {**super().get_config(), **own}


class _Draws:
    """In the place of keras-cv's generators and samplers: each draw has a new key."""

    keys: Keys

    def replace(self, layer):
        from keras_cv.core import NormalFactorSampler, UniformFactorSampler

        layer.dtype_policy = "float32"
        layer._random_generator = self
        for name, value in list(vars(layer).items()):
            if isinstance(value, UniformFactorSampler):
                setattr(layer, name, self._uniform(value))
            elif isinstance(value, NormalFactorSampler):
                setattr(layer, name, self._normal(value))

    def uniform(self, shape, minval=0.0, maxval=None, dtype=tf.float32):
        return tf.random.stateless_uniform(shape, self.keys.next(), minval, maxval, dtype)

    def _uniform(self, sampler):
        return lambda shape=(), dtype="float32": self.uniform(shape, sampler.lower, sampler.upper, dtype)

    def _normal(self, sampler):
        def sample(shape=(), dtype="float32"):
            draws = tf.random.stateless_normal(shape, self.keys.next(), sampler.mean, sampler.stddev, dtype)
            return tf.clip_by_value(draws, sampler.min_value, sampler.max_value)

        return sample

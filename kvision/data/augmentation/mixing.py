"""Augmentations that mix the images of a batch, and their labels with them."""

import keras
import tensorflow as tf

from kvision.data.augmentation.base import Augmentation, fused, rounded


class Mixing(Augmentation):
    """Base of the augmentations that mix each image of a batch with another: labels become parts of classes.

    A subclass defines `mix(images, seed)`: the mixed images; the partner of each image, int32 (B,); and the part of
    each image that is its own, float32 (B,) in [0, 1].

    Args:
        classes: how many there are, for labels that are integers.

    Labels are class ids, integers (B,), or parts of classes, (B, classes) of a float dtype, which may be mixed again.
    They come back as float32 (B, classes). With sample weights w the mixture of i and j with parts p and 1 - p weighs
    p w_i + (1 - p) w_j, and its labels are mixed in the same proportion: its cross-entropy is exactly the sum of the
    two that were asked for.

    Raises:
        ValueError: labels of another rank or dtype, integers without `classes`, or another number of classes; or a
            single image.
        tf.errors.InvalidArgumentError: a class id that is not in 0 ... classes - 1.
    """

    def __init__(self, classes: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if classes is not None and classes < 2:
            raise ValueError(f"classes must be 2 or more, got {classes!r}")
        self.classes = classes

    def augment(self, images, labels, sample_weight, seed):
        if images.shape.rank != 4:
            raise ValueError(
                f"{type(self).__name__} mixes the images of a batch (B, H, W, C), got the shape {images.shape}"
            )
        if labels is None and sample_weight is not None:
            raise ValueError(f"{type(self).__name__} got sample weights, but no labels that they could weigh")
        labels = None if labels is None else self._parts(tf.convert_to_tensor(labels))
        images, partners, own = self.mix(images, seed)
        if labels is None:
            return images, None, None
        here, there = own, 1 - own
        if sample_weight is not None:
            weights = tf.cast(sample_weight, tf.float32)
            here, there = here * weights, there * tf.gather(weights, partners)
            sample_weight = here + there
            # A mixture that weighs nothing keeps its own labels.
            here = tf.where(sample_weight > 0, tf.math.divide_no_nan(here, sample_weight), 1.0)
            there = 1 - here
        return images, here[:, None] * labels + there[:, None] * tf.gather(labels, partners), sample_weight

    def mix(self, images: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        raise NotImplementedError(f"{type(self).__name__} must define mix(images, seed)")

    def _parts(self, labels):
        """Labels as parts of classes, float32 (B, classes)."""
        if labels.shape.rank == 1 and labels.dtype.is_integer:
            if self.classes is None:
                raise ValueError(f"{type(self).__name__} needs classes= for labels that are class ids")
            known = tf.reduce_all((labels >= 0) & (labels < tf.cast(self.classes, labels.dtype)))
            message = f"Class ids must be in 0 ... {self.classes - 1}"
            with tf.control_dependencies([tf.debugging.Assert(known, [message, labels], summarize=1000)]):
                return tf.one_hot(labels, self.classes)
        if labels.shape.rank != 2 or not labels.dtype.is_floating:
            raise ValueError(
                f"{type(self).__name__} takes labels that are class ids, integers (B,), or parts of classes, floats "
                f"(B, classes), got {labels.dtype.name} of the shape {labels.shape}"
            )
        if self.classes is not None and labels.shape[1] not in (None, self.classes):
            raise ValueError(f"{type(self).__name__} was made for {self.classes} classes, got {labels.shape[1]}")
        return tf.cast(labels, tf.float32)

    def get_config(self):
        return {**super().get_config(), "classes": self.classes}


@keras.saving.register_keras_serializable(package="kvision")
class Mixup(Mixing):
    """Each image is laid over another, a part of it and the rest of that: x = p x_i + (1 - p) x_j, labels alike.

    mixup: Beyond Empirical Risk Minimization: Zhang, Cisse, Dauphin & Lopez-Paz, ICLR 2018, arXiv:1710.09412, section 2
    and Figure 1a. As there, partners are a random order of the batch, and p ~ Beta(alpha, alpha) is drawn once for it.

    Args:
        alpha: 0.2 on ImageNet, 1 on CIFAR. 0 mixes nothing.
        per: "batch" draws one p for the batch, "sample" one for each image.
        classes: see `Mixing`.

    Raises:
        ValueError: a negative alpha or another `per`; on labels see `Mixing`.
    """

    def __init__(self, alpha: float = 0.2, per: str = "batch", classes: int | None = None, **kwargs):
        super().__init__(classes, **kwargs)
        self.alpha, self.per = check_beta(alpha, per)

    def mix(self, images, seed):
        ordering, drawing = tf.unstack(tf.random.split(seed, 2))
        partners = tf.random.experimental.stateless_shuffle(tf.range(tf.shape(images)[0]), ordering)
        own = beta(self.alpha, self.per, tf.shape(images)[0], drawing)
        return _overlay(images, partners, own), partners, own

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha, "per": self.per}


@fused
def _overlay(images, partners, own):
    x, part = tf.cast(images, tf.float32), own[:, None, None, None]
    return rounded(part * x + (1 - part) * tf.gather(x, partners), images.dtype)


@keras.saving.register_keras_serializable(package="kvision")
class Either(Mixing):
    """Each batch is mixed by one of two layers: mixup and CutMix by turns, as timm trains.

        Either(Mixup(0.2), CutMix(1.0), classes=1000)

    Args:
        first, second: the layers; they need no `classes`.
        probability: that it is the first, in [0, 1].
        classes: see `Mixing`.

    Raises:
        ValueError: layers that do not derive from `Mixing`, or a probability outside [0, 1]; on labels see `Mixing`.
    """

    def __init__(self, first: Mixing, second: Mixing, probability: float = 0.5, classes: int | None = None, **kwargs):
        super().__init__(classes, **kwargs)
        for layer in (first, second):
            if not isinstance(layer, Mixing):
                raise ValueError(f"Either takes two layers that mix images, such as Mixup and CutMix, got {layer!r}")
        if not 0 <= probability <= 1:
            raise ValueError(f"probability must be in [0, 1], got {probability!r}")
        self.first, self.second, self.probability = first, second, probability

    def mix(self, images, seed):
        choosing, mixing = tf.unstack(tf.random.split(seed, 2))
        return tf.cond(
            tf.random.stateless_uniform([], choosing) < self.probability,
            lambda: self.first.mix(images, mixing),
            lambda: self.second.mix(images, mixing),
        )

    def get_config(self):
        layers = {"first": self.first, "second": self.second}
        layers = {name: keras.saving.serialize_keras_object(layer) for name, layer in layers.items()}
        return {**super().get_config(), **layers, "probability": self.probability}

    @classmethod
    def from_config(cls, config):
        layers = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("first", "second")}
        return cls(**{**config, **layers})


def check_beta(alpha: float, per: str) -> tuple[float, str]:
    if alpha < 0:
        raise ValueError(f"alpha must be 0 or more, got {alpha!r}")
    if per not in ("batch", "sample"):
        raise ValueError(f'per must be "batch" or "sample", got {per!r}')
    return float(alpha), per


def beta(alpha: float, per: str, count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws of Beta(alpha, alpha), float32 (count,): all the same `per` "batch". 1 for alpha 0."""
    if alpha == 0:
        return tf.ones([count])
    return tf.broadcast_to(dirichlet(alpha, 2, 1 if per == "batch" else count, seed)[:, 0], [count])


def dirichlet(alpha: float, parts: int, count: int | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws of the symmetric Dirichlet distribution, float32 (count, parts), each of which sums to 1."""
    first, second = tf.unstack(tf.random.split(seed, 2))
    # Shares of Gamma variables, by their logarithms, since for a small alpha all would be 0: with a uniform U,
    # Gamma(alpha) = Gamma(alpha + 1) U^(1 / alpha).
    gamma = tf.random.stateless_gamma([count, parts], first, alpha + 1)
    uniform = 1 - tf.random.stateless_uniform([count, parts], second)
    return tf.nn.softmax(tf.math.log(gamma) + tf.math.log(uniform) / alpha)

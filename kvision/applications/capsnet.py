"""Dynamic Routing Between Capsules: Sabour, Frosst & Hinton, NIPS 2017, arXiv:1710.09829.

Section 4 and Figure 1 are `CapsuleNetwork`, section 4.1 and Figure 2 `decode` and `Reconstruction`, section 5
`Baseline`. The margin loss of section 3 is `kvision.losses.MarginLoss`.
"""

import math
from dataclasses import dataclass

import keras
from keras import ops

from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.blocks.bind import bind
from kvision.blocks.conv import conv_relu, he
from kvision.blocks.head import classify, dense_relu, flatten
from kvision.classifier import Preprocess, TrainingHead
from kvision.layers import Capsule, CapsuleLength, PrimaryCapsules

PAPER = Paper(
    title="Dynamic Routing Between Capsules",
    authors=("Sara Sabour", "Nicholas Frosst", "Geoffrey E. Hinton"),
    venue="NIPS 2017",
    month="2017-10",
    arxiv="1710.09829",
)


def decode(x, shape: tuple[int, int, int], hidden: tuple[int, ...]):
    """Figure 2: capsules `(B, J, D)`, all but one of them zero, to an image `(B, *shape)` in [0, 1]."""
    x = keras.layers.Flatten(name="capsules")(x)
    for number, units in enumerate(hidden, 1):
        x = keras.layers.Dense(units, activation="relu", name=f"fc{number}")(x)
    x = keras.layers.Dense(math.prod(shape), activation="sigmoid", dtype="float32", name="pixels")(x)
    return keras.layers.Reshape(shape, dtype="float32", name="image")(x)


@keras.saving.register_keras_serializable(package="kvision")
class ReconstructionHead(TrainingHead):
    """A decoder whose output is compared with the network's input: the sum of squared differences, times `weight`.

    It sees the capsules of one class at a time, the others masked with zeros. Several digits of one image are decoded
    one by one, and their sum is compared with the image. Overlapping ink is clipped to 1: where the image has 1, a
    larger sum is no error. (The authors' code compares each with an image of its digit alone, which labels do not
    hold.)

    Args:
        branch: a model from capsules `(B, J, D)` to images `(B, H, W, C)`.
        weight: of the sum over the pixels, 0.0005 in the paper: 0.392 of the mean over 784 pixels.
        digits: how many classes an image shows.
    """

    def __init__(self, branch, weight=0.0005, digits=1, **kwargs):
        super().__init__(branch, weight, **kwargs)
        self.digits = int(digits)

    def reconstruct(self, capsules, classes, training=False):
        """Images `(B, K, H, W, C)` of K classes `(B, K)`, each from its capsule alone, of capsules `(B, J, D)`."""
        _, above, size = capsules.shape
        masks = ops.one_hot(classes, above, dtype=capsules.dtype)
        masked = ops.expand_dims(capsules, 1) * ops.expand_dims(masks, -1)  # (B, K, J, D)
        images = self.branch(ops.reshape(masked, (-1, above, size)), training=training)
        return ops.reshape(images, (-1, classes.shape[1], *images.shape[1:]))

    def shown(self, labels, above: int):
        """Class ids `(B, K)` of labels: ids `(B,)` or `(B, 1)`, or scores of all classes, whose largest are taken."""
        if len(labels.shape) == 2 and labels.shape[1] == above:
            return ops.top_k(labels, self.digits)[1]
        return ops.reshape(ops.cast(labels, "int32"), (-1, 1))

    def extra_loss(self, tapped, x, y, sample_weight, compiled_loss):
        images = self.reconstruct(tapped, self.shown(y, tapped.shape[1]), training=True)
        ink, x = ops.sum(images, axis=1), ops.cast(x, images.dtype)
        # Only where the image is clipped: a sum clipped elsewhere would have no gradient, and never come down again.
        ink = ops.where(x < 1, ink, ops.minimum(ink, 1.0))
        if sample_weight is not None:
            sample_weight = ops.reshape(sample_weight, (-1,))
        return self.weight * SummedSquares()(x, ink, sample_weight)

    def get_config(self):
        return {**super().get_config(), "digits": self.digits}


class SummedSquares(keras.losses.Loss):
    """The sum of squared differences of each image `(B, H, W, C)`, of which Keras takes the mean over all replicas."""

    def call(self, y_true, y_pred):
        return ops.sum(ops.square(y_pred - y_true), axis=(1, 2, 3))


@dataclass(frozen=True)
class Reconstruction:
    """Section 4.1 as what only training sees: the capsules of `after`, decoded and compared with the input.

    Fields as `CapsuleNetwork` has them.
    """

    hidden: tuple[int, ...]
    weight: float
    digits: int
    after: str = "digitcaps"

    def head(self, network: keras.Model, classes: int, activation) -> tuple:
        """The tensor that it reads, and what reads it."""
        capsules = network.get_layer(self.after).output
        inputs = keras.Input(capsules.shape[1:], name=f"{self.after}.masked")
        branch = keras.Model(inputs, decode(inputs, network.input_shape[1:], self.hidden))
        return capsules, ReconstructionHead(branch, self.weight, self.digits, name="decoder")


@dataclass(frozen=True)
class CapsuleNetwork(Architecture):
    """Convolution, primary capsules, and one capsule for each class, whose length is the probability of the class.

    The scores are lengths in [0, 1), which do not sum to 1; train them with `MarginLoss`. `classifier_activation` has
    nothing to do. The authors train with Adam, from 0.001 times 0.96 every 2,000 steps, batches of 128, and images
    shifted by up to 2 pixels. The decoder gives pixels in [0, 1] and is compared with what the model receives: of an
    `input_tensor` made of other pixels it learns nothing, and `decoder=None` leaves it out.

    Args:
        filters: of the first convolution.
        capsules: primary capsules at each place.
        dimensions: of the primary capsules and of those of the classes.
        iterations: of the routing.
        use_bias: whether the routing adds a bias, as the authors' code does (160 parameters more).
        stop_gradient: whether gradients take the couplings of the routing for constants.
        decoder: hidden units of the decoder that training adds; None for no reconstruction.
        reconstruction: weight of its sum of squared differences.
        digits: how many classes an image shows.

    Raises:
        ValueError: with the top, an image of unknown size or below 17x17; another activation than None or "softmax".
    """

    filters: int = 256
    capsules: int = 32
    dimensions: tuple[int, int] = (8, 16)
    iterations: int = 3
    use_bias: bool = False
    stop_gradient: bool = False
    decoder: tuple[int, ...] | None = (512, 1024)
    reconstruction: float = 0.0005
    digits: int = 1

    def features(self, x):  # (B, 28, 28, 1) to (B, 20, 20, 256)
        # The paper states no initialization. After He's for the fan-in, lengths start far from 0, the flat of squash.
        return conv_relu(x, self.filters, 9, pad=0, initializer=bind(he, fan="fan_in"), name="conv1")

    def classifier(self, x, classes, activation):
        if activation not in (None, "softmax"):
            raise ValueError(
                "The scores of a CapsNet are lengths in [0, 1) already: `classifier_activation` is left alone. "
                f"Received: classifier_activation={activation!r}"
            )
        if None in x.shape[1:]:
            raise ValueError(f"Capsules need the size of the image. Received: {x.shape}. Pass a known input_shape.")
        low, high = self.dimensions
        x = PrimaryCapsules(self.capsules, low, kernel_initializer=he("fan_in"), name="primarycaps")(x)  # (B, 1152, 8)
        options = dict(iterations=self.iterations, use_bias=self.use_bias, stop_gradient=self.stop_gradient)
        x = Capsule(classes, high, name="digitcaps", **options)(x)  # (B, 10, 16)
        return CapsuleLength(dtype="float32", name="predictions")(x)

    def auxiliaries(self):
        if self.decoder is None:
            return ()
        return (Reconstruction(self.decoder, self.reconstruction, self.digits),)


def reconstruct(model: keras.Model, images, labels=None):
    """What a CapsNet's decoder makes of images `(B, H, W, C)`: one image `(B, K, H, W, C)` for each of K digits.

    Args:
        model: a CapsNet with its decoder.
        labels: the classes to decode, as `fit` takes them; None for those of the longest capsules.

    Raises:
        ValueError: the model has no decoder.
    """
    head = decoder(model)
    capsules = keras.Model(model.input, model.get_layer("digitcaps").output)(images)
    labels = CapsuleLength(dtype="float32")(capsules) if labels is None else ops.convert_to_tensor(labels)
    return head.reconstruct(capsules, head.shown(labels, capsules.shape[1]))


# Section 5.1: one dimension at a time, by up to 0.25 in steps of 0.05.
PERTURBATIONS = tuple(number / 20 for number in range(-5, 6))


def perturb(model: keras.Model, image, label=None, values=PERTURBATIONS):
    """Figure 4: images `(D, N, H, W, C)`, decoded after each of N values was added to each of a capsule's D dimensions.

    Args:
        model: a CapsNet with its decoder.
        image: `(H, W, C)`.
        label: the class whose capsule is decoded; None for the longest.
        values: what to add; `kvision.visualize.perturbations` draws the result.

    Raises:
        ValueError: the model has no decoder.
    """
    head = decoder(model)
    capsules = keras.Model(model.input, model.get_layer("digitcaps").output)(ops.expand_dims(image, 0))[0]
    if label is None:
        label = ops.argmax(ops.norm(ops.cast(capsules, "float32"), axis=-1))
    _, size = capsules.shape
    added = ops.reshape(ops.convert_to_tensor(values, capsules.dtype), (1, -1, 1))
    changed = capsules[label] + added * ops.expand_dims(ops.eye(size, dtype=capsules.dtype), 1)  # (D, N, D)
    mask = ops.one_hot(label, capsules.shape[0], dtype=capsules.dtype)
    images = head.branch(ops.reshape(changed, (-1, 1, size)) * ops.reshape(mask, (1, -1, 1)))
    return ops.reshape(images, (size, len(values), *images.shape[1:]))


def decoder(model: keras.Model) -> ReconstructionHead:
    """The decoder that a CapsNet trains with; its `branch` maps capsules to images.

    Raises:
        ValueError: the model has none.
    """
    for head in getattr(model, "heads", ()):
        if isinstance(head, ReconstructionHead):
            return head
    raise ValueError(
        f"Only a CapsNet built with its top and a decoder reconstructs. Received: the model {model.name!r}"
    )


@dataclass(frozen=True)
class Baseline(Architecture):
    """Section 5: a convolutional network that costs as much to compute as CapsNet.

    Args:
        widths: filters of the 5x5 convolutions. The paper does not print their padding: only with it the network has
            the paper's 35.4 million parameters.
        hidden: units of the dense layers.
        dropout: after the last of them.
    """

    widths: tuple[int, ...] = (256, 256, 128)
    hidden: tuple[int, ...] = (328, 192)
    dropout: float = 0.5

    def features(self, x):  # (B, 28, 28, 1) to (B, 28, 28, 128)
        for number, width in enumerate(self.widths, 1):
            x = conv_relu(x, width, 5, name=f"conv{number}")
        return x

    def classifier(self, x, classes, activation):
        x = flatten(x)
        for number, units in enumerate(self.hidden, 1):
            rate = self.dropout if number == len(self.hidden) else 0.0
            x = dense_relu(x, units, name=f"fc{number}", dropout=rate, initializer=keras.initializers.HeNormal)
        return classify(x, classes, activation, name="predictions")


ROW = dict(paper=PAPER, input_shape=(28, 28, 1), classes=10, preprocess=Preprocess())
MULTI = "MultiMNIST, both digits right"

CapsNet = Variant(
    "CapsNet",
    CapsuleNetwork(),
    params=8_215_568,  # 6,804,224 without the decoder
    macs=201_609_216,
    scores="lengths",
    reported=(
        Reported("test error", 0.25, "MNIST", "Table 1"),
        Reported("test error", 0.35, "MNIST, decoder=None", "Table 1"),
        Reported("test error", 0.29, "MNIST, iterations=1", "Table 1"),
        Reported("test error", 0.34, "MNIST, iterations=1, decoder=None", "Table 1"),
    ),
    **ROW,
)

CapsNetMultiMNIST = Variant(
    "CapsNetMultiMNIST",
    CapsuleNetwork(digits=2),
    params=11_361_808,
    macs=553_242_624,
    scores="lengths",
    reported=(
        Reported("test error", 5.2, MULTI, "Table 1"),
        Reported("test error", 7.5, f"{MULTI}, iterations=1", "Table 1"),
    ),
    **{**ROW, "input_shape": (36, 36, 1)},
)

CapsNetBaseline = Variant(
    "CapsNetBaseline",
    Baseline(),
    params=35_445_522,
    macs=1_964_756_352,
    reported=(Reported("test error", 0.39, "MNIST", "Table 1"), Reported("test error", 8.1, MULTI, "Table 1")),
    **ROW,
)

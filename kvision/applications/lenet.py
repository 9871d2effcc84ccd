"""Gradient-Based Learning Applied to Document Recognition: LeCun, Bottou, Bengio & Haffner, Proc. IEEE 86(11), 1998.

Section II-B and Figure 2 are `LeNet` and `rbf`, Table I is `TABLE_1`, equation 6 is `squash`, Appendix A
`UniformByFanIn`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.blocks.head import classify, flatten
from kvision.classifier import Preprocess
from kvision.layers import EuclideanRBF, PartiallyConnectedConv2D, TrainableSubsampling

PAPER = Paper(
    title="Gradient-Based Learning Applied to Document Recognition",
    authors=("Yann LeCun", "Léon Bottou", "Yoshua Bengio", "Patrick Haffner"),
    venue="Proceedings of the IEEE 86(11), 1998",
    month="1998-11",
)

# For each of C3's 16 maps, the maps of S2 that it sees: 60 connections of the possible 96.
TABLE_1 = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)

# Stylized digits, 7 wide and 12 high. The paper shows its own in Figure 3 and does not list them: these are ours.
DIGITS = """
.#####.  ...#...  .#####.  .#####.  ....##.  #######  ..####.  #######  .#####.  .#####.
##...##  ..##...  ##...##  ##...##  ...###.  ##.....  .##....  .....##  ##...##  ##...##
##...##  .###...  .....##  .....##  ...###.  ##.....  ##.....  .....##  ##...##  ##...##
##...##  ...#...  .....##  .....##  ..#.##.  ##.....  ##.....  ....##.  ##...##  ##...##
##...##  ...#...  ....##.  .....##  ..#.##.  ######.  ######.  ....##.  ##...##  ##...##
##...##  ...#...  ....##.  ..####.  .##.##.  .....##  ##...##  ...##..  .#####.  ##...##
##...##  ...#...  ...##..  .....##  .#..##.  .....##  ##...##  ...##..  ##...##  .######
##...##  ...#...  ..##...  .....##  ##..##.  .....##  ##...##  ..##...  ##...##  .....##
##...##  ...#...  ..##...  .....##  #######  .....##  ##...##  ..##...  ##...##  .....##
##...##  ...#...  .##....  .....##  ....##.  ##...##  ##...##  .##....  ##...##  .....##
##...##  ...#...  ##.....  ##...##  ....##.  ##...##  ##...##  .##....  ##...##  ....##.
.#####.  .#####.  #######  .#####.  ....##.  .#####.  .#####.  .##....  .#####.  .####..
"""


def codes(classes: int) -> np.ndarray:
    """F6's target for each class, +1 and -1, `(classes, 84)`: drawn digits for ten classes, else random signs.

    Section II-B names random signs as the alternative; drawings exist for the digits only.
    """
    if classes != 10:
        return np.random.default_rng(0).choice([-1.0, 1.0], (classes, 84)).astype("float32")
    rows = [row.split() for row in DIGITS.split("\n") if row]  # (12, 10) strings of 7
    drawings = ["".join(row[digit] for row in rows) for digit in range(10)]
    return np.array([[1.0 if ink == "#" else -1.0 for ink in drawing] for drawing in drawings], "float32")


@keras.saving.register_keras_serializable(package="kvision")
def squash(x):
    """Equation 6: 1.7159 tanh(2/3 x), which is +-1 at +-1, where its second derivative is largest (Appendix A)."""
    return 1.7159 * ops.tanh(2 / 3 * x)


@keras.saving.register_keras_serializable(package="kvision")
class UniformByFanIn(keras.initializers.Initializer):
    """Appendix A: uniform between -2.4 / F and 2.4 / F, where F is the fan-in. (Biases start from zero here.)"""

    def __call__(self, shape, dtype=None):
        limit = 2.4 / math.prod(shape[:-1])
        return keras.random.uniform(shape, -limit, limit, dtype)


def subsample(x, name):
    """Layers S2 and S4: `(B, H, W, C)` to `(B, H/2, W/2, C)`."""
    limit = 2.4 / 4  # the fan-in of one window
    initializer = keras.initializers.RandomUniform(-limit, limit)
    return TrainableSubsampling(2, squash, initializer, name=name)(x)


def average(x, name):
    return keras.layers.AveragePooling2D(2, name=name)(x)


def rbf(x, classes, activation):
    """Equation 7, in float32: F6 `(B, 84)` to class scores `(B, classes)`.

    The paper's outputs are penalties: the smallest wins. Here the scores are the negative penalties, so that the
    largest does. After a softmax, cross-entropy is the discriminative criterion of equation 9 without its constant for
    rubbish (j to infinity): y_D + log(sum_i exp(-y_i)). Penalties reach hundreds, so learning rates are small: with
    SGD of momentum 0.9, 0.001 trains and 0.01 saturates.
    """
    centers = keras.initializers.Constant(codes(classes).tolist())
    x = EuclideanRBF(classes, centers, trainable=False, dtype="float32", name="rbf")(x)
    x = keras.layers.Rescaling(-1.0, dtype="float32", name="scores")(x)
    return keras.layers.Activation(activation, dtype="float32", name="predictions")(x)


@dataclass(frozen=True)
class LeNet(Architecture):
    """LeNet-5. The holes are where reimplementations depart from it.

    Args:
        connections: for each of C3's maps, the maps of S2 that it sees; None for all.
        activation: of the convolutions and F6.
        initializer: of their kernels, or the name of one.
        subsample: `subsample(x, name)`, S2 and S4.
        output: `output(x, classes, activation)`, from F6 to class scores.

    Raises:
        ValueError: an image below 32x32; with the top, also one of unknown size or above 35x35, for which C5 is not
            1x1. Without the top, C5 is a map, as in the replicated networks of section VII.
    """

    connections: tuple[tuple[int, ...], ...] | None = TABLE_1
    activation: Callable | str = squash
    initializer: Callable | str = UniformByFanIn
    subsample: Callable = subsample
    output: Callable = rbf

    def conv(self, x, filters, name):
        options = dict(activation=self.activation, kernel_initializer=keras.initializers.get(self.initializer))
        return keras.layers.Conv2D(filters, 5, name=name, **options)(x)

    def c3(self, x):
        if self.connections is None:
            return self.conv(x, 16, "c3")
        options = dict(activation=self.activation, kernel_initializer=keras.initializers.get(self.initializer))
        return PartiallyConnectedConv2D(self.connections, 5, name="c3", **options)(x)

    def features(self, x):  # (B, 32, 32, 1)
        if any(size is not None and size < 32 for size in x.shape[1:3]):
            raise ValueError(
                "LeNet-5 sees images of at least 32x32; pad smaller ones (MNIST's by 2 on each side). "
                f"Received: images of shape {tuple(x.shape)}"
            )
        x = self.conv(x, 6, "c1")  # (B, 28, 28, 6)
        x = self.subsample(x, "s2")  # (B, 14, 14, 6)
        x = self.c3(x)  # (B, 10, 10, 16)
        x = self.subsample(x, "s4")  # (B, 5, 5, 16)
        return self.conv(x, 120, "c5")  # (B, 1, 1, 120)

    def classifier(self, x, classes, activation):  # (B, 1, 1, 120)
        vector = flatten(x)
        if vector.shape[1] != x.shape[-1]:
            raise ValueError(
                "LeNet-5 classifies images of 32x32 (to 35x35), for which C5 is 1x1. "
                f"Received: C5 of shape {tuple(x.shape)}"
            )
        options = dict(activation=self.activation, kernel_initializer=keras.initializers.get(self.initializer))
        x = keras.layers.Dense(84, name="f6", **options)(vector)
        return self.output(x, classes, activation)


# Section III-A: on MNIST's pixels, white paper (0) becomes -0.1 and black ink (255) 1.175.
ROW = dict(
    paper=PAPER,
    input_shape=(32, 32, 1),
    classes=10,
    preprocess=Preprocess(mean=(0.1 / 1.275,), std=(1 / 1.275,)),
)

LeNet5 = Variant(
    "LeNet5",
    LeNet(),
    params=60_000,
    macs=326_520,
    reported=(
        Reported("test error", 0.95, "MNIST", "section III-B"),
        Reported("test error", 0.8, "MNIST, with distorted training images", "section III-B"),
    ),
    **ROW,
)

# What most libraries call LeNet-5: all connections, plain averages, tanh, and a dense output.
LeNet5Modern = Variant(
    "LeNet5Modern",
    LeNet(connections=None, activation="tanh", initializer="glorot_uniform", subsample=average, output=classify),
    params=61_706,
    macs=416_520,
    **ROW,
)

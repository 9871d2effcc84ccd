"""Neural Networks and Deep Learning: Nielsen, Determination Press, 2015, chapter 1 and its program network.py."""

from dataclasses import dataclass

import keras

from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.blocks.head import flatten
from kvision.classifier import Preprocess

PAPER = Paper(
    title="Neural Networks and Deep Learning",
    authors=("Michael A. Nielsen",),
    venue="Determination Press, 2015",
    month="2015",  # the book states no month
)


def dense(x, units, activation, **options):
    """Weights and biases start from N(0, 1), as in network.py."""
    normal = keras.initializers.RandomNormal
    options |= dict(kernel_initializer=normal(stddev=1.0), bias_initializer=normal(stddev=1.0))
    return keras.layers.Dense(units, activation=activation, **options)(x)


@dataclass(frozen=True)
class Perceptron(Architecture):
    """A multilayer perceptron with one hidden layer: `Network([784, hidden, 10])`.

    With `classifier_activation="sigmoid"` the output is network.py's, for the quadratic cost; the default of every row,
    softmax, is that of the book's chapter 3, for the cross-entropy. The weights are the same.

    Args:
        hidden: sigmoid units.

    Raises:
        ValueError: fewer than one hidden unit; with the top, an image of unknown height or width.
    """

    hidden: int

    def __post_init__(self):
        if self.hidden < 1:
            raise ValueError(f"A perceptron has at least 1 `hidden` unit. Received: hidden={self.hidden}")

    def features(self, x):  # (B, 28, 28, 1)
        return keras.layers.Activation("linear", name="pixels")(x)  # no feature map: without the top, the image is left

    def classifier(self, x, classes, activation):
        x = dense(flatten(x), self.hidden, "sigmoid", name="hidden")  # (B, 784) to (B, 30)
        return dense(x, classes, activation, dtype="float32", name="fc")


ROW = dict(paper=PAPER, input_shape=(28, 28, 1), classes=10, preprocess=Preprocess())

MLP30 = Variant(
    "MLP30",
    Perceptron(30),
    params=23_860,
    macs=23_820,
    reported=(Reported("test accuracy", 95.42, "MNIST, the best of 30 epochs", "chapter 1"),),
    **ROW,
)
# The size of LeCun et al., Proc. IEEE 86(11), 1998, section III-C, whose units are other ones (4.7 % of MNIST wrong).
MLP300 = Variant("MLP300", Perceptron(300), params=238_510, macs=238_200, **ROW)

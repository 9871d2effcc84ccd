"""Highway Networks: Srivastava, Greff & Schmidhuber, arXiv:1505.00387; "Training Very Deep Networks", NIPS 2015.

The two convolutional networks follow the authors' Caffe code (github.com/flukeskywalker/highway-networks), which is
more precise than the papers; the fully connected one follows section 3.1 of the second paper.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import keras

from kvision.applications._preprocessing import CIFAR10
from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.blocks.conv import conv_relu
from kvision.blocks.head import classify, flatten, pool
from kvision.blocks.pool import max_pool
from kvision.classifier import Preprocess
from kvision.layers import Highway

# The month is that of the workshop paper, "Highway Networks" (arXiv:1505.00387), which has the networks already.
PAPER = Paper(
    title="Training Very Deep Networks",
    authors=("Rupesh Kumar Srivastava", "Klaus Greff", "Jürgen Schmidhuber"),
    venue="NIPS 2015",
    month="2015-05",
    arxiv="1507.06228",
)


def xavier():
    """Caffe's "xavier" looks at the inputs alone: uniform, of variance 1 / fan-in."""
    return keras.initializers.LecunUniform()


def average(x):
    """The mean of each channel: `(B, H, W, C)` to `(B, C)`."""
    return pool(x, "avg")


@dataclass(frozen=True)
class HighwayNetwork(Architecture):
    """Stages of highway layers, between plain convolutions that change the width.

    Args:
        depths: highway layers of each stage.
        widths: of each stage. A plain convolution leads where it changes; the first stage always has one.
        pools: the size of the max-pooling (stride 2) after each stage, or None.
        dropouts: the share dropped before each stage, and before the classification layer.
        kernel, pad: of the first convolution, and the zeros on each side of its input; the others are 3x3.
        transform_bias: what the transform gates' biases start from.
        last: the width of a 1x1 convolution after the last stage, or None.
        reduce: from the last feature map to the inputs of the classification layer, `average` or `flatten`.
    """

    depths: tuple[int, ...] = (4, 5, 5)
    widths: tuple[int, ...] = (32, 80, 128)
    pools: tuple[int | None, ...] = (2, 2, None)
    dropouts: tuple[float, ...] = (0.2, 0.2, 0.2, 0.2)
    kernel: int = 3
    pad: int = 1
    transform_bias: float = -2.0
    last: int | None = 100
    reduce: Callable = average

    def __post_init__(self):
        stages = len(self.depths)
        if (len(self.widths), len(self.pools), len(self.dropouts)) != (stages, stages, stages + 1):
            raise ValueError(
                "A highway network has as many `widths` and `pools` as `depths`, and one more of `dropouts`. "
                f"Received: {self}"
            )

    def features(self, x):  # (B, H, W, 3)
        name = (f"conv{layer}" for layer in itertools.count(1))
        for stage, (depth, width, size) in enumerate(zip(self.depths, self.widths, self.pools, strict=True)):
            x = keras.layers.Dropout(self.dropouts[stage], name=f"drop{stage + 1}")(x)
            if stage == 0:
                x = conv_relu(x, width, self.kernel, pad=self.pad, initializer=xavier, name=next(name))
            elif x.shape[-1] != width:
                x = conv_relu(x, width, 3, initializer=xavier, name=next(name))
            for _ in range(depth):
                highway = Highway(3, "relu", self.transform_bias, kernel_initializer=xavier(), name=next(name))
                x = highway(x)  # (B, H, W, 32), (B, H/2, W/2, 80), (B, H/4, W/4, 128)
            if size is not None:
                x = max_pool(x, size, ceil=True, name=f"pool{stage + 1}")
        if self.last is not None:
            x = conv_relu(x, self.last, initializer=xavier, name=next(name))
        return x  # (B, H/4, W/4, 100); for MNIST (B, 3, 3, 32)

    def classifier(self, x, classes, activation):
        x = keras.layers.Dropout(self.dropouts[-1], name=f"drop{len(self.dropouts)}")(self.reduce(x))
        return classify(x, classes, activation)


@dataclass(frozen=True)
class FullyConnectedHighway(Architecture):
    """A plain layer that sets the width, highway layers of that width, and the classification layer.

    Args:
        depth: plain and highway layers together, at least 1: 10, 20, 50 and 100 in the paper.
        width: of each ("blocks").
        transform_bias: what the transform gates' biases start from; the paper searched from -1 to -10.
        nonlinearity: "relu" or "tanh": the paper searched among the two.
    """

    depth: int = 50
    width: int = 50
    transform_bias: float = -4.0
    nonlinearity: str = "relu"

    def __post_init__(self):
        if self.depth < 1:
            raise ValueError(f"`depth` counts the plain layer, and is at least 1. Received: depth={self.depth}")

    def features(self, x):  # (B, H, W, C)
        x = flatten(x)
        x = keras.layers.Dense(self.width, activation=self.nonlinearity, name="layer1")(x)
        for layer in range(2, self.depth + 1):
            x = Highway(None, self.nonlinearity, self.transform_bias, name=f"layer{layer}")(x)
        return keras.layers.Reshape((1, 1, self.width), name="map")(x)  # a feature map of one pixel


MNIST = dict(paper=PAPER, input_shape=(28, 28, 1), classes=10, preprocess=Preprocess(scale=1 / 256))

Highway19 = Variant(
    "Highway19",
    HighwayNetwork(),
    PAPER,
    params=2_256_838,
    macs=330_826_728,
    input_shape=(32, 32, 3),
    classes=10,
    preprocess=CIFAR10,
    reported=(
        Reported("test accuracy", 92.31, "CIFAR-10, translation and flip, mean of 5 runs", "Table 3"),
        Reported("test accuracy", 67.61, "CIFAR-100, translation and flip, mean of 5 runs", "Table 3"),
    ),
)
Highway10 = Variant(
    "Highway10",
    HighwayNetwork(
        depths=(2, 3, 3),
        widths=(32, 32, 32),
        pools=(3, 3, 2),
        dropouts=(0.2, 0.3, 0.4, 0.5),
        kernel=5,
        pad=0,
        transform_bias=-1.0,
        last=None,
        reduce=flatten,
    ),
    params=151_690,
    macs=31_650_624,
    reported=(Reported("test accuracy", 99.54, "MNIST, mean of 5 runs", "Table 1"),),
    **MNIST,
)
HighwayMLP = Variant("HighwayMLP", FullyConnectedHighway(), params=289_660, macs=284_700, **MNIST)

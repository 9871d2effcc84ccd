"""Network In Network: Lin, Chen & Yan, ICLR 2014, arXiv:1312.4400.

Section 3.1 is `mlpconv`, section 3.2 `global_average`, Table 5 compares it to `fully_connected`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from kvision.applications._preprocessing import CIFAR10, IMAGENET_MEAN
from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.blocks.conv import conv_relu
from kvision.blocks.head import classify, pool
from kvision.blocks.pool import average_pool, max_pool

PAPER = Paper(
    title="Network In Network",
    authors=("Min Lin", "Qiang Chen", "Shuicheng Yan"),
    venue="ICLR 2014",
    month="2013-12",
    arxiv="1312.4400",
)


def gaussian():
    """N(0, 0.05), as the authors' models for Caffe start from (three layers of the ImageNet one from N(0, 0.01))."""
    return keras.initializers.RandomNormal(0.0, 0.05)


def mlpconv(x, widths, kernel=1, stride=1, pad=None, *, block):
    """A convolution, then a perceptron that slides over its pixels: 1x1 convolutions. A rectifier follows each."""
    x = conv_relu(x, widths[0], kernel, stride, pad=pad, initializer=gaussian, name=f"conv{block}")
    for i, width in enumerate(widths[1:], start=2 * block - 1):
        x = conv_relu(x, width, initializer=gaussian, name=f"cccp{i}")  # cascaded cross channel parametric pooling
    return x


def average_pool_3x3(x, *, name):
    """Means over 3x3 windows of stride 2; for even sizes the last hangs over the border, which does not count."""
    return average_pool(x, 3, 2, name=name)


def max_pool_3x3(x, *, name):
    """Maxima over 3x3 windows of stride 2, the last of which may hang over the border."""
    return max_pool(x, 3, 2, ceil=True, name=name)


def score_maps(x, classes, name):
    """One rectified feature map for each class: the last layer of the last mlpconv, in float32 under every policy."""
    return keras.layers.Conv2D(
        classes, 1, activation="relu", kernel_initializer=gaussian(), dtype="float32", name=name
    )(x)


def global_average(x, classes, activation):
    """Each class's score is the mean of its feature map: `(B, H, W, C)` to `(B, classes)`."""
    x = pool(score_maps(x, classes, "fc"), "avg")
    return keras.layers.Activation(activation, dtype="float32", name="scores")(x)


def fully_connected(x, classes, activation, dropout=0.0):
    """Section 4.6: a fully connected layer upon the vectorized feature maps in place of their averages."""
    x = keras.layers.Flatten(name="flatten")(score_maps(x, classes, "fc.maps"))
    return classify(keras.layers.Dropout(dropout, name="drop")(x), classes, activation)


@dataclass(frozen=True)
class NetworkInNetwork(Architecture):
    """Mlpconv blocks with pooling and dropout between them.

    Args:
        widths: for each block, the convolution's width and its perceptron's. The last block lacks its last layer, which
            has one map for each class and belongs to the head.
        kernels: size, stride and padding of each block's convolution.
        pools: `pool(x, name=)` after each block but the last.
        dropouts: the share dropped after each pooling.
        head: `head(x, classes, activation)`. Table 5 compares `global_average`, `fully_connected` and
            `bind(fully_connected, dropout=0.5)`.
    """

    widths: tuple[tuple[int, ...], ...] = ((192, 160, 96), (192, 192, 192), (192, 192))
    kernels: tuple[tuple[int, int, int], ...] = ((5, 1, 2), (5, 1, 2), (3, 1, 1))
    pools: tuple[Callable, ...] = (max_pool_3x3, average_pool_3x3)
    dropouts: tuple[float, ...] = (0.5, 0.5)
    head: Callable = global_average

    def __post_init__(self):
        blocks = len(self.widths)
        if (len(self.kernels), len(self.pools), len(self.dropouts)) != (blocks, blocks - 1, blocks - 1):
            raise ValueError(
                "A Network In Network has as many `kernels` as `widths`, and one less of `pools` and `dropouts`. "
                f"Received: {self}"
            )

    def features(self, x):  # (B, H, W, 3)
        for block, (widths, kernel) in enumerate(zip(self.widths, self.kernels, strict=True), start=1):
            if block > 1:
                x = self.pools[block - 2](x, name=f"pool{block - 1}")
                x = keras.layers.Dropout(self.dropouts[block - 2], name=f"drop{block - 1}")(x)
            x = mlpconv(x, widths, *kernel, block=block)
        return x  # (B, H/4, W/4, 192); for ImageNet (B, 6, 6, 1024)

    def classifier(self, x, classes, activation):
        return self.head(x, classes, activation)


NIN = Variant(
    "NIN",
    NetworkInNetwork(),
    PAPER,
    params=966_986,
    macs=222_486_528,
    input_shape=(32, 32, 3),
    classes=10,
    preprocess=CIFAR10,  # the paper normalizes the global contrast and whitens
    reported=(
        Reported("test error", 10.41, "CIFAR-10, no augmentation", "Table 1"),
        Reported("test error", 8.81, "CIFAR-10, translation and flip", "Table 1"),
    ),
)
# The authors' ImageNet model is in no paper: it is their gist for Caffe's model zoo.
NINImageNet = Variant(
    "NINImageNet",
    NetworkInNetwork(
        widths=((96, 96, 96), (256, 256, 256), (384, 384, 384), (1024, 1024)),
        kernels=((11, 4, 0), (5, 1, 2), (3, 1, 1), (3, 1, 1)),
        pools=(max_pool_3x3,) * 3,
        dropouts=(0.0, 0.0, 0.5),
    ),
    PAPER,
    params=7_595_176,
    macs=1_105_996_320,
    input_shape=(227, 227, 3),
    preprocess=IMAGENET_MEAN,
)

"""Going Deeper with Convolutions: Szegedy et al., CVPR 2015, arXiv:1409.4842.

Figure 2(a) is `naive`, Figure 2(b) `inception`, Table 1 is `TABLE_1`, section 5's classifiers on the side are
`auxiliary`. The layers are named as in torchvision's checkpoint.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from kvision.applications._publishers import torchvision
from kvision.applications._record import Architecture, Auxiliary, Paper, Reported, Variant
from kvision.blocks.bind import bind
from kvision.blocks.conv import conv_relu
from kvision.blocks.head import classify, dense_relu, flatten, pool_and_classify
from kvision.blocks.pool import max_pool
from kvision.blocks.towers import concatenate, lettered, normalized, tower
from kvision.layers import LRN

PAPER = Paper(
    title="Going Deeper with Convolutions",
    authors=(
        "Christian Szegedy",
        "Wei Liu",
        "Yangqing Jia",
        "Pierre Sermanet",
        "Scott Reed",
        "Dragomir Anguelov",
        "Dumitru Erhan",
        "Vincent Vanhoucke",
        "Andrew Rabinovich",
    ),
    venue="CVPR 2015",
    month="2014-09",
    arxiv="1409.4842",
)

# For each module: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj.
TABLE_1 = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


def pool_3x3(x, name):
    """Maxima over 3x3 windows, one for each pixel."""
    return keras.layers.MaxPooling2D(3, 1, padding="same", name=name)(x)


def inception(x, widths, net, name):
    """Figure 2(b): 1x1 convolutions reduce the dimension before the 3x3 and the 5x5, and after the pooling."""
    ones, reduce3, threes, reduce5, fives, pooled = widths
    towers = [
        net.convolve(x, ones, name=f"{name}.branch1"),
        tower(x, [(reduce3,), (threes, 3)], name=f"{name}.branch2.{{}}", convolve=net.convolve),
        tower(x, [(reduce5,), (fives, net.large)], name=f"{name}.branch3.{{}}", convolve=net.convolve),
        net.convolve(pool_3x3(x, f"{name}.branch4.0"), pooled, name=f"{name}.branch4.1"),
    ]
    return concatenate(towers, name=name)


def naive(x, widths, net, name):
    """Figure 2(a): the same convolutions, none of them reduced; the pooling passes every channel on."""
    ones, _, threes, _, fives, _ = widths
    towers = [
        net.convolve(x, ones, name=f"{name}.branch1"),
        net.convolve(x, threes, 3, name=f"{name}.branch2"),
        net.convolve(x, fives, net.large, name=f"{name}.branch3"),
        pool_3x3(x, f"{name}.branch4"),
    ]
    return concatenate(towers, name=name)


def separable(x, filters, kernel, stride, *, name, convolve, multiplier=8):
    """`multiplier` filters for each channel, and 1x1 convolutions of what they give, with nothing in between."""
    x = keras.layers.ZeroPadding2D((kernel - 1) // 2, name=f"{name}.pad")(x)
    options = dict(depth_multiplier=multiplier, use_bias=False, name=f"{name}.depthwise")
    return convolve(keras.layers.DepthwiseConv2D(kernel, stride, **options)(x), filters, name=name)


def stem(x, net):
    """The rows of Table 1 before the first module: `(B, H, W, 3)` to `(B, H/8, W/8, 192)`."""
    x = net.first(x, 64, 7, 2, name="conv1")  # (B, H/2, W/2, 64)
    x = net.respond(max_pool(x, ceil=True, name="maxpool1"), "norm1")
    x = net.convolve(x, 64, name="conv2")
    x = net.respond(net.convolve(x, 192, 3, name="conv3"), "norm2")  # (B, H/4, W/4, 192)
    return max_pool(x, ceil=True, name="maxpool2")


def auxiliary(x, classes, activation, *, name, net):
    """Section 5: a small network on top of a module, `(B, 14, 14, C)` to `(B, classes)`."""
    x = keras.layers.AveragePooling2D(5, 3, name=f"{name}.pool")(x)  # (B, 4, 4, C)
    x = net.convolve(x, 128, name=f"{name}.conv")
    x = dense_relu(flatten(x), 1024, name=f"{name}.fc1", dropout=0.7)
    return classify(x, classes, activation, name=f"{name}.fc2")


convolution = bind(conv_relu, initializer=keras.initializers.GlorotUniform)


@dataclass(frozen=True)
class Inception(Architecture):
    """GoogLeNet.

    Args:
        stages: the modules between one pooling and the next.
        module: `module(x, widths, net, name)`: `inception` or `naive`.
        convolve: `convolve(x, filters, kernel, stride, name=, pad=)`, with what follows a convolution.
        first: the same for the first convolution. Table 1's figures (2.7K parameters, 34M operations) are those of
            `separable_stem`; the text's "7x7 convolution" is the plain one.
        normalize: around the second and third convolution, made from its `name`; None for none.
        large: the kernel of the towers for "5x5".
        last_pool: the window of the last pooling.
        dropout: the share of the averages that training drops.
        aux: whether training sees the two auxiliary classifiers, for images of 224x224.
    """

    stages: tuple[tuple[tuple[int, ...], ...], ...] = TABLE_1
    module: Callable = inception
    convolve: Callable = convolution
    first: Callable = convolution
    normalize: Callable | None = bind(LRN)
    large: int = 5
    last_pool: int = 3
    dropout: float = 0.4
    aux: bool = False

    def respond(self, x, name):
        return x if self.normalize is None else self.normalize(name=name)(x)

    def features(self, x):  # (B, 224, 224, 3)
        x = stem(x, self)  # (B, 28, 28, 192)
        for stage, modules in enumerate(self.stages, start=3):
            if stage > 3:  # (B, 28, 28, 480) to (B, 14, 14, 480), (B, 14, 14, 832) to (B, 7, 7, 832)
                size = self.last_pool if stage == 2 + len(self.stages) else 3
                x = max_pool(x, size, ceil=True, name=f"maxpool{stage}")
            for letter, widths in lettered(modules):
                x = self.module(x, widths, self, f"inception{stage}{letter}")
        return x  # (B, 7, 7, 1024)

    def classifier(self, x, classes, activation):
        return pool_and_classify(x, classes, activation, self.dropout)

    def auxiliaries(self):
        heads = {"inception4a": "aux1", "inception4d": "aux2"} if self.aux else {}
        return tuple(Auxiliary(after, bind(auxiliary, name=name, net=self)) for after, name in heads.items())


separable_stem = bind(separable, convolve=convolution)

GoogLeNet = Variant(
    "GoogLeNet",
    Inception(),
    PAPER,
    params=6_998_552,
    macs=1_582_671_872,
    reported=(
        Reported("top-5 error", 6.67, "ILSVRC-2014 test, 7 networks, 144 crops", "Table 2"),
        Reported("top-5 error", 10.07, "ILSVRC-2012 validation, 1 network, 1 crop", "Table 3"),
        Reported("top-5 error", 7.89, "ILSVRC-2012 validation, 1 network, 144 crops", "Table 3"),
    ),
    weights=(
        # Batch-normalized, 3x3 where the paper has 5x5, and trained on pixels in [-1, 1]. Its auxiliary classifiers
        # are in the file, but torchvision says that they are not trained.
        torchvision(
            "googlenet",
            dict(convolve=normalized, first=normalized, normalize=None, large=3, last_pool=2, dropout=0.2),
            top1=69.778,
            address="https://download.pytorch.org/models/googlenet-1378be20.pth",
            auxiliary=("aux1", "aux2"),
            mean=(0.5,) * 3,
            std=(0.5,) * 3,
        ),
    ),
)

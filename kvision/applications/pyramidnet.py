"""Deep Pyramidal Residual Networks: Han, Kim & Kim, CVPR 2017, arXiv:1610.02915.

Equation 2 is `add`, equation 3 `multiply`, section 3.2's zero-padded identity is `smooth_pad`, and Figure 6(d), the
unit without its first ReLU and with a last batch normalization, is `basic` and `bottleneck`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import keras

from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.applications.resnet import pad
from kvision.blocks.conv import conv, norm, relu
from kvision.blocks.head import pool_and_classify
from kvision.blocks.pool import average_pool
from kvision.blocks.stages import units
from kvision.blocks.stem import stem_7x7
from kvision.classifier import Preprocess

PAPER = Paper(
    title="Deep Pyramidal Residual Networks",
    authors=("Dongyoon Han", "Jiwhan Kim", "Junmo Kim"),
    venue="CVPR 2017",
    month="2016-10",
    arxiv="1610.02915",
)


# The equations round every width down, and go on from the rounded one. The authors' code, whose numbers of parameters
# are the paper's, rounds to the nearest, half up, and goes on from the exact one.
def add(width: int, alpha: int, place: int, count: int) -> int:
    """Equation 2: `alpha` more channels over `count` units, as many in each. The width of the unit at `place` >= 1."""
    return width + (2 * alpha * place + count) // (2 * count)


def multiply(width: int, alpha: float, place: int, count: int) -> int:
    """Equation 3: `alpha` times the channels over `count` units, the same factor in each."""
    return int(width * alpha ** (place / count) + 0.5)


def basic(x, unit):
    """Two 3x3 convolutions: `(B, H, W, C)` to `(B, H/stride, W/stride, width)`."""
    first, second, last = (unit.at(place) for place in (1, 2, 3))
    y = norm(x, name=first.norm)
    y = conv(y, unit.width, 3, unit.stride, name=first.conv)
    y = relu(norm(y, name=second.norm), name=second.relu)
    y = conv(y, unit.width, 3, name=second.conv)
    return norm(y, name=last.norm)


def bottleneck(x, unit):
    """1x1, 3x3, 1x1: `(B, H, W, C)` to `(B, H/stride, W/stride, 4 width)`."""
    first, second, third, last = (unit.at(place) for place in (1, 2, 3, 4))
    y = norm(x, name=first.norm)
    y = conv(y, unit.width, name=first.conv)
    y = relu(norm(y, name=second.norm), name=second.relu)
    y = conv(y, unit.width, 3, unit.stride, name=second.conv)
    y = relu(norm(y, name=third.norm), name=third.relu)
    y = conv(y, 4 * unit.width, name=third.conv)
    return norm(y, name=last.norm)


def smooth_pad(x, filters, unit):
    """Identity, averaged over 2x2 pixels where there is a stride, with zeros for the channels that it lacks."""
    if unit.stride > 1:
        x = average_pool(x, unit.stride, unit.stride, name=f"{unit.name}.subsample")
    return pad(x, filters, replace(unit, stride=1))


@dataclass(frozen=True)
class PyramidNet(Architecture):
    """A residual network that widens at every unit.

    Args:
        depths: units in each stage.
        alpha: the widening factor.
        width: of the stem, which the widths grow from.
        block: `block(x, unit)`, the residual branch of a unit.
        grow: `grow(width, alpha, place, count)`, the width of each unit.
        stem: `stem(x, width=)`, before the stages.
        attend: `attend(name=)` makes a layer that gates the branch before the sum; None for none.
        dropout: the share of the averages that training drops.
    """

    depths: tuple[int, ...]
    alpha: int
    width: int = 64
    block: Callable = bottleneck
    grow: Callable = add
    stem: Callable = stem_7x7
    attend: Callable | None = None
    dropout: float = 0.0

    def features(self, x):  # (B, H, W, 3)
        x = self.stem(x, width=self.width)  # (B, H/4, W/4, 64)
        for unit in units(self.depths, [self.width] * len(self.depths)):
            unit = replace(unit, width=self.grow(self.width, self.alpha, unit.index + 1, unit.count))
            y = self.block(x, unit)
            if self.attend is not None:
                y = self.attend(name=f"{unit.name}.attend")(y)
            x = smooth_pad(x, y.shape[-1], unit)
            x = keras.layers.Add(name=f"{unit.name}.add")([x, y])
        return relu(norm(x, name="bn_final"), name="relu_final")  # (B, H/32, W/32, 4 * (64 + alpha))

    def classifier(self, x, classes, activation):
        return pool_and_classify(x, classes, activation, self.dropout)


# The authors start from fb.resnet.torch and its preprocessing.
IMAGENET = Preprocess(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), size=(224, 224), crop_fraction=0.875)


def table(top1, top5):
    protocol, where = "ILSVRC-2012 validation, 1 crop of 224", "ImageNet table, and README of the authors' code"
    return (Reported("top-1 error", top1, protocol, where), Reported("top-5 error", top5, protocol, where))


PyramidNet200_a300 = Variant(
    "PyramidNet200_a300",
    PyramidNet((3, 24, 36, 3), alpha=300),
    PAPER,
    params=62_368_168,
    macs=16_550_501_282,
    preprocess=IMAGENET,
    reported=table(20.5, 5.3),
)
PyramidNet200_a450 = Variant(
    "PyramidNet200_a450",
    PyramidNet((3, 24, 36, 3), alpha=450, dropout=0.5),
    PAPER,
    params=116_775_213,
    macs=29_196_815_629,
    preprocess=IMAGENET,
    reported=table(20.1, 5.4),
)

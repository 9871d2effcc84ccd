"""Rethinking the Inception Architecture for Computer Vision: Szegedy et al., CVPR 2016, arXiv:1512.00567.

Figure 5 is `factorized_5x5`, Figure 6 `factorized_7x7`, Figure 7 `expanded`, Figure 10 `reduce_35` and `reduce_17`,
Figure 8 `auxiliary`. The stem is that of the released network, which Table 1 does not show. The layers are named as in
the released checkpoint.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from kvision.applications._publishers import timm
from kvision.applications._record import Architecture, Auxiliary, Paper, Reported, Variant
from kvision.blocks.bind import bind
from kvision.blocks.head import classify, pool, pool_and_classify
from kvision.blocks.pool import average_pool, max_pool
from kvision.blocks.towers import concatenate, lettered, normalized, tower

PAPER = Paper(
    title="Rethinking the Inception Architecture for Computer Vision",
    authors=("Christian Szegedy", "Vincent Vanhoucke", "Sergey Ioffe", "Jonathon Shlens", "Zbigniew Wojna"),
    venue="CVPR 2016",
    month="2015-12",
    arxiv="1512.00567",
)

numbered = bind(tower, first=1)
last_pool = bind(max_pool, name="Pool2")


def stem(x, halve=last_pool):
    """Convolutions without padding, but for the third: `(B, 299, 299, 3)` to `(B, 35, 35, 192)`.

    `halve(x)` is the step from 71x71 to 35x35.
    """
    x = normalized(x, 32, 3, 2, pad=0, name="Conv2d_1a_3x3")  # (B, 149, 149, 32)
    x = normalized(x, 32, 3, pad=0, name="Conv2d_2a_3x3")
    x = normalized(x, 64, 3, name="Conv2d_2b_3x3")  # (B, 147, 147, 64)
    x = max_pool(x, name="Pool1")  # (B, 73, 73, 64)
    x = normalized(x, 80, name="Conv2d_3b_1x1")
    x = normalized(x, 192, 3, pad=0, name="Conv2d_4a_3x3")  # (B, 71, 71, 192)
    return halve(x)


def project(x, filters, net, name):
    """The averaged pixels, through a 1x1 convolution."""
    return normalized(net.average(x, name=f"{name}.average"), filters, name=f"{name}.branch_pool")


def factorized_5x5(x, pooled, net, name):
    """Figure 5: two 3x3 convolutions for one of the 5x5 (the other one is still there in the released network)."""
    towers = [
        normalized(x, 64, name=f"{name}.branch1x1"),
        numbered(x, [(48,), (64, 5)], name=f"{name}.branch5x5_{{}}"),
        numbered(x, [(64,), (96, 3), (96, 3)], name=f"{name}.branch3x3dbl_{{}}"),
        project(x, pooled, net, name),
    ]
    return concatenate(towers, name=name)


def factorized_7x7(x, width, net, name):
    """Figure 6 with n = 7: 1x7 and 7x1 convolutions for a 7x7."""
    row, column = (1, 7), (7, 1)
    double = [(width,), (width, column), (width, row), (width, column), (192, row)]
    towers = [
        normalized(x, 192, name=f"{name}.branch1x1"),
        numbered(x, [(width,), (width, row), (192, column)], name=f"{name}.branch7x7_{{}}"),
        numbered(x, double, name=f"{name}.branch7x7dbl_{{}}"),
        project(x, 192, net, name),
    ]
    return concatenate(towers, name=name)


def expanded(x, net, name):
    """Figure 7: 1x3 and 3x1 convolutions side by side, for a higher dimension on the coarsest grid."""

    def both(x, name):
        return concatenate(
            [normalized(x, 384, (1, 3), name=f"{name}a"), normalized(x, 384, (3, 1), name=f"{name}b")], name=name
        )

    threes = normalized(x, 384, name=f"{name}.branch3x3_1")
    doubles = numbered(x, [(448,), (384, 3)], name=f"{name}.branch3x3dbl_{{}}")
    towers = [
        normalized(x, 320, name=f"{name}.branch1x1"),
        both(threes, f"{name}.branch3x3_2"),
        both(doubles, f"{name}.branch3x3dbl_3"),
        project(x, 192, net, name),
    ]
    return concatenate(towers, name=name)


def reduce_35(x, name):
    """Figure 10: convolutions and a pooling of stride 2 side by side, so that no grid is a bottleneck."""
    towers = [
        normalized(x, 384, 3, 2, pad=0, name=f"{name}.branch3x3"),
        numbered(x, [(64,), (96, 3), (96, 3, 2, 0)], name=f"{name}.branch3x3dbl_{{}}"),
        max_pool(x, name=f"{name}.pool"),
    ]
    return concatenate(towers, name=name)


def reduce_17(x, name):
    """The same from 17x17 to 8x8."""
    towers = [
        numbered(x, [(192,), (320, 3, 2, 0)], name=f"{name}.branch3x3_{{}}"),
        numbered(x, [(192,), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, 0)], name=f"{name}.branch7x7x3_{{}}"),
        max_pool(x, name=f"{name}.pool"),
    ]
    return concatenate(towers, name=name)


def auxiliary(x, classes, activation):
    """Figure 8: a small network on top of the last 17x17 grid, `(B, 17, 17, 768)` to `(B, classes)`."""
    x = keras.layers.AveragePooling2D(5, 3, name="AuxLogits.average")(x)  # (B, 5, 5, 768)
    x = normalized(x, 128, name="AuxLogits.conv0")
    x = normalized(x, 768, 5, pad=0, name="AuxLogits.conv1")  # (B, 1, 1, 768)
    return classify(pool(x, "avg"), classes, activation, name="AuxLogits.fc")


@dataclass(frozen=True)
class InceptionV3Recipe(Architecture):
    """Three grids of modules.

    Args:
        pooled: widths after the pooling of the modules on the 35x35 grid.
        widths: of the 7x7 convolutions on the 17x17 grid.
        expansions: how many modules stand on the 8x8 grid.
        average: `average(x, name=)`, 3x3 of stride 1, in every module; the checkpoints that came through Torch count
            the border.
        dropout: the share of the averages that training drops.
        aux: whether training sees the auxiliary classifier (section 4: a regularizer, batch-normalized).
    """

    pooled: tuple[int, ...] = (32, 64, 64)
    widths: tuple[int, ...] = (128, 160, 160, 192)
    expansions: int = 2
    average: Callable = average_pool
    dropout: float = 0.2
    aux: bool = False

    def features(self, x):  # (B, 299, 299, 3)
        x = stem(x)  # (B, 35, 35, 192)
        for letter, pooled in lettered(self.pooled, "b"):
            x = factorized_5x5(x, pooled, self, f"Mixed_5{letter}")
        x = reduce_35(x, "Mixed_6a")  # (B, 17, 17, 768)
        for letter, width in lettered(self.widths, "b"):
            x = factorized_7x7(x, width, self, f"Mixed_6{letter}")
        x = reduce_17(x, "Mixed_7a")  # (B, 8, 8, 1280)
        for letter, _ in lettered(range(self.expansions), "b"):
            x = expanded(x, self, f"Mixed_7{letter}")
        return x  # (B, 8, 8, 2048)

    def classifier(self, x, classes, activation):
        return pool_and_classify(x, classes, activation, self.dropout)

    def auxiliaries(self):
        last = f"Mixed_6{chr(ord('a') + len(self.widths))}"
        # The weight is that of the released training code; the paper names none.
        return (Auxiliary(last, auxiliary, weight=0.4),) if self.aux else ()


TORCH = dict(average=bind(average_pool, count_border=True))
CENTERED = dict(mean=(0.5,) * 3, std=(0.5,) * 3)  # pixels in [-1, 1]
AT_299 = dict(size=299, crop=0.875)

InceptionV3 = Variant(
    "InceptionV3",
    InceptionV3Recipe(),
    PAPER,
    params=23_834_568,
    macs=5_713_216_096,
    input_shape=(299, 299, 3),
    reported=(
        Reported("top-1 error", 21.2, "ILSVRC-2012 validation, 1 crop", "Table 3"),
        Reported("top-5 error", 5.6, "ILSVRC-2012 validation, 1 crop", "Table 3"),
    ),
    weights=(
        timm("inception_v3.gluon_in1k", TORCH, 78.806, **AT_299),
        timm("inception_v3.tf_in1k", TORCH, 77.862, **CENTERED, **AT_299),
        timm("inception_v3.tf_adv_in1k", TORCH, 77.592, **CENTERED, **AT_299),
        timm("inception_v3.tv_in1k", TORCH, 77.434, auxiliary=("AuxLogits",), **CENTERED, **AT_299),
    ),
)

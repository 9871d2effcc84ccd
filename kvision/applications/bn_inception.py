"""Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift: Ioffe & Szegedy.

ICML 2015, arXiv:1502.03167. The layer itself is `kvision.layers.BatchNormalization`; here is the network of the
appendix (Figure 5), which is also called Inception v2.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import keras

from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.applications.googlenet import pool_3x3, stem
from kvision.blocks.pool import average_pool
from kvision.blocks.towers import concatenate, lettered, normalized, tower

PAPER = Paper(
    title="Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift",
    authors=("Sergey Ioffe", "Christian Szegedy"),
    venue="ICML 2015",
    month="2015-02",
    arxiv="1502.03167",
)


@dataclass(frozen=True)
class Module:
    """A row of Figure 5: the widths of its towers.

    Args:
        single: 1x1, or None.
        threes: 1x1 to reduce, 3x3.
        doubles: 1x1 to reduce, and each of two 3x3 (where GoogLeNet has one 5x5).
        pooled: 1x1 after the pooling; None passes its channels on, with a stride of 2 in every tower.
        maximum: whether the pooling takes maxima.
    """

    single: int | None
    threes: tuple[int, int]
    doubles: tuple[int, int]
    pooled: int | None
    maximum: bool = False


def inception(x, module: Module, net, name):
    """Figure 5's modules: the one that halves the resolution has neither 1x1 nor projection."""
    stride = 1 if module.pooled else 2
    (reduce3, threes), (reduce5, fives) = module.threes, module.doubles
    towers = [
        tower(x, [(reduce3,), (threes, 3, stride)], name=f"{name}.branch2.{{}}", convolve=net.convolve),
        tower(x, [(reduce5,), (fives, 3), (fives, 3, stride)], name=f"{name}.branch3.{{}}", convolve=net.convolve),
    ]
    if module.single:
        towers.insert(0, net.convolve(x, module.single, name=f"{name}.branch1"))
    if stride == 2:
        # As many windows as the convolutions have, for odd sizes too.
        towers.append(keras.layers.MaxPooling2D(3, 2, padding="same", name=f"{name}.branch4")(x))
    else:
        pooled = pool_3x3(x, f"{name}.branch4.0") if module.maximum else net.average(x, name=f"{name}.branch4.0")
        towers.append(net.convolve(pooled, module.pooled, name=f"{name}.branch4.1"))
    return concatenate(towers, name=name)


def figure_5(projection: int):
    """The modules of the three resolutions. `projection` follows the pooling of 4c and 4d."""
    return (
        (
            Module(64, (64, 64), (64, 96), 32),
            Module(64, (64, 96), (64, 96), 64),
            Module(None, (128, 160), (64, 96), None),
        ),
        (
            Module(224, (64, 96), (96, 128), 128),
            Module(192, (96, 128), (96, 128), 128),
            Module(160, (128, 160), (128, 160), projection),
            Module(96, (128, 192), (160, 192), projection),
            Module(None, (128, 192), (192, 256), None),
        ),
        (
            Module(352, (192, 320), (160, 224), 128),
            Module(352, (192, 320), (192, 224), 128, maximum=True),
        ),
    )


@dataclass(frozen=True)
class BNInceptionRecipe(Architecture):
    """GoogLeNet's stem, batch-normalized, and modules of 3x3 convolutions; neither LRN nor dropout (section 4.2.1).

    Args:
        stages: the modules of each resolution.
        convolve: `convolve(x, filters, kernel, stride, name=, pad=)`, with what follows a convolution.
        first: the same for the first convolution; the paper's is separable (section 4.2), with a depth multiplier of
            8: `bind(googlenet.separable, convolve=normalized)`.
        average: `average(x, name=)`, 3x3 of stride 1. The authors' framework averages what lies in the image; Caffe's
            networks of this name count the border: `bind(average_pool, count_border=True)`.
        attend: `attend(name=)` makes a layer that gates the output of each module; None for none.
    """

    stages: tuple[tuple[Module, ...], ...] = figure_5(128)
    convolve: Callable = normalized
    first: Callable = normalized
    average: Callable = average_pool
    attend: Callable | None = None

    def respond(self, x, name):
        """No local response normalization, where GoogLeNet's stem has it."""
        return x

    def features(self, x):  # (B, 224, 224, 3)
        x = stem(x, self)  # (B, 28, 28, 192)
        for stage, modules in enumerate(self.stages, start=3):
            for letter, module in lettered(modules):
                name = f"inception{stage}{letter}"
                x = inception(x, module, self, name)
                if self.attend is not None:
                    x = self.attend(name=f"{name}.attend")(x)
        return x  # (B, 7, 7, 1024)


# 608 and 1,056 channels after 4c, 4d and 4e: the widths that the networks trained elsewhere have (Caffe, MXNet).
BNInception = Variant(
    "BNInception",
    BNInceptionRecipe(),
    PAPER,
    params=11_285_224,
    macs=2_032_600_064,
    reported=(
        Reported("top-1 error", 25.2, "ILSVRC-2012 validation, 1 network, 1 crop", "Figure 4, section 4.2.2"),
        Reported("top-1 error", 21.99, "ILSVRC-2012 validation, 1 network, 144 crops", "Figure 4"),
        Reported("top-5 error", 5.82, "ILSVRC-2012 validation, 1 network, 144 crops", "Figure 4"),
        Reported("top-5 error", 4.9, "ILSVRC-2012 validation, 6 networks, 144 crops", "Figure 4"),
    ),
)
# 576 and 1,024: the widths that Figure 5 prints, and TensorFlow-Slim has.
BNInceptionSlim = replace(
    BNInception,
    name="BNInceptionSlim",
    architecture=BNInceptionRecipe(figure_5(96)),
    params=11_194_984,
    macs=2_018_851_840,
    reported=(),
)

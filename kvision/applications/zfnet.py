"""Visualizing and Understanding Convolutional Networks: Zeiler & Fergus, ECCV 2014, arXiv:1311.2901.

Figure 3 is `features` and `classifier`, section 3 the initialization, Table 3 the widths of `ZFNetWide`. Section 3 also
renormalizes filters that dominate the first layer: that is `layers.MaxNorm(0.1, rms=True)`, a constraint on the kernels
of convolutions in training, and no part of the network here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from kvision.applications._preprocessing import IMAGENET_MEAN
from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.blocks.bind import bind
from kvision.blocks.conv import conv_relu
from kvision.blocks.head import classify, dense_relu, flatten, small_normal
from kvision.blocks.pool import max_pool
from kvision.layers import ContrastNormalization

PAPER = Paper(
    title="Visualizing and Understanding Convolutional Networks",
    authors=("Matthew D. Zeiler", "Rob Fergus"),
    venue="ECCV 2014",
    month="2013-11",
    arxiv="1311.2901",
)


@dataclass(frozen=True)
class ZFNetRecipe(Architecture):
    """AlexNet without towers, which sees the image through smaller windows in smaller steps.

    Args:
        widths: of the convolutions.
        normalize: after the first two poolings, made from its `name`; None for none.
        hidden: widths of the dense layers before the last.
        dropout: share of their outputs dropped in training.
    """

    widths: tuple[int, int, int, int, int] = (96, 256, 384, 384, 256)
    normalize: Callable | None = bind(ContrastNormalization)
    hidden: tuple[int, ...] = (4096, 4096)
    dropout: float = 0.5

    def features(self, x):  # (B, 224, 224, 3)
        # Figure 3 prints maps, not padding: one zero on each side of the image and none in conv2 give its 110 and 26.
        shapes = ((7, 2, 1), (5, 2, 0), (3, 1, 1), (3, 1, 1), (3, 1, 1))
        for place, ((kernel, stride, pad), width) in enumerate(zip(shapes, self.widths, strict=True), start=1):
            # "All weights are initialized to 10^-2" would leave all units of a layer equal for ever: read as AlexNet's
            # N(0, 0.01), here and in the dense layers.
            x = conv_relu(x, width, kernel, stride, pad=pad, initializer=small_normal, name=f"conv{place}")
            if place in (1, 2):  # (B, 110, 110, 96) to (B, 55, 55, 96), (B, 26, 26, 256) to (B, 13, 13, 256)
                x = max_pool(x, name=f"pool{place}", ceil=True)
                x = x if self.normalize is None else self.normalize(name=f"norm{place}")(x)
        return max_pool(x, name="pool5")  # (B, 6, 6, 256)

    def classifier(self, x, classes, activation):
        x = flatten(x)
        for place, units in enumerate(self.hidden, start=6):
            x = dense_relu(x, units, name=f"fc{place}", dropout=self.dropout)
        return classify(x, classes, activation, name=f"fc{6 + len(self.hidden)}")


ZFNet = Variant(
    "ZFNet",
    ZFNetRecipe(),
    PAPER,
    params=62_357_608,
    macs=1_168_032_896,
    preprocess=IMAGENET_MEAN,
    reported=(
        Reported("top-1 error", 38.4, "ILSVRC-2012 validation, one network", "Table 2"),
        Reported("top-5 error", 16.5, "ILSVRC-2012 validation, one network", "Table 2"),
    ),
)
ZFNetWide = replace(
    ZFNet,
    name="ZFNetWide",
    architecture=ZFNetRecipe(widths=(96, 256, 512, 1024, 512)),
    params=107_627_624,
    macs=2_476_704_896,
    reported=(
        Reported("top-1 error", 37.5, "ILSVRC-2012 validation, one network", "Table 2"),
        Reported("top-5 error", 16.0, "ILSVRC-2012 validation, one network", "Table 2"),
        Reported("top-5 error", 14.8, "ILSVRC-2012 test, six networks of both widths", "Table 2"),
    ),
)

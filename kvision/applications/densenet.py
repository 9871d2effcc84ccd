"""Densely Connected Convolutional Networks: Huang, Liu, van der Maaten & Weinberger, CVPR 2017, arXiv:1608.06993.

Equation 2 is `composite` on a list, figure 1 `dense_layer` in the loop of `DenseNet.features`, section 3's transition
layers are `transition`; Tables 1 and 2 are the rows at the foot. `memory_efficient` is Pleiss et al., "Memory-Efficient
Implementation of DenseNets", arXiv:1707.06990.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from kvision.applications._publishers import timm, torchvision
from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.applications.resnet import CIFAR
from kvision.blocks.bind import bind
from kvision.blocks.conv import At, conv, he_fan_out, norm, relu
from kvision.blocks.stem import stem_7x7
from kvision.blocks.submodel import submodel
from kvision.blocks.towers import concatenate
from kvision.layers import PooledConv2D, Recomputed

PAPER = Paper(
    title="Densely Connected Convolutional Networks",
    authors=("Gao Huang", "Zhuang Liu", "Laurens van der Maaten", "Kilian Q. Weinberger"),
    venue="CVPR 2017",
    month="2016-08",
    arxiv="1608.06993",
)


def together(features, *, name):
    """Feature maps `(B, H, W, C_i)` as one, where there are several."""
    return concatenate(features, name=f"{name}.concat") if len(features) > 1 else features[0]


def composite(features, convolve, net, *, at: At):
    """H: batch norm, rectifier and convolution of all feature maps together: list of `(B, H, W, C_i)` to one."""

    def compute(features):
        x = together(features, name=at.norm)
        return convolve(relu(norm(x, name=at.norm), name=at.relu), name=at.conv)

    if net.memory_efficient:
        model = submodel(compute, features, name=f"{at.conv}.composite")
        x = Recomputed(model, name=f"{at.conv}.recomputed")(features)
    else:
        x = compute(features)
    return keras.layers.Dropout(net.dropout, name=f"{at.conv}.drop")(x) if net.dropout else x


def dense_layer(features, path, net):
    """From all feature maps before it to k new ones, in a bottleneck by way of 4k."""
    first, second = (At(*(f"{path}.{kind}{place}" for kind in ("conv", "norm", "relu"))) for place in (1, 2))
    if not net.bottleneck:
        return composite(features, bind(conv, filters=net.growth, kernel=3), net, at=first)
    x = composite(features, bind(conv, filters=net.bottleneck * net.growth), net, at=first)
    return composite([x], bind(conv, filters=net.growth, kernel=3), net, at=second)


def pooled_conv(x, filters, *, name):
    """The 1x1 convolution of a transition and its pooling."""
    return PooledConv2D(filters, use_bias=False, kernel_initializer=he_fan_out(), name=name)(x)


def transition(features, path, net):
    """Between dense blocks: theta times the channels, half the resolution."""
    filters = int(net.compression * sum(x.shape[-1] for x in features))
    at = At(f"{path}.conv", f"{path}.norm", f"{path}.relu")
    if not net.dropout:
        return composite(features, bind(pooled_conv, filters=filters), net, at=at)
    x = composite(features, bind(conv, filters=filters), net, at=at)  # dropout stands between convolution and pooling
    return keras.layers.AveragePooling2D(2, name=f"{path}.pool")(x)


def stem_3x3(x, width):
    """One 3x3 convolution for small images; its norm and rectifier are the first dense layer's."""
    return conv(x, width, 3, name="features.conv0")


stem_imagenet = bind(stem_7x7, at=At("features.conv0", "features.norm0", "features.relu0"), pool="features.pool0")


@dataclass(frozen=True)
class DenseNet(Architecture):
    """A network whose layers each read all feature maps before them in their block.

    Args:
        depths: dense layers in each block.
        growth: k, the channels that a layer adds.
        start: k_0, the channels before the first block.
        bottleneck: a 1x1 convolution to so many times k channels goes before each 3x3 (DenseNet-B); 0 for none.
        compression: theta, the share of its channels that a transition keeps (DenseNet-C below 1).
        stem: `stem(x, width)`, before the first block.
        dropout: after each convolution but the first; 0.2 is the paper's for data without augmentation.
        memory_efficient: concatenations, norms and rectifiers are computed again in the backward pass rather than kept,
            so that memory grows with the depth and not with its square. Same weights, same answers; training on
            TensorFlow and JAX only.
    """

    depths: tuple[int, ...]
    growth: int = 32
    start: int = 64
    bottleneck: int = 4
    compression: float = 0.5
    stem: Callable = stem_imagenet
    dropout: float = 0.0
    memory_efficient: bool = False

    def features(self, x):  # (B, H, W, 3)
        x = self.stem(x, self.start)  # (B, H/4, W/4, k_0); for small images (B, H, W, k_0)
        for block, depth in enumerate(self.depths, start=1):
            features = [x]
            for layer in range(1, depth + 1):
                path = f"features.denseblock{block}.denselayer{layer}"
                features = [*features, dense_layer(features, path, self)]
                if not self.memory_efficient:  # one concatenation grows; else each would have to be kept for the next
                    features = [together(features, name=path)]
            if block < len(self.depths):
                x = transition(features, f"features.transition{block}", self)
        x = norm(together(features, name=f"features.norm{block + 1}"), name=f"features.norm{block + 1}")
        return relu(x, name=f"features.relu{block + 1}")  # (B, H/32, W/32, C); (B, H/4, W/4, C)


TOP = (("^classifier.", "^fc."),)


def published(name: str, top1: float):
    """By torchvision; license and interpolation are those that timm states."""
    return torchvision(f"{name}.tv_in1k", top1=top1, rename=TOP, license="apache-2.0", interpolation="bicubic")


def table_3(error):
    return (Reported("top-1 error", error, "ILSVRC-2012 validation, single crop", "Table 3"),)


def table_2(cifar10, cifar100):
    protocol = "{}, pad-and-crop and flip"
    return (
        Reported("test error", cifar10, protocol.format("CIFAR-10"), "Table 2"),
        Reported("test error", cifar100, protocol.format("CIFAR-100"), "Table 2"),
    )


DenseNet121 = Variant(
    "DenseNet121",
    DenseNet((6, 12, 24, 16)),
    PAPER,
    params=7_978_856,
    macs=2_834_161_664,
    reported=table_3(25.02),
    weights=(
        timm("densenet121.ra_in1k", top1=76.5, crop=0.95, rename=TOP),
        published("densenet121", 74.434),
    ),
)
DenseNet169 = Variant(
    "DenseNet169",
    DenseNet((6, 12, 32, 32)),
    PAPER,
    params=14_149_480,
    macs=3_359_843_328,
    reported=table_3(23.80),
    weights=(published("densenet169", 75.6),),
)
DenseNet201 = Variant(
    "DenseNet201",
    DenseNet((6, 12, 48, 32)),
    PAPER,
    params=20_013_928,
    macs=4_291_365_888,
    reported=table_3(22.58),
    weights=(published("densenet201", 76.896),),
)
DenseNet264 = Variant(
    "DenseNet264",
    DenseNet((6, 12, 64, 48)),
    PAPER,
    params=33_337_704,
    macs=5_751_653_376,
    reported=table_3(22.15),
)
DenseNet161 = Variant(  # of the authors' repository
    "DenseNet161",
    DenseNet((6, 12, 36, 24), growth=48, start=96),
    PAPER,
    params=28_681_000,
    macs=7_727_907_072,
    weights=(published("densenet161", 77.138),),
)

SMALL = {**CIFAR, "paper": PAPER}


def plain(depth: int, growth: int) -> DenseNet:
    """L = 3n + 4 layers: n in each block, the stem, two transitions and the classifier."""
    return DenseNet(((depth - 4) // 3,) * 3, growth, 16, bottleneck=0, compression=1.0, stem=stem_3x3)


def compressed(depth: int, growth: int) -> DenseNet:
    """DenseNet-BC, L = 6n + 4."""
    return DenseNet(((depth - 4) // 6,) * 3, growth, 2 * growth, stem=stem_3x3)


DenseNet40k12 = Variant(
    "DenseNet40k12", plain(40, 12), params=1_019_722, macs=264_812_928, reported=table_2(5.24, 24.42), **SMALL
)
DenseNet100k12 = Variant(
    "DenseNet100k12", plain(100, 12), params=6_979_642, macs=1_769_516_448, reported=table_2(4.10, 20.20), **SMALL
)
DenseNet100k24 = Variant(
    "DenseNet100k24", plain(100, 24), params=27_249_082, macs=6_889_347_744, reported=table_2(3.74, 19.25), **SMALL
)
DenseNetBC100k12 = Variant(
    "DenseNetBC100k12", compressed(100, 12), params=769_162, macs=287_929_692, reported=table_2(4.51, 22.27), **SMALL
)
DenseNetBC250k24 = Variant(
    "DenseNetBC250k24",
    compressed(250, 24),
    params=15_324_406,
    macs=5_418_785_724,
    reported=table_2(3.62, 17.60),
    **SMALL,
)
DenseNetBC190k40 = Variant(
    "DenseNetBC190k40",
    compressed(190, 40),
    params=25_624_430,
    macs=9_301_945_740,
    reported=table_2(3.46, 17.18),
    **SMALL,
)

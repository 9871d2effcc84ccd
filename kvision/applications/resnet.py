"""Deep Residual Learning for Image Recognition: He, Zhang, Ren & Sun, CVPR 2016, arXiv:1512.03385.

Figure 5 is `basic` and `bottleneck`, equation 2 is `residual`, options A and B of section 3.3 are `pad` and `project`,
Table 1 and section 4.2 are the rows at the foot.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from kvision.applications._preprocessing import CIFAR10
from kvision.applications._publishers import A3, GLUON, HALF, NONCOMMERCIAL, timm, torchvision
from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.blocks.conv import At, conv3x3, conv_norm, conv_norm_relu, relu
from kvision.blocks.head import pool_and_classify
from kvision.blocks.stages import units
from kvision.blocks.stem import stem_3x3, stem_7x7

PAPER = Paper(
    title="Deep Residual Learning for Image Recognition",
    authors=("Kaiming He", "Xiangyu Zhang", "Shaoqing Ren", "Jian Sun"),
    venue="CVPR 2016",
    month="2015-12",
    arxiv="1512.03385",
)


def basic(x, unit, net):
    """Two 3x3 convolutions: `(B, H, W, C)` to `(B, H/stride, W/stride, width)`."""
    y = net.spatial(x, net.inner(unit.width), unit.stride, at=unit.at(1))
    return conv_norm(y, unit.width, 3, at=unit.at(2), gamma=net.last_gamma)


def bottleneck(x, unit, net, reduce: int = 1):
    """1x1, 3x3, 1x1: `(B, H, W, C)` to `(B, H/stride, W/stride, 4 width)`.

    The first convolution is `reduce` times narrower than the second; in the paper they are equally wide.
    """
    inner = net.inner(unit.width)
    first, second = (unit.stride, 1) if net.stride_first else (1, unit.stride)
    y = conv_norm_relu(x, inner // reduce, 1, first, at=unit.at(1))
    y = net.spatial(y, inner, second, at=unit.at(2))
    return conv_norm(y, 4 * unit.width, at=unit.at(3), gamma=net.last_gamma)


def branch(x, unit, net):
    """The block and, where there is one, the gate behind it."""
    y = net.block(x, unit, net)
    return y if net.attend is None else net.attend(name=f"{unit.name}.attend")(y)


def residual(x, unit, net):
    """Equation 2: the shortcut plus the branch, and the second nonlinearity."""
    y = branch(x, unit, net)
    x = net.shortcut(x, y.shape[-1], unit)
    return relu(keras.layers.Add(name=f"{unit.name}.add")([x, y]), name=f"{unit.name}.relu")


def project(x, filters, unit):
    """Option B: identity, and a strided 1x1 convolution where the shape changes."""
    if unit.stride == 1 and x.shape[-1] == filters:
        return x
    at = At(f"{unit.name}.downsample.0", f"{unit.name}.downsample.1", "")
    return conv_norm(x, filters, 1, unit.stride, at=at)


def pad(x, filters, unit):
    """Option A: identity, subsampled by the stride, with zeros for the channels that it lacks (no parameters)."""
    if x.shape[-1] > filters:
        raise ValueError(f"Option A adds channels, it drops none. Received: {x.shape[-1]} channels for {filters}")
    if unit.stride > 1:
        x = keras.layers.AveragePooling2D(1, unit.stride, name=f"{unit.name}.subsample")(x)
    if x.shape[-1] < filters:
        # Not by a padding operation: with oneDNN, TensorFlow 2.21 fuses one that is added to a convolution with a bias
        # into that convolution, and crashes.
        copies, rest = divmod(filters - x.shape[-1], x.shape[-1])
        zeros = keras.ops.zeros_like(x)
        x = keras.ops.concatenate([x, *[zeros] * copies, *([zeros[..., :rest]] if rest else [])], axis=-1)
    return x


def same(width: int) -> int:
    return width


@dataclass(frozen=True)
class ResNet(Architecture):
    """A residual network. Holes (callables) are what later papers change.

    Args:
        depths: units in each stage (Table 1: conv2_x to conv5_x).
        block: `block(x, unit, net)`, the residual branch of a unit.
        connect: `connect(x, unit, net)`, a unit: its branch and its shortcut.
        widths: of the stages; a bottleneck puts out four times as many channels.
        stem: `stem(x)`, before the stages.
        inner: from a unit's width to that of the convolutions inside it.
        spatial: `spatial(x, filters, stride, at=)`, the (first) 3x3 convolution of a block.
        attend: `attend(name=)` makes a layer that gates the branch before the sum; None for none.
        shortcut: `shortcut(x, filters, unit)`.
        stride_first: a bottleneck strides its first 1x1 convolution, as the authors' nets do; the torch lineage strides
            the 3x3 (2 to 6 % more multiply-adds, and another function of the same weights).
        zero_gamma: the branch starts as zero: the last gamma of each block does (Goyal et al., arXiv:1706.02677, 5.1).
        dropout: the share of the averages that training drops before the dense layer.
    """

    depths: tuple[int, ...]
    block: Callable = bottleneck
    connect: Callable = residual
    widths: tuple[int, ...] = (64, 128, 256, 512)
    stem: Callable = stem_7x7
    inner: Callable = same
    spatial: Callable = conv3x3
    attend: Callable | None = None
    shortcut: Callable = project
    stride_first: bool = True
    zero_gamma: bool = False
    dropout: float = 0.0

    def __post_init__(self):
        if len(self.depths) != len(self.widths) or min(self.depths + self.widths) < 1:
            raise ValueError(
                "A ResNet has as many `depths` as `widths`, each at least 1. "
                f"Received: depths={self.depths}, widths={self.widths}"
            )

    @property
    def last_gamma(self) -> str:
        return "zeros" if self.zero_gamma else "ones"

    def features(self, x):  # (B, H, W, 3)
        x = self.stem(x)  # (B, H/4, W/4, 64); for small images (B, H, W, 16)
        for unit in units(self.depths, self.widths):
            x = self.connect(x, unit, self)
        return x  # (B, H/32, W/32, 4 * 512), the basic block (B, H/32, W/32, 512); (B, H/4, W/4, 64)

    def classifier(self, x, classes, activation):
        return pool_and_classify(x, classes, activation, self.dropout)


TORCH = dict(stride_first=False)


def table_3(error, where="Table 3"):
    return (Reported("top-1 error", error, "ILSVRC-2012 validation, 10-crop", where),)


def table_6(error):
    return (Reported("test error", error, "CIFAR-10, pad-and-crop and flip", "Table 6"),)


ResNet18 = Variant(
    "ResNet18",
    ResNet((2, 2, 2, 2), block=basic),
    PAPER,
    params=11_689_512,
    macs=1_814_073_344,
    reported=table_3(27.88, "Table 2"),
    weights=(
        timm("resnet18.a1_in1k", top1=73.158),
        timm("resnet18.a2_in1k", top1=72.372),
        timm("resnet18.a3_in1k", top1=68.254, **A3),
        timm("resnet18.gluon_in1k", top1=70.838, **GLUON),
        torchvision("resnet18.tv_in1k", top1=69.758),
        timm("resnet18.fb_swsl_ig1b_ft_in1k", top1=73.282, **NONCOMMERCIAL),
        timm("resnet18.fb_ssl_yfcc100m_ft_in1k", top1=72.594, **NONCOMMERCIAL),
    ),
)
ResNet34 = Variant(
    "ResNet34",
    ResNet((3, 4, 6, 3), block=basic),
    PAPER,
    params=21_797_672,
    macs=3_663_761_408,
    reported=table_3(24.52),
    weights=(
        timm("resnet34.a1_in1k", top1=77.918),
        timm("resnet34.a2_in1k", top1=77.158),
        timm("resnet34.a3_in1k", top1=72.97, **A3),
        timm("resnet34.bt_in1k", top1=76.48, crop=0.95),
        timm("resnet34.ra4_e3600_r224_in1k", mean=HALF, std=HALF),
        timm("resnet34.gluon_in1k", top1=74.578, **GLUON),
        torchvision("resnet34.tv_in1k", top1=73.314),
    ),
)
ResNet50 = Variant(
    "ResNet50",
    ResNet((3, 4, 6, 3)),
    PAPER,
    params=25_557_032,
    macs=3_857_973_248,
    reported=table_3(22.85),
    weights=(
        timm("resnet50.a1_in1k", TORCH, 81.214),
        timm("resnet50.a1h_in1k", TORCH, 80.676, size=224),
        timm("resnet50.a2_in1k", TORCH, 80.772),
        timm("resnet50.a3_in1k", TORCH, 78.048, **A3),
        timm("resnet50.b1k_in1k", TORCH, 80.706),
        timm("resnet50.b2k_in1k", TORCH, 80.454),
        timm("resnet50.c1_in1k", TORCH, 80.912),
        timm("resnet50.c2_in1k", TORCH, 80.87),
        timm("resnet50.d_in1k", TORCH, 80.972),
        timm("resnet50.ram_in1k", TORCH, 79.976, crop=0.95),
        timm("resnet50.ra_in1k", TORCH, 79.836, crop=0.95),
        timm("resnet50.bt_in1k", TORCH, 79.64, crop=0.95),
        timm("resnet50.am_in1k", TORCH, 78.998, size=224, crop=0.875),
        timm("resnet50.gluon_in1k", TORCH, 77.58, **GLUON),
        torchvision("resnet50.tv2_in1k", TORCH, 80.858, crop=0.965),
        torchvision("resnet50.tv_in1k", TORCH, 76.13),
        timm("resnet50.fb_swsl_ig1b_ft_in1k", TORCH, 81.182, **NONCOMMERCIAL),
        timm("resnet50.fb_ssl_yfcc100m_ft_in1k", TORCH, 79.234, **NONCOMMERCIAL),
    ),
)
ResNet101 = Variant(
    "ResNet101",
    ResNet((3, 4, 23, 3)),
    PAPER,
    params=44_549_160,
    macs=7_570_194_432,
    reported=table_3(21.75),
    weights=(
        timm("resnet101.a1h_in1k", TORCH, 82.778),
        timm("resnet101.a1_in1k", TORCH, 82.322),
        timm("resnet101.a2_in1k", TORCH, 82.236),
        timm("resnet101.a3_in1k", TORCH, 79.814, **A3),
        timm("resnet101.gluon_in1k", TORCH, 79.31, **GLUON),
        torchvision("resnet101.tv2_in1k", TORCH, 81.886, crop=0.965),
        torchvision("resnet101.tv_in1k", TORCH, 77.374),
    ),
)
ResNet152 = Variant(
    "ResNet152",
    ResNet((3, 8, 36, 3)),
    PAPER,
    params=60_192_808,
    macs=11_282_415_616,
    reported=table_3(21.43),
    weights=(
        timm("resnet152.a1h_in1k", TORCH, 83.45),
        timm("resnet152.a1_in1k", TORCH, 82.732),
        timm("resnet152.a2_in1k", TORCH, 82.608),
        timm("resnet152.a3_in1k", TORCH, 80.546, **A3),
        timm("resnet152.gluon_in1k", TORCH, 79.694, **GLUON),
        torchvision("resnet152.tv2_in1k", TORCH, 82.284, crop=0.965),
        torchvision("resnet152.tv_in1k", TORCH, 78.312),
    ),
)

# Section 4.2: 6n + 2 layers. The paper subtracts each pixel's mean over the training set; fb.resnet.torch, which its
# authors' later papers use, one mean and deviation for each channel.
CIFAR = dict(
    paper=PAPER,
    input_shape=(32, 32, 3),
    classes=10,
    preprocess=CIFAR10,
)


def cifar(n: int) -> ResNet:
    return ResNet((n, n, n), block=basic, widths=(16, 32, 64), stem=stem_3x3, shortcut=pad)


ResNet20 = Variant("ResNet20", cifar(3), params=269_722, macs=40_551_040, reported=table_6(8.75), **CIFAR)
ResNet32 = Variant("ResNet32", cifar(5), params=464_154, macs=68_862_592, reported=table_6(7.51), **CIFAR)
ResNet44 = Variant("ResNet44", cifar(7), params=658_586, macs=97_174_144, reported=table_6(7.17), **CIFAR)
ResNet56 = Variant("ResNet56", cifar(9), params=853_018, macs=125_485_696, reported=table_6(6.97), **CIFAR)
ResNet110 = Variant("ResNet110", cifar(18), params=1_727_962, macs=252_887_680, reported=table_6(6.43), **CIFAR)
ResNet1202 = Variant("ResNet1202", cifar(200), params=19_421_274, macs=2_829_238_912, reported=table_6(7.93), **CIFAR)

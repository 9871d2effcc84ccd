"""Aggregated Residual Transformations for Deep Neural Networks: Xie et al., CVPR 2017, arXiv:1611.05431.

Figure 3(a) is `summed`, Figure 3(b) `concatenated`, and Figure 3(c), the form that the rows are built in, is ResNet's
`bottleneck` with groups. Table 1 is `resnext`, Tables 3, 4 and 7 are the rows at the foot.
"""

from dataclasses import replace

import keras

from kvision.applications import resnet
from kvision.applications._publishers import A3, GLUON, NONCOMMERCIAL, timm, torchvision
from kvision.applications._record import Paper, Reported, Variant
from kvision.applications.resnet import ResNet
from kvision.blocks.bind import bind
from kvision.blocks.conv import conv, conv3x3, conv_norm, conv_norm_relu, norm
from kvision.blocks.stem import stem_3x3

PAPER = Paper(
    title="Aggregated Residual Transformations for Deep Neural Networks",
    authors=("Saining Xie", "Ross Girshick", "Piotr Dollár", "Zhuowen Tu", "Kaiming He"),
    venue="CVPR 2017",
    month="2016-11",
    arxiv="1611.05431",
)


def cardinal(width: int, cardinality: int, base: int) -> int:
    """The width inside a unit: `cardinality` paths, each `base` wide in a unit of width 64 (section 3.3)."""
    return width * base // 64 * cardinality


def paths(x, unit, net, cardinality):
    """The places of the paths, and what each puts out of its 3x3 convolution, `(B, H/stride, W/stride, d)`."""
    width = net.inner(unit.width) // cardinality
    for number in range(cardinality):
        place = replace(unit, name=f"{unit.name}.path{number}")
        y = conv_norm_relu(x, width, at=place.at(1))
        yield place, conv_norm_relu(y, width, 3, unit.stride, at=place.at(2))


def summed(x, unit, net, cardinality):
    """Figure 3(a): a sum of paths, each a bottleneck. `(B, H, W, C)` to `(B, H/stride, W/stride, 4 width)`.

    It is normalized as a whole, after the sum (section 3.4): else it would not equal the other forms.
    """
    found = paths(x, unit, net, cardinality)
    y = [conv(path, 4 * unit.width, name=place.at(3).conv) for place, path in found]
    return norm(keras.layers.Add(name=f"{unit.name}.sum")(y), gamma=net.last_gamma, name=unit.at(3).norm)


def concatenated(x, unit, net, cardinality):
    """Figure 3(b): paths side by side, then one 1x1 convolution. Shapes as of `summed`."""
    y = [path for _, path in paths(x, unit, net, cardinality)]
    y = keras.layers.Concatenate(name=f"{unit.name}.concat")(y)
    return conv_norm(y, 4 * unit.width, at=unit.at(3), gamma=net.last_gamma)


def resnext(depths, cardinality: int, base: int, **changes) -> ResNet:
    """Table 1: a ResNet of bottlenecks whose 3x3 convolution has `cardinality` groups, and the stride.

    Args:
        depths: units in each stage.
        cardinality: C, the number of paths.
        base: d, the width of a path in a unit of width 64.
        **changes: other fields of `ResNet`.
    """
    inner = bind(cardinal, cardinality=cardinality, base=base)
    return ResNet(depths, inner=inner, spatial=bind(conv3x3, groups=cardinality), stride_first=False, **changes)


def imagenet(name, depths, cardinality, base, params, macs, error, where="Table 3", weights=()) -> Variant:
    reported = (Reported("top-1 error", error, "ILSVRC-2012 validation, 1 crop of 224", where),)
    return Variant(name, resnext(depths, cardinality, base), PAPER, params, macs, reported=reported, weights=weights)


DEPTHS_50, DEPTHS_101 = (3, 4, 6, 3), (3, 4, 23, 3)

ResNeXt50_2x40d = imagenet("ResNeXt50_2x40d", DEPTHS_50, 2, 40, 25_425_000, 4_124_508_160, 23.0)
ResNeXt50_4x24d = imagenet("ResNeXt50_4x24d", DEPTHS_50, 4, 24, 25_292_968, 4_159_832_064, 22.6)
ResNeXt50_8x14d = imagenet("ResNeXt50_8x14d", DEPTHS_50, 8, 14, 25_603_016, 4_267_409_408, 22.3)
ResNeXt50 = imagenet(
    "ResNeXt50",
    DEPTHS_50,
    *(32, 4),
    params=25_028_904,
    macs=4_230_479_872,
    error=22.2,
    weights=(
        timm("resnext50_32x4d.a1h_in1k", top1=82.014),
        timm("resnext50_32x4d.a1_in1k", top1=81.466),
        timm("resnext50_32x4d.a2_in1k", top1=81.304),
        timm("resnext50_32x4d.a3_in1k", top1=79.268, **A3),
        timm("resnext50_32x4d.ra_in1k", top1=80.698, crop=0.95),
        timm("resnext50_32x4d.gluon_in1k", top1=79.36, **GLUON),
        torchvision("resnext50_32x4d.tv2_in1k", top1=81.198, crop=0.965),
        torchvision("resnext50_32x4d.tv_in1k", top1=77.618),
        timm("resnext50_32x4d.fb_swsl_ig1b_ft_in1k", top1=82.174, **NONCOMMERCIAL),
        timm("resnext50_32x4d.fb_ssl_yfcc100m_ft_in1k", top1=80.338, **NONCOMMERCIAL),
    ),
)
ResNeXt101_2x40d = imagenet("ResNeXt101_2x40d", DEPTHS_101, 2, 40, 44_456_296, 7_843_553_280, 21.7)
ResNeXt101_4x24d = imagenet("ResNeXt101_4x24d", DEPTHS_101, 4, 24, 44_363_432, 7_885_701_120, 21.4)
ResNeXt101_8x14d = imagenet("ResNeXt101_8x14d", DEPTHS_101, 8, 14, 45_104_328, 8_076_871_680, 21.3)
ResNeXt101 = imagenet(
    "ResNeXt101",
    DEPTHS_101,
    *(32, 4),
    params=44_177_704,
    macs=7_969_996_800,
    error=21.2,
    weights=(
        timm("resnext101_32x4d.gluon_in1k", top1=80.34, **GLUON),
        timm("resnext101_32x4d.fb_swsl_ig1b_ft_in1k", top1=83.232, **NONCOMMERCIAL),
        timm("resnext101_32x4d.fb_ssl_yfcc100m_ft_in1k", top1=80.924, **NONCOMMERCIAL),
    ),
)
ResNeXt101_64x4d = imagenet(
    "ResNeXt101_64x4d",
    DEPTHS_101,
    *(64, 4),
    params=83_455_272,
    macs=15_460_270_080,
    error=20.4,
    where="Table 4",
    weights=(
        timm("resnext101_64x4d.c1_in1k", top1=83.156),
        timm("resnext101_64x4d.gluon_in1k", top1=80.6, **GLUON),
        torchvision("resnext101_64x4d.tv_in1k", top1=83.246, crop=0.965),
    ),
)


def cifar(name, cardinality, params, macs, error_10, error_100) -> Variant:
    """Section 5.3. The authors' code has bottlenecks as on ImageNet; its README says that the networks of the arXiv
    version were pre-activated, and that these do better."""
    stem = bind(stem_3x3, width=64)
    return Variant(
        name,
        resnext((3, 3, 3), cardinality, 64, widths=(64, 128, 256), stem=stem),
        params=params,
        macs=macs,
        reported=(
            Reported("test error", error_10, "CIFAR-10, pad-and-crop and flip", "Table 7"),
            Reported("test error", error_100, "CIFAR-100, pad-and-crop and flip", "Table 7"),
        ),
        **{**resnet.CIFAR, "paper": PAPER},
    )


ResNeXt29_8x64d = cifar("ResNeXt29_8x64d", 8, 34_426_698, 5_387_266_048, 3.65, 17.77)
ResNeXt29_16x64d = cifar("ResNeXt29_16x64d", 16, 68_155_210, 10_688_866_304, 3.58, 17.31)

"""Residual Attention Network for Image Classification: Wang et al., CVPR 2017, arXiv:1704.06904.

Figure 2 is `attention_module`, Figure 3 (the soft mask branch) `soft_mask` around `bottom_up_top_down`; equation 1 is
`naive_learning`, equation 3 `residual_learning`; the mask activations of equations 4 to 6 are `mixed` and, in
`kvision.layers`, `ChannelMask` and `SpatialMask`. What the paper leaves open is as in the authors' Caffe networks
(github.com/fwang91/residual-attention-network): which units are pre-activated, where a stage strides, what masks skip.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import keras

from kvision.applications._preprocessing import IMAGENET_MEAN
from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.applications.inception_v4 import branches
from kvision.applications.preact_resnet import PreActResNet
from kvision.applications.resnet import ResNet
from kvision.applications.resnext import resnext
from kvision.blocks.bind import bind
from kvision.blocks.conv import At, conv, conv_norm_relu, norm, relu
from kvision.blocks.stages import Unit, units
from kvision.blocks.stem import FIRST
from kvision.blocks.towers import concatenate
from kvision.layers import ResizeLike

PAPER = Paper(
    title="Residual Attention Network for Image Classification",
    authors=(
        "Fei Wang",
        "Mengqing Jiang",
        "Chen Qian",
        "Shuo Yang",
        "Cheng Li",
        "Honggang Zhang",
        "Xiaogang Wang",
        "Xiaoou Tang",
    ),
    venue="CVPR 2017",
    month="2017-04",
    arxiv="1704.06904",
)

mixed = bind(keras.layers.Activation, activation="sigmoid")  # equation 4


def halve(x, name):
    """3x3 max-pooling of stride 2: `(B, H, W, C)` to `(B, ceil(H/2), ceil(W/2), C)`.

    As Caffe's wherever the map is even, so at 224 and 320; any other map, down to one pixel, can be halved too.
    """
    return keras.layers.MaxPooling2D(3, 2, padding="same", name=name)(x)


def stem(x, width=64):
    """7x7 convolution and 3x3 max-pooling, both of stride 2: `(B, H, W, C)` to `(B, H/4, W/4, width)`."""
    return halve(conv_norm_relu(x, width, 7, 2, at=FIRST), "maxpool")


def norm_relu(x, name):
    """What stands between pre-activated units, which end in a sum, and a convolution."""
    return relu(norm(x, name=f"{name}.norm"), name=f"{name}.relu")


def as_is(x, name):
    """Between units that end in a rectifier and a convolution stands nothing."""
    return x


def residual_learning(trunk, mask, name):
    """Equation 3, attention residual learning: `H = (1 + M) T`. A mask of zero leaves the trunk as it is."""
    attended = keras.layers.Multiply(name=f"{name}.attended")([mask, trunk])
    return keras.layers.Add(name=f"{name}.fusion")([attended, trunk])


def naive_learning(trunk, mask, name):
    """Equation 1, naive attention learning, for `learning`: `H = M T`."""
    return keras.layers.Multiply(name=f"{name}.fusion")([mask, trunk])


def chain(x, unit: Unit, net, name, count):
    """`count` residual units of one width, one after another."""
    for place in range(count):
        x = net.base.connect(x, replace(unit, name=f"{name}.{place}"), net.base)
    return x


def bottom_up_top_down(x, unit: Unit, net, name, depth, level=1):
    """Figure 3's hourglass: `depth` poolings with units behind, and as many interpolations with units before.

    Between two levels a skip connection of one residual unit joins the ways down and up. `(B, H, W, C)`, in and out.
    """
    y = halve(x, f"{name}.pool{level}")
    y = chain(y, unit, net, f"{name}.down{level}", net.r)
    if level < depth:
        below = bottom_up_top_down(y, unit, net, name, depth, level + 1)
        y = keras.layers.Add(name=f"{name}.add{level}")([chain(y, unit, net, f"{name}.skip{level}", 1), below])
    y = chain(y, unit, net, f"{name}.up{level}", net.r)
    return ResizeLike(name=f"{name}.resize{level}")([y, x])


def soft_mask(x, unit: Unit, net, name, depth):
    """The hourglass, two 1x1 convolutions and the mask's activation: `(B, H, W, C)` to `(B, H, W, C)`."""
    y = net.activate(bottom_up_top_down(x, unit, net, name, depth), name=name)
    y = conv_norm_relu(y, x.shape[-1], at=At(f"{name}.conv1", f"{name}.norm1", f"{name}.relu1"))
    return net.mask(name=f"{name}.activation")(conv(y, x.shape[-1], name=f"{name}.conv2"))


def attention_module(x, unit: Unit, net, name, depth):
    """Figure 2: p units, t units beside a mask, p units. `(B, H, W, C)`, in and out."""
    unit = replace(unit, stride=1, index=unit.index + 1)  # never the first of all, which may differ from the others
    x = chain(x, unit, net, f"{name}.pre", net.p)
    trunk = chain(x, unit, net, f"{name}.trunk", net.t)
    x = net.learning(trunk, soft_mask(x, unit, net, f"{name}.mask", depth), name)
    return chain(x, unit, net, f"{name}.post", net.p)


def inception(x, unit: Unit, net, scale=0.17):
    """The `block` of AttentionInception: `(B, H, W, C)` to `(B, H/stride, W/stride, 4 width)`.

    The paper names Inception-ResNet (arXiv:1602.07261) and tells no more; there is no public code. This is Figure 10
    there, Inception-ResNet-A, in every stage: its 32 filters at 256 channels, and at more channels in proportion. A
    strided unit strides the last convolution of each tower.
    """
    width = net.inner(unit.width) // 2
    kernels = (1,), (1, 3), (1, 3, 3)
    towers = [[*((width, size) for size in sizes), (width, last, unit.stride)] for *sizes, last in kernels]
    y = concatenate(branches(x, towers, unit.name), name=f"{unit.name}.towers")
    y = conv(y, 4 * unit.width, bias=0.0, name=f"{unit.name}.conv2d")
    return keras.layers.Rescaling(scale, name=f"{unit.name}.scale")(y)


@dataclass(frozen=True)
class ResidualAttention(Architecture):
    """A residual network with attention modules behind its stages.

    Args:
        base: the residual network, whose `connect(x, unit, base)` makes every unit, also those of the modules.
        modules: of each stage, its attention modules: how often each mask halves the resolution. At 224 pixels 3, 2
            and 1 times end in 7x7.
        activate: `activate(x, name=)`, between units and a convolution that is in none.
        mask: `mask(name=)` makes the layer that activates the masks.
        learning: `learning(trunk, mask, name)` applies the mask to the trunk.
        p: units before and behind the branches of a module (Figure 2).
        t: units of the trunk branch.
        r: units between two resolutions of the mask branch.
    """

    base: ResNet | PreActResNet
    modules: tuple[tuple[int, ...], ...] = ((3,), (2,), (1,), ())
    activate: Callable = norm_relu
    mask: Callable = mixed
    learning: Callable = residual_learning
    p: int = 1
    t: int = 2
    r: int = 1

    def __post_init__(self):
        if len(self.modules) != len(self.base.depths) or min(itertools.chain((1,), *self.modules)) < 1:
            raise ValueError(
                "`modules` has an entry for each stage of `base`: how often, at least once, the mask of each module "
                f"halves the resolution. Received: modules={self.modules} and base.depths={self.base.depths}"
            )

    def features(self, x):  # (B, H, W, 3)
        base = self.base
        x = base.stem(x)  # (B, H/4, W/4, 64)
        behind = dict(zip(itertools.accumulate(base.depths), enumerate(self.modules, 1), strict=True))
        for unit in units(base.depths, base.widths):
            x = base.connect(x, unit, base)
            stage, depths = behind.get(unit.index + 1, (None, ()))
            for place, depth in enumerate(depths):
                x = attention_module(x, unit, self, f"attention{stage}.{place}", depth)
        return self.activate(x, name="last")  # (B, H/32, W/32, 2048)


DEPTHS = (1, 1, 1, 3)
# All nets stride the 3x3 convolution.
PREACTIVATED = ResidualAttention(PreActResNet(DEPTHS, stem=stem, stride_first=False))
# The authors' AttentionNeXt is made of ResNeXt's own units, which are not pre-activated.
AGGREGATED = ResidualAttention(resnext(DEPTHS, 32, 4, stem=stem), activate=as_is)
INCEPTION = ResidualAttention(ResNet(DEPTHS, block=inception, stem=stem), activate=as_is)
DEEPER = ((3,), (2, 2), (1, 1, 1), ())


def errors(top1, top5, size):
    protocol, where = f"ILSVRC-2012 validation (not blacklisted), 1 crop of {size}", "table of errors on ImageNet"
    return Reported("top-1 error", top1, protocol, where), Reported("top-5 error", top5, protocol, where)


ROW = dict(paper=PAPER, preprocess=IMAGENET_MEAN)

Attention56 = Variant(
    "Attention56",
    PREACTIVATED,
    params=31_810_728,
    macs=6_270_836_736,
    reported=errors(21.76, 5.9, 224),
    **ROW,
)
Attention92 = Variant(
    "Attention92",
    replace(PREACTIVATED, modules=DEEPER),
    params=52_466_344,
    macs=10_533_789_696,
    reported=errors(19.5, 4.8, 320),
    **ROW,
)
AttentionNeXt56 = Variant(
    "AttentionNeXt56",
    AGGREGATED,
    params=31_318_824,
    macs=6_419_106_816,
    reported=errors(21.2, 5.6, 224),
    **ROW,
)
AttentionNeXt92 = Variant(
    "AttentionNeXt92",
    replace(AGGREGATED, modules=DEEPER),
    params=52_102_952,
    macs=10_704_337_920,
    **ROW,
)
AttentionInception56 = Variant(
    "AttentionInception56",
    INCEPTION,
    params=34_012_584,
    macs=6_930_450_432,
    reported=errors(20.36, 5.29, 299),
    **ROW,
)

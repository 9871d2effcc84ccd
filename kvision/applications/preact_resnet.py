"""Identity Mappings in Deep Residual Networks: He, Zhang, Ren & Sun, ECCV 2016, arXiv:1603.05027.

Figure 4(e), the full pre-activation, is `preactivated`, whose branch is `basic` or `bottleneck`. The units that lost
are for the original ResNet-110, as `ResNet110(connect=exclusive_gating)`: the shortcuts of section 3 and Table 1, and
the positions of the activations of section 4 and Table 2.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras

from kvision.applications import resnet
from kvision.applications._publishers import HALF, timm
from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.blocks.bind import bind
from kvision.blocks.conv import At, conv, conv_norm, he_fan_out, norm, relu
from kvision.blocks.stages import units

PAPER = Paper(
    title="Identity Mappings in Deep Residual Networks",
    authors=("Kaiming He", "Xiangyu Zhang", "Shaoqing Ren", "Jian Sun"),
    venue="ECCV 2016",
    month="2016-03",
    arxiv="1603.05027",
)


def stem_7x7(x, width=64):
    """Bare 7x7 convolution and 3x3 max-pooling, both of stride 2: `(B, H, W, C)` to `(B, H/4, W/4, width)`."""
    x = conv(x, width, 7, 2, name="stem.conv")
    # Nothing is rectified yet: zeros at the border would win over negative values.
    x = keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-math.inf)
    return keras.layers.MaxPooling2D(3, 2, name="stem.pool")(x)


def stem_3x3(x, width=16, initializer=he_fan_out):
    """One bare 3x3 convolution for small images: `(B, H, W, C)` to `(B, H, W, width)`."""
    return conv(x, width, 3, initializer=initializer, name="stem.conv")


def activate(x, unit, place):
    """Batch normalization and rectifier before the unit's `place`-th convolution."""
    return relu(norm(x, name=f"{unit.name}.norm{place}"), name=f"{unit.name}.relu{place}")


def conv3x3(x, filters, stride=1, *, name):
    """The (first) spatial convolution of a branch, bare."""
    return conv(x, filters, 3, stride, name=name)


def basic(x, unit, net):
    """Two 3x3 convolutions: `(B, H, W, C)`, already activated, to `(B, H/stride, W/stride, width)`."""
    y = net.spatial(x, net.inner(unit.width), unit.stride, name=f"{unit.name}.conv1")
    return conv(activate(y, unit, 2), unit.width, 3, name=f"{unit.name}.conv2")


def bottleneck(x, unit, net):
    """1x1, 3x3, 1x1: `(B, H, W, C)`, already activated, to `(B, H/stride, W/stride, 4 width)`."""
    inner = net.inner(unit.width)
    first, second = (unit.stride, 1) if net.stride_first else (1, unit.stride)
    y = conv(x, inner, 1, first, name=f"{unit.name}.conv1")
    y = net.spatial(activate(y, unit, 2), inner, second, name=f"{unit.name}.conv2")
    return conv(activate(y, unit, 3), 4 * unit.width, name=f"{unit.name}.conv3")


def preactivated(x, unit, net):
    """Equation 9, `x + F(x)` with the activations inside F; a unit that changes the shape shares its first one.

    Sharing is the authors' code: the projection reads what the branch reads.
    """
    activated = activate(x, unit, 1)
    y = resnet.branch(activated, unit, net)
    changes = unit.stride > 1 or x.shape[-1] != y.shape[-1]
    shared = changes or (net.activate_first and unit.index == 0)
    x = net.shortcut(activated if shared else x, y.shape[-1], unit)
    return keras.layers.Add(name=f"{unit.name}.add")([x, y])


def project(x, filters, unit, initializer=he_fan_out):
    """Identity, and a bare strided 1x1 convolution where the shape changes."""
    if unit.stride == 1 and x.shape[-1] == filters:
        return x
    return conv(x, filters, 1, unit.stride, initializer=initializer, name=f"{unit.name}.downsample.conv")


@dataclass(frozen=True)
class PreActResNet(Architecture):
    """A residual network whose units activate before they convolve. Holes (callables) are what later papers change.

    Args:
        depths: units in each stage.
        block: `block(x, unit, net)`, the residual branch of a unit, from its activated input.
        connect: `connect(x, unit, net)`, a unit: its branch and its shortcut.
        widths: of the stages; a bottleneck puts out four times as many channels.
        stem: `stem(x)`, before the stages: it ends in a bare convolution (or its maxima), which unit 1 activates.
        inner: from a unit's width to that of the convolutions inside it.
        spatial: `spatial(x, filters, stride, name=)`, the (first) 3x3 convolution of a block.
        attend: `attend(name=)` makes a layer that gates the branch before the sum; None for none.
        shortcut: `shortcut(x, filters, unit)`.
        stride_first: a bottleneck strides its first 1x1 convolution, as the authors' nets do; the torch lineage strides
            the 3x3.
        activate_first: the first unit activates before it splits, as the paper's appendix has it, though it may keep
            the shape; else, as timm and others have it, only units that change the shape do.
    """

    depths: tuple[int, ...]
    block: Callable = bottleneck
    connect: Callable = preactivated
    widths: tuple[int, ...] = (64, 128, 256, 512)
    stem: Callable = stem_7x7
    inner: Callable = resnet.same
    spatial: Callable = conv3x3
    attend: Callable | None = None
    shortcut: Callable = project
    stride_first: bool = True
    activate_first: bool = True

    def __post_init__(self):
        if len(self.depths) != len(self.widths) or min(self.depths + self.widths) < 1:
            raise ValueError(
                "A PreActResNet has as many `depths` as `widths`, each at least 1. "
                f"Received: depths={self.depths}, widths={self.widths}"
            )

    def features(self, x):  # (B, H, W, 3)
        x = self.stem(x)  # (B, H/4, W/4, 64); for small images (B, H, W, 16)
        for unit in units(self.depths, self.widths, "stages.{}.blocks.{}", start=0):
            x = self.connect(x, unit, self)
        return relu(norm(x, name="norm"), name="relu")  # (B, H/32, W/32, 4 * 512); (B, H/4, W/4, 4 * 64)


# Section 3: what the shortcut may be other than the identity. Each fills a hole of the original `resnet.ResNet`.


def sum_of(x, y, unit):
    """The end of an original unit."""
    return relu(keras.layers.Add(name=f"{unit.name}.add")([x, y]), name=f"{unit.name}.relu")


def constant_scaling(x, unit, net, shortcut=0.5, branch=0.5):
    """Section 3.1, for `connect`: both scaled. Without the shortcut (0 and 1) the net is plain."""
    y = resnet.branch(x, unit, net)
    return sum_of(shortcut * net.shortcut(x, y.shape[-1], unit), branch * y, unit)


def gate(x, filters, unit, bias):
    """g(x): a 1x1 convolution and sigmoid, `(B, H/stride, W/stride, filters)` in (0, 1)."""
    z = conv(x, filters, 1, unit.stride, bias=bias, name=f"{unit.name}.gate")
    return keras.layers.Activation("sigmoid", name=f"{unit.name}.gate.sigmoid")(z)


def exclusive_gating(x, unit, net, bias=-6.0):
    """Section 3.1, for `connect`: `(1 - g(x)) x + g(x) F(x)`, as highway networks; the bias starts at -6 (Table 1)."""
    y = resnet.branch(x, unit, net)
    g = gate(x, y.shape[-1], unit, bias)
    return sum_of((1 - g) * net.shortcut(x, y.shape[-1], unit), g * y, unit)


def shortcut_only_gating(x, unit, net, bias=-6.0):
    """Section 3.1, for `connect`: `(1 - g(x)) x + F(x)`; the bias starts at -6 (Table 1)."""
    y = resnet.branch(x, unit, net)
    g = gate(x, y.shape[-1], unit, bias)
    return sum_of((1 - g) * net.shortcut(x, y.shape[-1], unit), y, unit)


def convolutional_shortcut(x, filters, unit):
    """Section 3.1, for `shortcut`: a 1x1 convolution in every unit, option C of the first paper."""
    at = At(f"{unit.name}.downsample.0", f"{unit.name}.downsample.1", "")
    return conv_norm(x, filters, 1, unit.stride, at=at)


def dropout_shortcut(x, filters, unit, rate=0.5, shortcut=resnet.pad):
    """Section 3.1, for `shortcut`: dropout behind the shortcut, which scales it by 1 - rate in expectation."""
    x = keras.layers.Dropout(rate, name=f"{unit.name}.drop")(shortcut(x, filters, unit))
    return x * (1 - rate)  # Keras scales up what it keeps; the paper's argument is that nothing is


# Section 4 and Figure 4: where the activations may stand. These too are for the original `resnet.ResNet`.


def bare_basic(x, unit, net):
    """Figure 4(b), for `block`: two 3x3 convolutions, the last without normalization."""
    y = net.spatial(x, net.inner(unit.width), unit.stride, at=unit.at(1))
    return conv(y, unit.width, 3, name=unit.at(2).conv)


def norm_after_addition(x, unit, net):
    """Figure 4(b), for `connect`, upon `bare_basic`: the last normalization stands behind the sum."""
    y = resnet.branch(x, unit, net)
    x = keras.layers.Add(name=f"{unit.name}.add")([net.shortcut(x, y.shape[-1], unit), y])
    return relu(norm(x, name=unit.at(2).norm), name=f"{unit.name}.relu")


def relu_before_addition(x, unit, net):
    """Figure 4(c), for `connect`: the branch is rectified, so the signal can only grow."""
    y = relu(resnet.branch(x, unit, net), name=f"{unit.name}.relu")
    return keras.layers.Add(name=f"{unit.name}.add")([net.shortcut(x, y.shape[-1], unit), y])


def relu_only(x, unit, net):
    """Figure 4(d), for `connect`: the rectifier before the convolution, its normalization behind it.

    The last unit is rectified after the sum (appendix).
    """
    y = resnet.branch(relu(x, name=f"{unit.name}.relu0"), unit, net)
    y = keras.layers.Add(name=f"{unit.name}.add")([net.shortcut(x, y.shape[-1], unit), y])
    return relu(y, name=f"{unit.name}.relu") if unit.index == unit.count - 1 else y


def v2(tag, top1=None, **preprocessing):
    """timm's second-generation checkpoints: pixels in [-1, 1], and a 1x1 convolution for the dense layer."""
    names = dict(rename=(("^head.fc.", "^fc."),), convolved={"fc.weight": (-1, 1, 1)})
    return timm(tag, top1=top1, mean=HALF, std=HALF, **names, **preprocessing)


def imagenet(error):
    return (Reported("top-1 error", error, "ILSVRC-2012 validation, one 320x320 crop", "Table 5"),)


# The paper's ImageNet networks have 152 and 200 layers, and stride the 3x3, as the Torch code that trained them: 15.0
# billion multiply-adds for 200 layers, where the first 1x1 would give 14.8. All but the 200 are timm's.
TIMM = dict(stride_first=False, activate_first=False)

PreActResNet18 = Variant(
    "PreActResNet18",
    PreActResNet((2, 2, 2, 2), block=basic, **TIMM),
    PAPER,
    params=11_687_720,
    macs=1_814_073_344,
    weights=(v2("resnetv2_18.ra4_e3600_r224_in1k"),),
)
PreActResNet34 = Variant(
    "PreActResNet34",
    PreActResNet((3, 4, 6, 3), block=basic, **TIMM),
    PAPER,
    params=21_795_880,
    macs=3_663_761_408,
    weights=(v2("resnetv2_34.ra4_e3600_r224_in1k"),),
)
PreActResNet50 = Variant(
    "PreActResNet50",
    PreActResNet((3, 4, 6, 3), **TIMM),
    PAPER,
    params=25_549_352,
    macs=4_089_184_256,
    weights=(v2("resnetv2_50.a1h_in1k", 81.398),),
)
PreActResNet101 = Variant(
    "PreActResNet101",
    PreActResNet((3, 4, 23, 3), **TIMM),
    PAPER,
    params=44_541_480,
    macs=7_801_405_440,
    weights=(v2("resnetv2_101.a1h_in1k", 83.002),),
)
PreActResNet152 = Variant(
    "PreActResNet152",
    PreActResNet((3, 8, 36, 3), **TIMM),
    PAPER,
    params=60_185_128,
    macs=11_513_626_624,
    reported=imagenet(21.1),
    lineages=(v2("resnetv2_152.untrained", size=224, crop=0.875),),
)
PreActResNet200 = Variant(
    "PreActResNet200",
    PreActResNet((3, 24, 36, 3), stride_first=False),
    PAPER,
    params=64_666_152,
    macs=15_007_481_856,
    reported=imagenet(20.7),
)

CIFAR = {**resnet.CIFAR, "paper": PAPER}


def cifar(n: int, block: Callable) -> PreActResNet:
    """6n + 2 layers of basic blocks, 9n + 2 of bottlenecks."""
    return PreActResNet((n, n, n), block, widths=(16, 32, 64), stem=stem_3x3)


def table(*errors, where="Table 4"):
    """On CIFAR-10 and, if there are two, on CIFAR-100."""
    data = ("CIFAR-10", "CIFAR-100")[: len(errors)]
    return tuple(
        Reported("test error", error, f"{name}, pad-and-crop and flip, median of 5 runs", where)
        for name, error in zip(data, errors, strict=True)
    )


PreActResNet20 = Variant("PreActResNet20", cifar(3, basic), params=272_282, macs=40_813_184, **CIFAR)
PreActResNet32 = Variant("PreActResNet32", cifar(5, basic), params=466_714, macs=69_124_736, **CIFAR)
PreActResNet44 = Variant("PreActResNet44", cifar(7, basic), params=661_146, macs=97_436_288, **CIFAR)
PreActResNet56 = Variant("PreActResNet56", cifar(9, basic), params=855_578, macs=125_747_840, **CIFAR)
PreActResNet110 = Variant(
    "PreActResNet110",
    cifar(18, basic),
    params=1_730_522,
    macs=253_149_824,
    reported=table(6.37, where="Table 2"),
    **CIFAR,
)
PreActResNet164 = Variant(
    "PreActResNet164",
    cifar(18, bottleneck),
    params=1_703_258,
    macs=244_500_992,
    reported=table(5.46, 24.33),
    **CIFAR,
)
PreActResNet1001 = Variant(
    "PreActResNet1001",
    cifar(111, bottleneck),
    params=10_327_706,
    macs=1_487_849_984,
    reported=table(4.92, 22.71),
    **CIFAR,
)


# A ResNet-18 for small images, which later papers train ("ResNet-18-PreAct" in Random Erasing, arXiv:1708.04896).
PreActResNet18CIFAR = Variant(
    "PreActResNet18CIFAR",
    PreActResNet((2, 2, 2, 2), basic, stem=bind(stem_3x3, width=64), activate_first=False),
    params=11_172_170,
    macs=555_422_720,
    **CIFAR,
)

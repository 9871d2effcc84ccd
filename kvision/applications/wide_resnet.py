"""Wide Residual Networks: Zagoruyko & Komodakis, BMVC 2016, arXiv:1605.07146.

Table 1 is `wide_resnet`. The block types B(M) and the deepening factor l of section 2 are the `kernels` of `wide`, the
dropout of section 2.4 its `dropout`, as `WideResNet28x10(block=bind(wide, dropout=0.3))`. The ImageNet networks of
section 3 are ResNets with wider 3x3 convolutions in their bottlenecks.
"""

from collections.abc import Callable, Sequence

import keras

from kvision.applications import resnet
from kvision.applications._publishers import timm, torchvision
from kvision.applications._record import Paper, Reported, Variant
from kvision.applications.preact_resnet import PreActResNet, activate, project, stem_3x3
from kvision.applications.resnet import ResNet
from kvision.blocks.bind import bind
from kvision.blocks.conv import conv, he

PAPER = Paper(
    title="Wide Residual Networks",
    authors=("Sergey Zagoruyko", "Nikos Komodakis"),
    venue="BMVC 2016",
    month="2016-05",
    arxiv="1605.07146",
)
FAN_IN = bind(he, fan="fan_in")  # the authors' code


def wide(x, unit, net, kernels: Sequence[int] = (3, 3), dropout: float = 0.0):
    """B(kernels): `(B, H, W, C)`, already activated, to `(B, H/stride, W/stride, width)`.

    Args:
        kernels: the size of each convolution; the first has the stride.
        dropout: the share dropped before each convolution but the first: 0.3 on CIFAR, 0.4 on SVHN (section 3).
    """
    for place, kernel in enumerate(kernels, start=1):
        if place > 1:
            x = activate(x, unit, place)
            if dropout:
                x = keras.layers.Dropout(dropout, name=f"{unit.name}.drop{place}")(x)
        stride = unit.stride if place == 1 else 1
        x = conv(x, net.inner(unit.width), kernel, stride, initializer=FAN_IN, name=f"{unit.name}.conv{place}")
    return x


def wide_resnet(depth: int, k: int, block: Callable = wide) -> PreActResNet:
    """WRN-depth-k: three groups of N = (depth - 4) / 6 units, whatever their block type, and 16k, 32k, 64k channels.

    Raises:
        ValueError: a depth that is not 6N + 4.
    """
    n, rest = divmod(depth - 4, 6)
    if rest or n < 1:
        raise ValueError(f"The depth of a wide residual network is 6N + 4: 10, 16, 22, ... Received: depth={depth}")
    return PreActResNet(
        (n, n, n),
        block,
        widths=(16 * k, 32 * k, 64 * k),
        stem=bind(stem_3x3, initializer=FAN_IN),
        shortcut=bind(project, initializer=FAN_IN),
        activate_first=False,
    )


CIFAR = {**resnet.CIFAR, "paper": PAPER}
WHITENED = "ZCA-whitened, pad-and-crop and flip"
NORMALIZED = "mean/std-normalized, pad-and-crop and flip, median of 5 runs"


def table(errors, protocol=WHITENED, where="Table 4"):
    """On CIFAR-10 and, if there are two, on CIFAR-100."""
    names = ("CIFAR-10", "CIFAR-100")[: len(errors)]
    return tuple(
        Reported("test error", error, f"{name}, {protocol}", where) for name, error in zip(names, errors, strict=True)
    )


def wrn(depth, k, params, macs, reported=()):
    return Variant(
        f"WideResNet{depth}x{k}", wide_resnet(depth, k), params=params, macs=macs, reported=reported, **CIFAR
    )


WideResNet16x4 = wrn(16, 4, 2_748_890, 392_612_352, table((5.02, 24.03), NORMALIZED, "Table 6"))
WideResNet16x8 = wrn(
    16,
    8,
    10_961_370,
    1_548_145_664,
    table((4.27, 20.43), NORMALIZED, "Table 5") + table((4.81, 22.07)),
)
WideResNet16x10 = wrn(16, 10, 17_116_634, 2_412_173_568, table((4.56, 21.59)))
WideResNet22x8 = wrn(22, 8, 17_158_106, 2_454_115_328, table((4.38, 21.22)))
WideResNet22x10 = wrn(22, 10, 26_797_914, 3_827_751_168, table((4.44, 20.75)))
WideResNet28x10 = wrn(
    28,
    10,
    36_479_194,
    5_243_328_768,
    table((4.00, 19.25), NORMALIZED, "Table 5")
    + table((3.89, 18.85), f"{NORMALIZED}, dropout 0.3", "Table 6")
    + table((4.17, 20.50)),
)
WideResNet28x12 = wrn(28, 12, 52_517_850, 7_543_905_792, table((4.33, 20.43)))
WideResNet40x1 = wrn(40, 1, 563_930, 83_280_512, table((6.85, 30.89)))
WideResNet40x2 = wrn(40, 2, 2_243_546, 327_599_360, table((5.33, 26.04)))
WideResNet40x4 = wrn(
    40,
    4,
    8_949_210,
    1_298_582_016,
    table((4.53, 21.18), NORMALIZED, "Table 5") + table((4.97, 22.89)),
)
WideResNet40x8 = wrn(40, 8, 35_748_314, 5_172_024_320, table((4.66,)))
WideResNet52x1 = wrn(52, 1, 758_362, 111_592_064, table((6.43, 29.89), NORMALIZED, "Table 6"))


def doubled(width: int) -> int:
    return 2 * width


# WRN-50-2-bottleneck: post-activation, as the authors' ImageNet code, with torch's strides.
WideResNet50 = Variant(
    "WideResNet50",
    ResNet((3, 4, 6, 3), inner=doubled, stride_first=False),
    PAPER,
    params=68_883_240,
    macs=11_398_021_120,
    reported=(Reported("top-1 error", 21.9, "ILSVRC-2012 validation, one 224x224 crop", "Table 8"),),
    weights=(
        timm("wide_resnet50_2.racm_in1k", top1=82.28, crop=0.95),
        torchvision("wide_resnet50_2.tv2_in1k", top1=81.602, crop=0.965),
        torchvision("wide_resnet50_2.tv_in1k", top1=78.468),
    ),
)
WideResNet101 = Variant(
    "WideResNet101",
    ResNet((3, 4, 23, 3), inner=doubled, stride_first=False),
    PAPER,
    params=126_886_696,
    macs=22_753_050_624,
    weights=(
        torchvision("wide_resnet101_2.tv2_in1k", top1=82.51, crop=0.965),
        torchvision("wide_resnet101_2.tv_in1k", top1=78.848),
    ),
)

# ResNet-18 with wider stages behind the same stem: the "WideResNet18" of CBAM's Table 4 (arXiv:1807.06521).
WideResNet18x1_5 = Variant(
    "WideResNet18x1_5",
    ResNet((2, 2, 2, 2), block=resnet.basic, widths=(96, 192, 384, 768)),
    PAPER,
    params=25_875_816,
    macs=3_866_327_040,
)
WideResNet18x2 = Variant(
    "WideResNet18x2",
    ResNet((2, 2, 2, 2), block=resnet.basic, widths=(128, 256, 512, 1024)),
    PAPER,
    params=45_618_216,
    macs=6_695_706_624,
)

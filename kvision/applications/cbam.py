"""CBAM: Convolutional Block Attention Module: Woo, Park, Lee & Kweon, ECCV 2018, arXiv:1807.06521.

The module of section 3 is the layer `CBAM`; Figure 3, the module behind the last normalization of every block, is the
recipes' hole `attend`, as `ResNet50(attend=CBAM)`. Tables 1 to 3 are what else fits in, such as
`attend=bind(ChannelGate, pools=("avg",))` or `attend=bind(CBAM, kernel_size=3)`. Table 4 is the rows.
"""

from dataclasses import replace

from kvision.applications._publishers import MEAN, STD
from kvision.applications._record import Paper, Reported, Variant
from kvision.applications.resnet import ResNet18, ResNet34, ResNet50, ResNet101
from kvision.applications.resnext import ResNeXt50, ResNeXt101
from kvision.applications.wide_resnet import WideResNet18x1_5, WideResNet18x2
from kvision.classifier import Preprocess
from kvision.layers import CBAM, SqueezeExcite

PAPER = Paper(
    title="CBAM: Convolutional Block Attention Module",
    authors=("Sanghyun Woo", "Jongchan Park", "Joon-Young Lee", "In So Kweon"),
    venue="ECCV 2018",
    month="2018-07",
    arxiv="1807.06521",
)
IMAGENET = Preprocess(MEAN, STD, size=(224, 224), crop_fraction=0.875)  # as in the authors' code


def gated(name, row, params, macs, top1, top5, attend=CBAM, **changes) -> Variant:
    """Table 4: a row with a gate in every block, and its top-1 and top-5 errors."""
    protocol, where = "ILSVRC-2012 validation, 1 crop of 224", "Table 4"
    return Variant(
        name,
        replace(row.architecture, attend=attend, **changes),
        PAPER,
        params,
        macs,
        preprocess=IMAGENET,
        reported=(Reported("top-1 error", top1, protocol, where), Reported("top-5 error", top5, protocol, where)),
    )


CBAMResNet18 = gated("CBAMResNet18", ResNet18, 11_779_392, 1_815_063_764, 29.27, 10.09)
CBAMResNet34 = gated("CBAMResNet34", ResNet34, 21_960_468, 3_665_434_742, 25.99, 8.24)
# The multiply-adds of Table 4 are those of strides on the first 1x1 convolution, also in ResNeXt. The authors' code
# strides the 3x3, as `stride_first=False`.
CBAMResNet50 = gated("CBAMResNet50", ResNet50, 28_089_624, 3_864_362_102, 22.66, 6.31)
CBAMResNet101 = gated("CBAMResNet101", ResNet101, 49_330_172, 7_581_366_270, 21.51, 5.69)
CBAMResNeXt50 = gated("CBAMResNeXt50", ResNeXt50, 27_561_496, 3_774_446_710, 21.92, 5.91, stride_first=True)
CBAMResNeXt101 = gated("CBAMResNeXt101", ResNeXt101, 48_958_716, 7_518_746_622, 21.07, 5.59, stride_first=True)

CBAMWideResNet18x1_5 = gated("CBAMWideResNet18x1_5", WideResNet18x1_5, 26_075_516, 3_867_535_060, 26.10, 8.43)
CBAMWideResNet18x2 = gated("CBAMWideResNet18x2", WideResNet18x2, 45_971_256, 6_697_219_284, 24.84, 7.63)
SEWideResNet18x1_5 = gated(
    "SEWideResNet18x1_5", WideResNet18x1_5, 26_074_716, 3_866_522_880, 26.21, 8.47, attend=SqueezeExcite
)
SEWideResNet18x2 = gated(
    "SEWideResNet18x2", WideResNet18x2, 45_970_456, 6_696_054_784, 24.93, 7.65, attend=SqueezeExcite
)

"""ResNeSt: Split-Attention Networks: Zhang et al., CVPR Workshops 2022, arXiv:2004.08955.

The split-attention block of section 3 is ResNet's bottleneck with `split_attention` for its 3x3 convolution, in the
radix-major form of section 3.2. The network's tweaks of section 4 are the stem of three 3x3 convolutions and
`pooled_shortcut`, both of ResNet-D (He et al., "Bag of Tricks", arXiv:1812.01187), and the average pooling in
`split_attention`.
"""

from kvision.applications._publishers import timm
from kvision.applications._record import Paper, Reported, Variant
from kvision.applications.resnet import ResNet
from kvision.applications.resnext import cardinal
from kvision.applications.senet import stem_deep
from kvision.blocks.bind import bind
from kvision.blocks.conv import At, conv_norm, conv_norm_relu
from kvision.blocks.pool import average_pool
from kvision.layers import SplitAttention

PAPER = Paper(
    title="ResNeSt: Split-Attention Networks",
    authors=(
        "Hang Zhang",
        "Chongruo Wu",
        "Zhongyue Zhang",
        "Yi Zhu",
        "Haibin Lin",
        "Zhi Zhang",
        "Yue Sun",
        "Tong He",
        "Jonas Mueller",
        "R. Manmatha",
        "Mu Li",
        "Alexander Smola",
    ),
    venue="CVPRW 2022",
    month="2020-04",
    arxiv="2004.08955",
)


def pooled_shortcut(x, filters, unit):
    """Identity, and a 1x1 convolution where the shape changes, of means where the resolution does."""
    if unit.stride == 1 and x.shape[-1] == filters:
        return x
    if unit.stride > 1:
        x = average_pool(x, unit.stride, unit.stride, name=f"{unit.name}.downsample.0")
    return conv_norm(x, filters, at=At(f"{unit.name}.downsample.1", f"{unit.name}.downsample.2", ""))


def split_attention(x, filters, stride=1, *, at: At, radix=2, cardinality=1, fast=False):
    """A 3x3 convolution to R splits, and the attention between them.

    `(B, H, W, C)` to `(B, H/stride, W/stride, filters)`; the stride is that of an average pooling, not of the
    convolution (section 4).

    Args:
        radix: R, splits of each cardinal group.
        cardinality: K, cardinal groups: the convolution has K R groups.
        fast: pools before the convolution, not behind the attention.
    """

    def pool(x):
        return average_pool(x, 3, stride, name=f"{at.conv}.pool", count_border=True)

    names = At(f"{at.conv}.conv", f"{at.conv}.bn0", f"{at.conv}.relu0")
    if stride > 1 and fast:
        x = pool(x)
    x = conv_norm_relu(x, radix * filters, 3, groups=radix * cardinality, at=names)
    x = SplitAttention(radix, cardinality, name=at.conv)(x)
    return pool(x) if stride > 1 and not fast else x


def resnest(depths, stem=32, radix=2, cardinality=1, base=64, fast=False, **changes) -> ResNet:
    """ResNeSt of the setting `{radix}s{cardinality}x{base}d`.

    The paper also drops blocks of feature maps in the last two stages in training, by DropBlock (arXiv:1810.12890),
    which is not here.

    Args:
        depths: units in each stage.
        stem: width of the first convolution.
        radix, cardinality, fast: as of `split_attention`.
        base: width of a cardinal group in a unit of width 64.
        **changes: other fields of `ResNet`.
    """
    return ResNet(
        depths,
        stem=bind(stem_deep, widths=(stem, stem, 2 * stem)),
        inner=bind(cardinal, cardinality=cardinality, base=base),
        spatial=bind(split_attention, radix=radix, cardinality=cardinality, fast=fast),
        shortcut=pooled_shortcut,
        stride_first=False,
        zero_gamma=True,  # as the authors' training script does (--last-gamma)
        **changes,
    )


def reported(accuracy, size, file="README.md"):
    where = f"the authors' repository, {file}, PyTorch"
    return (Reported("top-1 accuracy", accuracy, f"ILSVRC-2012 validation, 1 crop of {size}x{size}", where),)


ResNeSt50 = Variant(
    "ResNeSt50",
    resnest((3, 4, 6, 3)),
    PAPER,
    params=27_483_240,
    macs=5_371_160_576,
    reported=reported(81.03, 224),
    weights=(timm("resnest50d.in1k", top1=80.964, size=224, crop=0.875, interpolation="bilinear"),),
)
ResNeSt101 = Variant(
    "ResNeSt101",
    resnest((3, 4, 23, 3), stem=64),
    PAPER,
    params=48_275_016,
    macs=13_321_472_000,
    input_shape=(256, 256, 3),
    reported=reported(82.83, 256),
    weights=(timm("resnest101e.in1k", top1=82.884, size=256, crop=0.875, interpolation="bilinear"),),
)
# The authors' code gives the two largest dropout.
ResNeSt200 = Variant(
    "ResNeSt200",
    resnest((3, 24, 36, 3), stem=64, dropout=0.2),
    PAPER,
    params=70_201_544,
    macs=35_519_694_848,
    input_shape=(320, 320, 3),
    reported=reported(83.84, 320),
    weights=(timm("resnest200e.in1k", top1=83.846, size=320, crop=0.909),),
)
ResNeSt269 = Variant(
    "ResNeSt269",
    resnest((3, 30, 48, 8), stem=64, dropout=0.2),
    PAPER,
    params=110_929_480,
    macs=77_348_702_208,
    input_shape=(416, 416, 3),
    reported=reported(84.54, 416),
    weights=(timm("resnest269e.in1k", top1=84.51, size=416, crop=0.928),),
)


def fast(radix, cardinality, base, params, macs, accuracy, weights=()) -> Variant:
    """ResNeSt-50-fast: the settings that the paper compares."""
    return Variant(
        f"ResNeSt50Fast_{radix}s{cardinality}x{base}d",
        resnest((3, 4, 6, 3), radix=radix, cardinality=cardinality, base=base, fast=True),
        PAPER,
        params,
        macs,
        reported=reported(accuracy, 224, "ablation.md"),
        weights=weights,
    )


def ablation(tag, top1):
    return (timm(tag, top1=top1, size=224, crop=0.875),)


ResNeSt50Fast_1s1x64d = fast(1, 1, 64, 26_217_896, 4_329_459_712, 80.33)
ResNeSt50Fast_2s1x64d = fast(2, 1, 64, 27_483_240, 4_330_711_040, 80.53)
ResNeSt50Fast_4s1x64d = fast(4, 1, 64, 31_912_712, 4_335_112_192, 80.76)
ResNeSt50Fast_1s2x40d = fast(1, 2, 40, 25_946_680, 4_364_642_816, 80.59)
ResNeSt50Fast_2s2x40d = fast(2, 2, 40, 26_943_792, 4_365_622_336, 80.97)
ResNeSt50Fast_4s2x40d = fast(4, 2, 40, 30_417_592, 4_369_060_736, 80.86, ablation("resnest50d_4s2x40d.in1k", 81.12))
ResNeSt50Fast_1s4x24d = fast(1, 4, 24, 25_677_000, 4_399_827_456, 80.99, ablation("resnest50d_1s4x24d.in1k", 80.988))

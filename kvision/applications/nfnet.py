"""High-Performance Large-Scale Image Recognition Without Normalization: Brock, De, Smith & Simonyan, ICML 2021,
arXiv:2102.06171.

NFNets are NF-ResNets of wider stages, with the stem `stem_3x3`, a second grouped convolution in the `bottleneck`,
Squeeze-and-Excitation, GELU, and a convolution before the average. Table 1 is the rows at the foot. The adaptive
gradient clipping of section 4, which trains them at large batch sizes, belongs to the optimizer.
"""

from dataclasses import replace

from kvision.applications._publishers import timm
from kvision.applications._record import Paper, Reported, Variant
from kvision.applications.nf_resnet import RENAME, NFResNet, pooled, scaled, standardized
from kvision.blocks.bind import bind
from kvision.layers import SqueezeExcite

PAPER = Paper(
    title="High-Performance Large-Scale Image Recognition Without Normalization",
    authors=("Andrew Brock", "Soham De", "Samuel L. Smith", "Karen Simonyan"),
    venue="ICML 2021",
    month="2021-02",
    arxiv="2102.06171",
)


def stem_3x3(x, net, widths=(16, 32, 64, 128)):
    """Four 3x3 convolutions, the first and the last of stride 2: `(B, H, W, C)` to `(B, H/4, W/4, widths[-1])`."""
    for place, width in enumerate(widths, start=1):
        x = net.activate(x, name=f"stem.act{place}") if place > 1 else x
        x = net.convolve(x, width, 3, 2 if place in (1, len(widths)) else 1, name=f"stem.conv{place}")
    return x


def bottleneck(x, unit, net, group_width=128):
    """1x1, two grouped 3x3, 1x1: `(B, H, W, C)`, already activated, to `(B, H/stride, W/stride, width)`.

    `group_width` is the number of channels in a group, at every width.
    """
    inner = unit.width // 2
    groups = inner // group_width
    y = net.convolve(x, inner, name=f"{unit.name}.conv1")
    y = net.activate(y, name=f"{unit.name}.act2")
    y = net.convolve(y, inner, 3, unit.stride, groups=groups, name=f"{unit.name}.conv2")
    y = net.activate(y, name=f"{unit.name}.act2b")
    y = net.convolve(y, inner, 3, groups=groups, name=f"{unit.name}.conv2b")
    y = net.activate(y, name=f"{unit.name}.act3")
    return net.convolve(y, unit.width, gain=net.last_gain, name=f"{unit.name}.conv3")


F0 = NFResNet(
    (1, 2, 6, 3),
    bottleneck,
    widths=(256, 512, 1536, 1536),
    stem=stem_3x3,
    activate=bind(scaled, activation="gelu_tanh"),  # JAX's default, which the authors' code takes
    attend=bind(SqueezeExcite, ratio=2),
    shortcut=pooled,
    drop_path=0.25,
    last=3072,
    dropout=0.2,
)
# timm's, which its figures for the authors' weights are of: GELU itself, and epsilon beside the variance.
TIMM = dict(convolve=bind(standardized, epsilon=1e-5, floor=0.0), activate=bind(scaled, activation="gelu"))
NAMES = dict(rename=RENAME, convolved={f"attn_last.fc{place}.weight": (-1, 1, 1) for place in (1, 2)})


def nfnet(number, train, test, crop, dropout, params, macs, top1, timms, note="") -> Variant:
    """Table 1: F-N is F0 with N + 1 times its depths, trained and tested at these sizes.

    `top1` is the authors' figure, `timms` timm's, for the weights that it converted.
    """
    protocol = f"ILSVRC-2012 validation, trained at {train}, tested at {test}{note}"
    return Variant(
        f"NFNetF{number}",
        replace(F0, depths=tuple((number + 1) * depth for depth in F0.depths), dropout=dropout),
        PAPER,
        params,
        macs,
        input_shape=(test, test, 3),
        reported=(Reported("top-1 accuracy", top1, protocol, "Table 3"),),
        weights=(timm(f"dm_nfnet_f{number}.dm_in1k", TIMM, timms, size=test, crop=crop, squash=True, **NAMES),),
    )


NFNetF0 = nfnet(0, 192, 256, 0.9, 0.2, 71_489_284, 12_384_198_656, 83.6, 83.486)
NFNetF1 = nfnet(1, 224, 320, 0.91, 0.3, 132_634_256, 35_538_968_576, 84.7, 84.702)
NFNetF2 = nfnet(2, 256, 352, 0.92, 0.4, 193_779_228, 62_592_978_944, 85.1, 85.194)
NFNetF3 = nfnet(3, 320, 416, 0.94, 0.4, 254_924_200, 114_763_501_568, 85.7, 85.686)
NFNetF4 = nfnet(4, 384, 512, 0.951, 0.5, 316_069_172, 215_241_187_328, 85.9, 85.836)
NFNetF5 = nfnet(5, 416, 544, 0.954, 0.5, 377_214_144, 289_757_106_176, 86.0, 86.098)
NFNetF6 = nfnet(6, 448, 576, 0.956, 0.5, 438_359_116, 377_280_307_200, 86.5, 86.362, ", with SAM")

"""Squeeze-and-Excitation Networks: Hu, Shen, Albanie, Sun & Wu, CVPR 2018, arXiv:1709.01507.

The block of Figure 1 is `kvision.layers.SqueezeExcite`, and every network here is an older one with that gate in its
hole `attend`. It stands behind each module of Inception (Figure 2), at the end of a residual branch, before the sum
(Figure 3), and behind each convolution's rectifier in VGG. Another reduction ratio is
`SEResNet50(attend=bind(SqueezeExcite, ratio=8))`, none `attend=None`. SENet-154 is at the foot.
"""

from dataclasses import replace

from kvision.applications import resnet, vgg
from kvision.applications._preprocessing import IMAGENET_MEAN
from kvision.applications._publishers import A3, GLUON, timm
from kvision.applications._record import Paper, Reported, Variant, Weights
from kvision.applications.bn_inception import BNInception
from kvision.applications.inception_v4 import InceptionResNetV2
from kvision.applications.resnet import TORCH, ResNet18, ResNet34, ResNet50, ResNet101, ResNet152, bottleneck, project
from kvision.applications.resnext import ResNeXt50, ResNeXt101, resnext
from kvision.applications.vgg import VGG16
from kvision.blocks.bind import bind
from kvision.blocks.conv import At, conv_norm, conv_norm_relu, relu
from kvision.blocks.stem import halve, stem_7x7
from kvision.layers import SqueezeExcite

PAPER = Paper(
    title="Squeeze-and-Excitation Networks",
    authors=("Jie Hu", "Li Shen", "Samuel Albanie", "Gang Sun", "Enhua Wu"),
    venue="CVPR 2018",
    month="2017-09",
    arxiv="1709.01507",
)


def stem_deep(x, widths=(64, 64, 128), *, ceil=False):
    """Three 3x3 convolutions for one 7x7, and pooling by `halve`: `(B, H, W, C)` to `(B, H/4, W/4, widths[-1])`."""
    names = At("conv1.0", "conv1.1", "conv1.2"), At("conv1.3", "conv1.4", "conv1.5"), At("conv1.6", "bn1", "relu")
    for stride, width, at in zip((2, 1, 1), widths, names, strict=True):
        x = conv_norm_relu(x, width, 3, stride, at=at)
    return halve(x, ceil=ceil)


def project_3x3(x, filters, unit):
    """Option B, with a 3x3 convolution where it halves the resolution: a strided 1x1 skips three pixels of four."""
    if unit.stride == 1:
        return project(x, filters, unit)
    at = At(f"{unit.name}.downsample.0", f"{unit.name}.downsample.1", "")
    return conv_norm(x, filters, 3, unit.stride, at=at)


def basic_rectified(x, unit, net):
    """ResNet's `basic` with a rectifier before the gate, as the checkpoints of SE-ResNet-18 and 34 were trained."""
    return relu(resnet.basic(x, unit, net), name=unit.at(2).relu)


def errors(top1, top5, crop=224, where="Table 2"):
    protocol = f"ILSVRC-2012 validation, 1 crop of {crop}"
    return Reported("top-1 error", top1, protocol, where), Reported("top-5 error", top5, protocol, where)


CAFFE = ((".se_module.", ".attend."), ("^last_linear.", "^fc."))
CAFFE_STEM = (("^layer0.conv1.", "^conv1."), ("^layer0.bn1.", "^bn1."))
CAFFE_DEEP = (
    ("^layer0.conv1.", "^conv1.0."),
    ("^layer0.bn1.", "^conv1.1."),
    ("^layer0.conv2.", "^conv1.3."),
    ("^layer0.bn2.", "^conv1.4."),
    ("^layer0.conv3.", "^conv1.6."),
    ("^layer0.bn3.", "^bn1."),
)


GATE = {"attend.fc1.weight": (-1, 1, 1), "attend.fc2.weight": (-1, 1, 1)}  # convolutions in timm
RELEASES = "https://github.com/rwightman/pytorch-image-models/releases/download"


def caffe(name, top1, file, interpolation="bilinear", stem=stem_7x7, rename=CAFFE_STEM + CAFFE, **changes) -> Weights:
    """In the authors' lineage: the stem's pooling is Caffe's. timm 1.0.31 names a file of its releases, and no hub."""
    return timm(
        f"legacy_{name}.in1k",
        dict(stem=bind(stem, ceil=True), **changes),
        top1,
        size=224,
        crop=0.875,
        rename=rename,
        convolved=GATE,
        interpolation=interpolation,
        address=f"{RELEASES}/{file}",
    )


def torch(tag, top1=None, changes=None, **preprocessing) -> Weights:
    return timm(tag, changes, top1, rename=((".se.", ".attend."),), convolved=GATE, **preprocessing)


def with_gate(row, params, macs, reported=(), weights=(), lineages=(), preprocess=None) -> Variant:
    """The row with the paper's gate, of ratio 16, in its hole."""
    return Variant(
        f"SE{row.name}",
        replace(row.architecture, attend=SqueezeExcite),
        PAPER,
        params,
        macs,
        input_shape=row.input_shape,
        preprocess=preprocess,
        reported=reported,
        weights=weights,
        lineages=lineages,
    )


SEResNet18 = with_gate(
    ResNet18,
    params=11_778_592,
    macs=1_814_160_384,
    weights=(caffe("seresnet18", 71.766, "v0.1-weights/seresnet18-4bb0ce65.pth", "bicubic", block=basic_rectified),),
)
SEResNet34 = with_gate(
    ResNet34,
    params=21_958_868,
    macs=3_663_918_592,
    weights=(caffe("seresnet34", 74.808, "v0.1-weights/seresnet34-a4004e63.pth", block=basic_rectified),),
)
# The authors' networks stride the first 1x1 convolution of ResNet's bottlenecks, the 3x3 of ResNeXt's.
SEResNet50 = with_gate(
    ResNet50,
    params=28_088_024,
    macs=3_860_488_192,
    reported=errors(23.29, 6.62),
    weights=(
        torch("seresnet50.ra2_in1k", 81.284, TORCH, crop=0.95),
        torch("seresnet50.a1_in1k", 81.102, TORCH),
        torch("seresnet50.a2_in1k", 81.106, TORCH),
        torch("seresnet50.a3_in1k", 77.028, TORCH, **A3),
        caffe("seresnet50", 77.644, "v0.1-cadene/se_resnet50-ce0d4300.pth"),
    ),
)
SEResNet101 = with_gate(
    ResNet101,
    params=49_326_872,
    macs=7_574_937_600,
    reported=errors(22.38, 6.07),
    weights=(caffe("seresnet101", 78.386, "v0.1-cadene/se_resnet101-7e38fcc6.pth"),),
    lineages=(torch("seresnet101.untrained", changes=TORCH, crop=0.95),),
)
SEResNet152 = with_gate(
    ResNet152,
    params=66_821_848,
    macs=11_288_993_792,
    reported=errors(21.57, 5.73),
    weights=(caffe("seresnet152", 78.66, "v0.1-cadene/se_resnet152-d17c99b7.pth"),),
    lineages=(torch("seresnet152.untrained", changes=TORCH, crop=0.95),),
)
SEResNeXt50 = with_gate(
    ResNeXt50,
    params=27_559_896,
    macs=4_232_994_816,
    reported=errors(21.10, 5.49),
    weights=(
        torch("seresnext50_32x4d.racm_in1k", 82.196, crop=0.95),
        torch("seresnext50_32x4d.gluon_in1k", 79.91, **GLUON),
        caffe("seresnext50_32x4d", 79.076, "v0.1-weights/legacy_se_resnext50_32x4d-f3651bad.pth"),
    ),
)
SEResNeXt101 = with_gate(
    ResNeXt101,
    params=48_955_416,
    macs=7_974_739_968,
    reported=errors(20.70, 5.01),
    weights=(
        torch("seresnext101_32x4d.gluon_in1k", 80.892, **GLUON),
        caffe("seresnext101_32x4d", 80.23, "v0.1-weights/legacy_se_resnext101_32x4d-37725eac.pth"),
    ),
)
# Batch-normalized, to train from scratch; its convolutions have no biases, which the norms would undo.
SEVGG16 = with_gate(
    replace(VGG16, architecture=replace(VGG16.architecture, convolve=bind(vgg.normalized, bias=None))),
    params=138_592_560,
    macs=15_470_490_624,
    reported=errors(25.22, 7.70),
    preprocess=IMAGENET_MEAN,
)
SEBNInception = with_gate(
    BNInception,
    params=11_931_622,
    macs=2_033_239_424,
    reported=errors(24.23, 7.14),
    preprocess=IMAGENET_MEAN,
)
SEInceptionResNetV2 = with_gate(
    InceptionResNetV2,
    params=64_387_444,
    macs=13_164_289_376,
    reported=errors(19.80, 4.79, crop=299),
    preprocess=IMAGENET_MEAN,
)

# SE-ResNeXt-152 (64 x 4d) with six changes, of which four are structure: the first 1x1 convolutions are half as wide,
# the stem is deep, projections that halve the resolution are 3x3, and dropout precedes the dense layer. The other two
# are training: labels are smoothed, and batch normalization is frozen for the last epochs.
WITH_OTHERS = "as printed in the paper's comparison with other networks"
SENet154 = Variant(
    "SENet154",
    resnext(
        (3, 8, 36, 3),
        *(64, 4),
        block=bind(bottleneck, reduce=2),
        stem=stem_deep,
        attend=SqueezeExcite,
        shortcut=project_3x3,
        dropout=0.2,
    ),
    PAPER,
    params=115_088_984,
    macs=20_688_363_520,
    reported=errors(18.68, 4.47, where=WITH_OTHERS) + errors(17.28, 3.79, crop=320, where=WITH_OTHERS),
    weights=(
        torch("senet154.gluon_in1k", 81.226, **GLUON),
        caffe(
            "senet154",
            81.308,
            "v0.1-weights/legacy_senet154-e9eb9fe6.pth",
            stem=stem_deep,
            rename=CAFFE_DEEP + CAFFE,
        ),
    ),
)

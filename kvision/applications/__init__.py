"""The floor plan: every network by name, in order of publication. One paper, one file."""

import fnmatch

from kvision.applications._record import (
    Architecture,
    Paper,
    Reported,
    Variant,
    Weights,
    imagenet_classes,
)
from kvision.applications.lenet import LeNet5, LeNet5Modern
from kvision.applications.mcdnn import (
    MCDNN,
    MCDNNColumnCIFAR10,
    MCDNNColumnGTSRB,
    MCDNNColumnHWDB,
    MCDNNColumnMNIST,
    MCDNNColumnNORB,
)
from kvision.applications.alexnet import AlexNet, AlexNetOWT, AlexNetUngrouped
from kvision.applications.zfnet import ZFNet, ZFNetWide
from kvision.applications.nin import NIN, NINImageNet
from kvision.applications.vgg import (
    VGG11,
    VGG11BN,
    VGG11LRN,
    VGG13,
    VGG13BN,
    VGG16,
    VGG16BN,
    VGG16C,
    VGG19,
    VGG19BN,
)
from kvision.applications.googlenet import GoogLeNet
from kvision.applications.perceptron import MLP30, MLP300
from kvision.applications.bn_inception import BNInception, BNInceptionSlim
from kvision.applications.highway import Highway10, Highway19, HighwayMLP
from kvision.applications.spatial_transformer import (
    STCNN,
    STFCN,
    SVHNCNN,
    STCNN2xCUB,
    STCNN4xCUB,
    STCNNMultiSVHN,
    STCNNSingleSVHN,
)
from kvision.applications.inception_v3 import InceptionV3
from kvision.applications.resnet import (
    ResNet18,
    ResNet20,
    ResNet32,
    ResNet34,
    ResNet44,
    ResNet50,
    ResNet56,
    ResNet101,
    ResNet110,
    ResNet152,
    ResNet1202,
)
from kvision.applications.inception_v4 import (
    InceptionResNetV1,
    InceptionResNetV2,
    InceptionResNetV2Paper,
    InceptionV4,
)
from kvision.applications.preact_resnet import (
    PreActResNet18,
    PreActResNet18CIFAR,
    PreActResNet20,
    PreActResNet32,
    PreActResNet34,
    PreActResNet44,
    PreActResNet50,
    PreActResNet56,
    PreActResNet101,
    PreActResNet110,
    PreActResNet152,
    PreActResNet164,
    PreActResNet200,
    PreActResNet1001,
)
from kvision.applications.stochastic_depth import StochasticDepth110, StochasticDepth1202
from kvision.applications.wide_resnet import (
    WideResNet16x4,
    WideResNet16x8,
    WideResNet16x10,
    WideResNet18x1_5,
    WideResNet18x2,
    WideResNet22x8,
    WideResNet22x10,
    WideResNet28x10,
    WideResNet28x12,
    WideResNet40x1,
    WideResNet40x2,
    WideResNet40x4,
    WideResNet40x8,
    WideResNet50,
    WideResNet52x1,
    WideResNet101,
)
from kvision.applications.fractalnet import (
    FractalNet20,
    FractalNetThin20,
    FractalNetThin40,
    FractalNetThin80,
    FractalNetThin160,
)
from kvision.applications.densenet import (
    DenseNet40k12,
    DenseNet100k12,
    DenseNet100k24,
    DenseNet121,
    DenseNet161,
    DenseNet169,
    DenseNet201,
    DenseNet264,
    DenseNetBC100k12,
    DenseNetBC190k40,
    DenseNetBC250k24,
)
from kvision.applications.pyramidnet import PyramidNet200_a300, PyramidNet200_a450
from kvision.applications.polynet import PolyNet
from kvision.applications.resnext import (
    ResNeXt29_8x64d,
    ResNeXt29_16x64d,
    ResNeXt50,
    ResNeXt50_2x40d,
    ResNeXt50_4x24d,
    ResNeXt50_8x14d,
    ResNeXt101,
    ResNeXt101_2x40d,
    ResNeXt101_4x24d,
    ResNeXt101_8x14d,
    ResNeXt101_64x4d,
)
from kvision.applications.residual_attention import (
    Attention56,
    Attention92,
    AttentionInception56,
    AttentionNeXt56,
    AttentionNeXt92,
)
from kvision.applications.dpn import (
    DPN68,
    DPN92,
    DPN98,
    DPN107,
    DPN131,
)
from kvision.applications.nasnet import NASNetALarge
from kvision.applications.senet import (
    SEBNInception,
    SEInceptionResNetV2,
    SENet154,
    SEResNet18,
    SEResNet34,
    SEResNet50,
    SEResNet101,
    SEResNet152,
    SEResNeXt50,
    SEResNeXt101,
    SEVGG16,
)
from kvision.applications.capsnet import CapsNet, CapsNetBaseline, CapsNetMultiMNIST
from kvision.applications.neural_ode import ODENet, ODEResNet, RKNet
from kvision.applications.cbam import (
    CBAMResNet18,
    CBAMResNet34,
    CBAMResNet50,
    CBAMResNet101,
    CBAMResNeXt50,
    CBAMResNeXt101,
    CBAMWideResNet18x1_5,
    CBAMWideResNet18x2,
    SEWideResNet18x1_5,
    SEWideResNet18x2,
)
from kvision.applications.resnest import (
    ResNeSt50,
    ResNeSt50Fast_1s1x64d,
    ResNeSt50Fast_1s2x40d,
    ResNeSt50Fast_1s4x24d,
    ResNeSt50Fast_2s1x64d,
    ResNeSt50Fast_2s2x40d,
    ResNeSt50Fast_4s1x64d,
    ResNeSt50Fast_4s2x40d,
    ResNeSt101,
    ResNeSt200,
    ResNeSt269,
)
from kvision.applications.vit import (
    ViT_B16,
    ViT_B32,
    ViT_H14,
    ViT_L16,
    ViT_L32,
    ViT_S16,
    ViT_S32,
    ViT_Ti16,
)
from kvision.applications.nf_resnet import NFResNet26, NFResNet50, NFResNet101
from kvision.applications.nfnet import NFNetF0, NFNetF1, NFNetF2, NFNetF3, NFNetF4, NFNetF5, NFNetF6
from kvision.applications.mlp_mixer import (
    Mixer_B16,
    Mixer_B32,
    Mixer_H14,
    Mixer_L16,
    Mixer_L32,
    Mixer_S16,
    Mixer_S32,
)


def list_models(pattern: str = "*", weights: bool = False) -> list[str]:
    """Names of the networks that match a shell pattern (case does not matter), in order of publication.

    Args:
        pattern: such as "*resnet*".
        weights: only those with published weights.
    """
    rows = [row for row in globals().values() if isinstance(row, Variant) and (row.weights or not weights)]
    return [row.name for row in rows if fnmatch.fnmatchcase(row.name.lower(), pattern.lower())]


def get_model(name: str) -> Variant:
    """The row of that name (case does not matter).

    Raises:
        ValueError: no such row; the message names the closest ones.
    """
    import difflib

    known = {row.lower(): row for row in list_models()}
    if name.lower() in known:
        return globals()[known[name.lower()]]
    close = [known[match] for match in difflib.get_close_matches(name.lower(), known, 3)]
    raise ValueError(
        f"There is no network named {name!r}. "
        + (f"Did you mean {', '.join(close)}?" if close else f"The names are: {', '.join(known.values())}")
    )


def cite(row: Variant) -> str:
    """The BibTeX entry of a row's paper."""
    paper = row.paper
    year = paper.venue[-4:] if paper.venue[-4:].isdigit() else paper.month[:4]
    key = f"{paper.authors[0].split()[-1].lower()}{year}{paper.title.split()[0].lower()}"
    entries = {"title": f"{{{paper.title}}}", "author": " and ".join(paper.authors), "booktitle": paper.venue}
    entries["year"] = year
    if paper.arxiv:
        entries |= {"eprint": paper.arxiv, "archivePrefix": "arXiv"}
    body = "".join(f"  {name} = {{{value}}},\n" for name, value in entries.items())
    return f"@inproceedings{{{key},\n{body}}}"

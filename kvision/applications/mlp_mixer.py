"""MLP-Mixer: An all-MLP Architecture for Vision: Tolstikhin et al., NeurIPS 2021, arXiv:2105.01601.

Section 2 and Figure 1 are `MLPMixer`, equation 1 is `mixer`; Table 1 is the rows. The paper's counts of parameters
leave the classifier out.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import keras

from kvision.applications._publishers import HALF, timm
from kvision.applications._record import Architecture, Paper, Reported, Variant, Weights
from kvision.blocks.head import classify, pool
from kvision.blocks.tokens import layer_norm, mlp, patches
from kvision.classifier import Preprocess
from kvision.layers.token_dense import gelu_tanh

PAPER = Paper(
    title="MLP-Mixer: An all-MLP Architecture for Vision",
    authors=(
        "Ilya Tolstikhin",
        "Neil Houlsby",
        "Alexander Kolesnikov",
        "Lucas Beyer",
        "Xiaohua Zhai",
        "Thomas Unterthiner",
        "Jessica Yung",
        "Andreas Steiner",
        "Daniel Keysers",
        "Jakob Uszkoreit",
        "Mario Lucic",
        "Alexey Dosovitskiy",
    ),
    venue="NeurIPS 2021",
    month="2021-05",
    arxiv="2105.01601",
)


def mixer(x, name, net):
    """Mixes tokens, by a perceptron over the S tokens of each channel, then channels: `(B, S, C)` to `(B, S, C)`.

    `U = X + W2 gelu(W1 LN(X))` on columns, then `Y = U + W4 gelu(W3 LN(U))` on rows. All columns share their weights,
    and so do all rows.
    """
    y = layer_norm(x, name=f"{name}.norm1")
    y = keras.layers.Permute((2, 1), name=f"{name}.channels_first")(y)
    y = mlp(y, net.tokens, name=f"{name}.mlp_tokens", activation=net.activation)
    y = keras.layers.Permute((2, 1), name=f"{name}.tokens_first")(y)
    x = keras.layers.Add(name=f"{name}.add1")([x, y])
    y = layer_norm(x, name=f"{name}.norm2")
    y = mlp(y, net.channels, name=f"{name}.mlp_channels", activation=net.activation)
    return keras.layers.Add(name=f"{name}.add2")([x, y])


@dataclass(frozen=True)
class MLPMixer(Architecture):
    """Patches as tokens, and perceptrons that mix tokens and channels in turn.

    A network takes images of the size that it was built for: it has weights for every patch, and those of another
    size do not fit.

    Args:
        patch: height and width of the patches, P.
        depth: number of blocks.
        width: of the tokens, C.
        tokens: hidden width of the perceptrons that mix tokens, D_S.
        channels: hidden width of those that mix channels, D_C.
        activation: between the layers of the perceptrons; the authors' code takes JAX's approximation of GELU.
        block: `block(x, name, net)`.

    Raises:
        ValueError: an image whose height or width is unknown, or no multiple of the patch's.
    """

    patch: int = 16
    depth: int = 12
    width: int = 768
    tokens: int = 384
    channels: int = 3072
    activation: str | Callable = "gelu"
    block: Callable = mixer

    @property
    def fixed_size(self):
        return True

    def features(self, x):  # (B, 224, 224, 3) to (B, 196, 768)
        x = patches(x, self.patch, self.width, name="stem")
        for number in range(self.depth):
            x = self.block(x, f"blocks.{number}", self)
        return layer_norm(x, name="norm")

    def classifier(self, x, classes, activation):
        x = pool(x, "avg")
        return classify(x, classes, activation, name="head", initializer=keras.initializers.Zeros)


IMAGENET = Preprocess(HALF, HALF, size=(224, 224), interpolation="bicubic")


def published(tag: str, top1=None, mean=HALF, std=HALF, interpolation="bicubic", classes=None) -> Weights:
    """By the authors ("goog") or by Ridnik et al. (arXiv:2104.10972, "miil"), converted by timm."""
    others = dict(interpolation=interpolation, classes=classes, top=("head",))
    return timm(f"mixer_{tag}", None, top1, mean, std, 224, 0.875, **others)


def untrained(name: str) -> Weights:
    """timm has the network, and no weights for it."""
    return published(f"{name}.untrained")


# The authors' own files, `.npz` of JAX's arrays.
GOOGLE = Weights(
    "google/mixer",
    rename=(
        ("^opt/target/", "^"),
        ("^MixerBlock_", "^blocks."),
        ("^stem/", "^stem.proj/"),
        ("^pre_head_layer_norm/", "^norm/"),
        ("/LayerNorm_0/", "/norm1/"),
        ("/LayerNorm_1/", "/norm2/"),
        ("/token_mixing/", "/mlp_tokens/"),
        ("/channel_mixing/", "/mlp_channels/"),
        ("/Dense_0/", "/fc1/"),
        ("/Dense_1/", "/fc2/"),
        ("/kernel$", "/weight$"),
        ("/scale$", "/weight$"),
        ("/", "."),
    ),
    layout="keras",
    changes=dict(activation=gelu_tanh),
    top=("head",),
    preprocess=Preprocess(HALF, HALF, size=(224, 224)),
)
MIIL = dict(mean=(0.0,) * 3, std=(1.0,) * 3, interpolation="bilinear")


def printed(top1: float, data: str, size: int, table: int) -> Reported:
    return Reported("top-1 accuracy", top1, f"ILSVRC-2012 validation at {size}, {data}", f"Table {table}")


SMALL = MLPMixer(depth=8, width=512, tokens=256, channels=2048)
BASE = MLPMixer()
LARGE = MLPMixer(depth=24, width=1024, tokens=512, channels=4096)

Mixer_S32 = Variant(
    "Mixer_S32",
    replace(SMALL, patch=32),
    PAPER,
    params=19_104_624,
    macs=1_002_426_368,
    preprocess=IMAGENET,
    lineages=(untrained("s32_224"), GOOGLE),
)
Mixer_S16 = Variant(
    "Mixer_S16",
    SMALL,
    PAPER,
    params=18_528_264,
    macs=3_776_958_464,
    preprocess=IMAGENET,
    lineages=(untrained("s16_224"), GOOGLE),
)
Mixer_B32 = Variant(
    "Mixer_B32",
    replace(BASE, patch=32),
    PAPER,
    params=60_293_428,
    macs=3_237_722_112,
    preprocess=IMAGENET,
    lineages=(untrained("b32_224"), GOOGLE),
)
Mixer_B16 = Variant(
    "Mixer_B16",
    BASE,
    PAPER,
    params=59_880_472,
    macs=12_601_767_936,
    preprocess=IMAGENET,
    reported=(
        printed(76.44, "trained on ImageNet", 224, 3),
        printed(80.64, "pre-trained on ImageNet-21k", 224, 3),
    ),
    weights=(
        published("b16_224.miil_in21k_ft_in1k", 82.306, **MIIL),
        published("b16_224.goog_in21k_ft_in1k", 76.602),
        published("b16_224.goog_in21k", classes=21843),
        published("b16_224.miil_in21k", classes=11221, **MIIL),
    ),
    lineages=(GOOGLE,),
)
Mixer_L32 = Variant(
    "Mixer_L32",
    replace(LARGE, patch=32),
    PAPER,
    params=206_939_264,
    macs=11_253_293_056,
    preprocess=IMAGENET,
    lineages=(untrained("l32_224"), GOOGLE),
)
Mixer_L16 = Variant(
    "Mixer_L16",
    LARGE,
    PAPER,
    params=208_196_168,
    macs=44_547_678_208,
    preprocess=IMAGENET,
    reported=(
        printed(71.76, "trained on ImageNet", 224, 3),
        printed(82.89, "pre-trained on ImageNet-21k", 224, 3),
        printed(84.15, "pre-trained on ImageNet-21k", 448, 2),
        printed(87.25, "pre-trained on JFT-300M", 448, 2),
    ),
    weights=(
        published("l16_224.goog_in21k_ft_in1k", 72.054),
        published("l16_224.goog_in21k", classes=21843),
    ),
    lineages=(GOOGLE,),
)
Mixer_H14 = Variant(
    "Mixer_H14",
    MLPMixer(patch=14, depth=32, width=1280, tokens=640, channels=5120),
    PAPER,
    params=432_350_952,
    macs=120_989_911_040,
    preprocess=IMAGENET,
    reported=(printed(87.94, "pre-trained on JFT-300M", 448, 2),),
    lineages=(GOOGLE,),
)

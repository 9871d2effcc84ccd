"""An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale: Dosovitskiy et al., ICLR 2021,
arXiv:2010.11929.

Section 3.1 is `VisionTransformer`, equations 2 and 3 `encoder`; equation 1 is `kvision.blocks.tokens.patches` with the
layers `ClassToken` and `PositionEmbedding`, appendix A `MultiHeadSelfAttention`. Section 3.2, fine-tuning at another
resolution, is `ViT_B16(input_shape=(384, 384, 3), weights=...)`: the grid of positions is resampled. Figure 6 is
`attention_maps` and `kvision.visualize.rollout`. Table 1 is the rows; Ti and S are as DeiT (arXiv:2012.12877) and
Steiner et al. (arXiv:2106.10270) have them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import keras

from kvision.applications._publishers import HALF, MEAN, STD, timm
from kvision.applications._record import Architecture, Paper, Reported, Variant, Weights
from kvision.blocks.head import classify, pool
from kvision.blocks.tokens import drop, layer_norm, mlp, patches
from kvision.classifier import Preprocess
from kvision.layers import ClassToken, MultiHeadSelfAttention, PositionEmbedding
from kvision.layers.token_dense import gelu_tanh

PAPER = Paper(
    title="An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
    authors=(
        "Alexey Dosovitskiy",
        "Lucas Beyer",
        "Alexander Kolesnikov",
        "Dirk Weissenborn",
        "Xiaohua Zhai",
        "Thomas Unterthiner",
        "Mostafa Dehghani",
        "Matthias Minderer",
        "Georg Heigold",
        "Sylvain Gelly",
        "Jakob Uszkoreit",
        "Neil Houlsby",
    ),
    venue="ICLR 2021",
    month="2020-10",
    arxiv="2010.11929",
)


def encoder(x, name, net):
    """`z' = MSA(LN(z)) + z` and `z = MLP(LN(z')) + z'`: tokens `(B, N, D)` to tokens `(B, N, D)`."""
    y = layer_norm(x, name=f"{name}.norm1")
    y = MultiHeadSelfAttention(net.heads, name=f"{name}.attn")(y)
    y = drop(y, net.dropout, name=f"{name}.drop")
    x = keras.layers.Add(name=f"{name}.add1")([x, y])
    y = layer_norm(x, name=f"{name}.norm2")
    bias = keras.initializers.RandomNormal(0.0, 1e-6)
    options = dict(activation=net.activation, dropout=net.dropout, kernel="glorot_uniform", bias=bias)
    y = mlp(y, net.hidden, name=f"{name}.mlp", **options)
    return keras.layers.Add(name=f"{name}.add2")([x, y])


@dataclass(frozen=True)
class VisionTransformer(Architecture):
    """Patches as tokens, a class token before them, and a transformer's encoder.

    Without the top, the network gives the normalized tokens `(B, 1 + N, width)`, the class token first; `pooling` is
    over the N patches.

    Args:
        patch: height and width of the patches.
        depth: number of blocks.
        width: of the tokens, D.
        hidden: width of the perceptrons.
        heads: of the attention.
        activation: between the layers of the perceptrons; the authors' code takes JAX's approximation of GELU.
        dropout: after the positions are added, and after every dense layer but those of queries, keys and values.
        class_token: whether the classes are read from a class token, else from the mean of the patches (appendix D.3).
        representation: width of a layer with tanh before the classifier, which pre-training has; None for none.
        block: `block(x, name, net)`.

    Raises:
        ValueError: an image whose height or width is unknown, or no multiple of the patch's.
    """

    patch: int = 16
    depth: int = 12
    width: int = 768
    hidden: int = 3072
    heads: int = 12
    activation: str | Callable = "gelu"
    dropout: float = 0.0
    class_token: bool = True
    representation: int | None = None
    block: Callable = encoder

    @property
    def fixed_size(self):
        return True

    def features(self, x):  # (B, 224, 224, 3) to (B, 1 + 196, 768)
        _, height, width, _ = x.shape
        x = patches(x, self.patch, self.width, name="patch_embed")
        if self.class_token:
            x = ClassToken(name="cls_token")(x)
        x = PositionEmbedding((height // self.patch, width // self.patch), name="pos_embed")(x)
        x = drop(x, self.dropout, name="pos_drop")
        for number in range(self.depth):
            x = self.block(x, f"blocks.{number}", self)
        return layer_norm(x, name="norm")

    def pool_features(self, x, pooling):
        if self.class_token:
            x = keras.layers.Cropping1D((1, 0), name="patches")(x)
        return pool(x, pooling)

    def classifier(self, x, classes, activation):
        if self.class_token:
            x = keras.layers.Cropping1D((0, x.shape[1] - 1), name="class")(x)
            x = keras.layers.Flatten(name="flatten")(x)
        else:
            x = self.pool_features(x, "avg")
        if self.representation is not None:
            x = keras.layers.Dense(self.representation, "tanh", dtype="float32", name="pre_logits.fc")(x)
        return classify(x, classes, activation, name="head", initializer=keras.initializers.Zeros)


def attention_maps(model: keras.Model) -> keras.Model:
    """A model of the same input whose outputs are the attention of every block, `(B, heads, N, N)`, from first to last.

    It shares the model's weights. `A[b, h, i, j]` is how much token i takes of token j; with a class token, it is the
    first of the N. `kvision.visualize.rollout` draws what the class token sees.

    Raises:
        ValueError: a model without such attention.
    """
    layers = [layer for layer in model.layers if isinstance(layer, MultiHeadSelfAttention)]
    if not layers:
        raise ValueError(f"'{model.name}' has no layer MultiHeadSelfAttention.")
    maps = [layer(layer.input, attention=True) for layer in layers]
    return keras.Model(model.input, maps, name=f"{model.name}.attention")


NAMES = (("^cls_token$", "^cls_token.token$"), ("^pos_embed$", "^pos_embed.embedding$"))


def published(tag: str, size: int = 224, top1: float | None = None, mean=HALF, std=HALF, **others) -> Weights:
    """By the authors ("orig") and Steiner et al. (arXiv:2106.10270, "augreg"), converted by timm; augreg2 is timm's."""
    names = dict(rename=NAMES, top=("head",))
    return timm(f"vit_{tag}", None, top1, mean, std, size, 0.9 if size == 224 else 1.0, **names, **others)


# The authors' own files, `.npz` of JAX's arrays: those of vision_transformer, and of big_vision.
GOOGLE = Weights(
    "google/vit",
    rename=(
        ("^opt/target/", "^"),
        ("^params/", "^"),
        ("^img/", "^"),
        ("^Transformer/posembed_input/pos_embedding$", "^pos_embed.embedding$"),
        ("^pos_embedding$", "^pos_embed.embedding$"),
        ("^Transformer/encoder_norm/", "^norm/"),
        ("^Transformer/encoderblock_", "^blocks."),
        ("^cls$", "^cls_token.token$"),
        ("^embedding/", "^patch_embed.proj/"),
        ("^pre_logits/", "^pre_logits.fc/"),
        ("/LayerNorm_0/", "/norm1/"),
        ("/LayerNorm_1/", "/norm2/"),
        ("/LayerNorm_2/", "/norm2/"),
        ("/MultiHeadDotProductAttention_0/", "/attn/"),
        ("/MultiHeadDotProductAttention_1/", "/attn/"),
        ("/out/", "/proj/"),
        ("/MlpBlock_0/", "/mlp/"),
        ("/MlpBlock_3/", "/mlp/"),
        ("/Dense_0/", "/fc1/"),
        ("/Dense_1/", "/fc2/"),
        ("/kernel$", "/weight$"),
        ("/scale$", "/weight$"),
        ("/", "."),
    ),
    joined={"attn.qkv": ("attn.query", "attn.key", "attn.value")},
    layout="keras",
    changes=dict(activation=gelu_tanh),
    top=("head",),
    preprocess=Preprocess(HALF, HALF, size=(224, 224)),
)


# Trained without labels, for fine-tuning.
DINO = dict(mean=MEAN, std=STD, classes=0)
MAE = dict(mean=MEAN, std=STD, classes=0, license="cc-by-nc-4.0")


def printed(top1: float, data: str) -> Reported:
    return Reported("top-1 accuracy", top1, f"ILSVRC-2012 validation at 384, pre-trained on {data}", "Table 5")


def reported(imagenet: float | None, imagenet21k: float, jft: float) -> tuple[Reported, ...]:
    figures = ((imagenet, "ImageNet"), (imagenet21k, "ImageNet-21k"), (jft, "JFT-300M"))
    return tuple(printed(top1, data) for top1, data in figures if top1 is not None)


TINY = VisionTransformer(width=192, hidden=768, heads=3)
SMALL = VisionTransformer(width=384, hidden=1536, heads=6)
BASE = VisionTransformer()
LARGE = VisionTransformer(depth=24, width=1024, hidden=4096, heads=16, dropout=0.1)
HUGE = VisionTransformer(patch=14, depth=32, width=1280, hidden=5120, heads=16, dropout=0.1)
IMAGENET = Preprocess(HALF, HALF, size=(224, 224), interpolation="bicubic")

ViT_Ti16 = Variant(
    "ViT_Ti16",
    TINY,
    PAPER,
    params=5_717_416,
    macs=1_253_683_200,
    preprocess=IMAGENET,
    weights=(
        published("tiny_patch16_224.augreg_in21k_ft_in1k", 224, 75.454),
        published("tiny_patch16_384.augreg_in21k_ft_in1k", 384, 78.424),
        published("tiny_patch16_224.augreg_in21k", classes=21843),
    ),
    lineages=(GOOGLE,),
)
ViT_S16 = Variant(
    "ViT_S16",
    SMALL,
    PAPER,
    params=22_050_664,
    macs=4_598_882_304,
    preprocess=IMAGENET,
    weights=(
        published("small_patch16_224.augreg_in21k_ft_in1k", 224, 81.384),
        published("small_patch16_224.augreg_in1k", 224, 78.846),
        published("small_patch16_384.augreg_in21k_ft_in1k", 384, 83.802),
        published("small_patch16_384.augreg_in1k", 384, 81.116),
        published("small_patch16_224.augreg_in21k", classes=21843),
        published("small_patch16_224.dino", **DINO),
    ),
    lineages=(GOOGLE,),
)
ViT_S32 = Variant(
    "ViT_S32",
    replace(SMALL, patch=32),
    PAPER,
    params=22_878_952,
    macs=1_142_909_952,
    preprocess=IMAGENET,
    weights=(
        published("small_patch32_224.augreg_in21k_ft_in1k", 224, 75.994),
        published("small_patch32_384.augreg_in21k_ft_in1k", 384, 80.486),
        published("small_patch32_224.augreg_in21k", classes=21843),
    ),
    lineages=(GOOGLE,),
)
ViT_B16 = Variant(
    "ViT_B16",
    BASE,
    PAPER,
    params=86_567_656,
    macs=17_563_828_224,
    preprocess=IMAGENET,
    reported=reported(77.91, 83.97, 84.15),
    weights=(
        published("base_patch16_224.augreg2_in21k_ft_in1k", 224, 85.096),
        published("base_patch16_224.augreg_in21k_ft_in1k", 224, 84.532),
        published("base_patch16_224.augreg_in1k", 224, 79.154),
        published("base_patch16_224.orig_in21k_ft_in1k", 224, 81.786),
        published("base_patch16_224.sam_in1k", 224, 80.244),
        published("base_patch16_384.augreg_in21k_ft_in1k", 384, 85.996),
        published("base_patch16_384.augreg_in1k", 384, 81.102),
        published("base_patch16_384.orig_in21k_ft_in1k", 384, 84.2),
        published("base_patch16_224.augreg_in21k", classes=21843),
        published("base_patch16_224.orig_in21k", classes=0),
        published("base_patch16_224.dino", **DINO),
        published("base_patch16_224.mae", **MAE),
    ),
    lineages=(GOOGLE,),
)
ViT_B32 = Variant(
    "ViT_B32",
    replace(BASE, patch=32),
    PAPER,
    params=88_224_232,
    macs=4_409_186_304,
    preprocess=IMAGENET,
    reported=reported(73.38, 81.28, 80.73),
    weights=(
        published("base_patch32_224.augreg_in21k_ft_in1k", 224, 80.716),
        published("base_patch32_224.augreg_in1k", 224, 74.894),
        published("base_patch32_224.sam_in1k", 224, 73.694),
        published("base_patch32_384.augreg_in21k_ft_in1k", 384, 83.35),
        published("base_patch32_384.augreg_in1k", 384, 78.752),
        published("base_patch32_224.augreg_in21k", classes=21843),
        published("base_patch32_224.orig_in21k", classes=0),
    ),
    lineages=(GOOGLE,),
)
ViT_L16 = Variant(
    "ViT_L16",
    LARGE,
    PAPER,
    params=304_326_632,
    macs=61_554_712_576,
    preprocess=IMAGENET,
    reported=(
        *reported(76.53, 85.15, 87.12),
        Reported("top-1 accuracy", 85.30, "ILSVRC-2012 validation at 512, pre-trained on ImageNet-21k", "Table 2"),
        Reported("top-1 accuracy", 87.76, "ILSVRC-2012 validation at 512, pre-trained on JFT-300M", "Table 2"),
    ),
    weights=(
        published("large_patch16_224.augreg_in21k_ft_in1k", 224, 85.834),
        published("large_patch16_384.augreg_in21k_ft_in1k", 384, 87.084),
        published("large_patch16_224.augreg_in21k", classes=21843),
        published("large_patch16_224.orig_in21k", classes=0),
        published("large_patch16_224.mae", **MAE),
    ),
    lineages=(GOOGLE,),
)
ViT_L32 = Variant(
    "ViT_L32",
    replace(LARGE, patch=32),
    PAPER,
    params=306_535_400,
    macs=15_377_539_072,
    preprocess=IMAGENET,
    reported=reported(71.16, 80.99, 84.37),
    weights=(
        published("large_patch32_384.orig_in21k_ft_in1k", 384, 81.51),
        published("large_patch32_224.orig_in21k", classes=0),
    ),
    lineages=(GOOGLE,),
)
ViT_H14 = Variant(
    "ViT_H14",
    HUGE,
    PAPER,
    params=632_045_800,
    macs=167_295_109_120,
    preprocess=IMAGENET,
    reported=(
        *reported(None, 85.13, 88.04),
        Reported("top-1 accuracy", 88.55, "ILSVRC-2012 validation at 518, pre-trained on JFT-300M", "Table 2"),
    ),
    weights=(
        published("huge_patch14_224.orig_in21k", classes=0),
        published("huge_patch14_224.mae", **MAE),
    ),
    lineages=(GOOGLE,),
)

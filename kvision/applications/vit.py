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

from kvision.applications._publishers import timm
from kvision.applications._record import Architecture, Paper, Reported, Variant, Weights
from kvision.blocks.head import classify, pool
from kvision.blocks.tokens import drop, layer_norm, mlp, patches
from kvision.classifier import Preprocess
from kvision.layers import ClassToken, MultiHeadSelfAttention, PositionEmbedding

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
    y = mlp(y, net.hidden, name=f"{name}.mlp", dropout=net.dropout, kernel="glorot_uniform", bias=bias)
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


HALF = (0.5, 0.5, 0.5)
NAMES = ((r"^cls_token$", "cls_token.token"), (r"^pos_embed$", "pos_embed.embedding"))


def published(tag: str, size: int = 224) -> Weights:
    """By the authors and Steiner et al. (arXiv:2106.10270), converted by timm; but augreg2, which is timm's own."""
    crop = 0.9 if size == 224 else 1.0
    return timm(f"vit_{tag}", mean=HALF, std=HALF, size=size, crop=crop, rename=NAMES, top=("head",))


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
        published("tiny_patch16_224.augreg_in21k_ft_in1k"),
        published("tiny_patch16_384.augreg_in21k_ft_in1k", 384),
    ),
)
ViT_S16 = Variant(
    "ViT_S16",
    SMALL,
    PAPER,
    params=22_050_664,
    macs=4_598_882_304,
    preprocess=IMAGENET,
    weights=(
        published("small_patch16_224.augreg_in21k_ft_in1k"),
        published("small_patch16_224.augreg_in1k"),
        published("small_patch16_384.augreg_in21k_ft_in1k", 384),
        published("small_patch16_384.augreg_in1k", 384),
    ),
)
ViT_S32 = Variant(
    "ViT_S32",
    replace(SMALL, patch=32),
    PAPER,
    params=22_878_952,
    macs=1_142_909_952,
    preprocess=IMAGENET,
    weights=(
        published("small_patch32_224.augreg_in21k_ft_in1k"),
        published("small_patch32_384.augreg_in21k_ft_in1k", 384),
    ),
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
        published("base_patch16_224.augreg2_in21k_ft_in1k"),
        published("base_patch16_224.augreg_in21k_ft_in1k"),
        published("base_patch16_224.augreg_in1k"),
        published("base_patch16_224.orig_in21k_ft_in1k"),
        published("base_patch16_384.augreg_in21k_ft_in1k", 384),
        published("base_patch16_384.augreg_in1k", 384),
        published("base_patch16_384.orig_in21k_ft_in1k", 384),
    ),
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
        published("base_patch32_224.augreg_in21k_ft_in1k"),
        published("base_patch32_224.augreg_in1k"),
        published("base_patch32_384.augreg_in21k_ft_in1k", 384),
        published("base_patch32_384.augreg_in1k", 384),
    ),
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
        published("large_patch16_224.augreg_in21k_ft_in1k"),
        published("large_patch16_384.augreg_in21k_ft_in1k", 384),
    ),
)
ViT_L32 = Variant(
    "ViT_L32",
    replace(LARGE, patch=32),
    PAPER,
    params=306_535_400,
    macs=15_377_539_072,
    preprocess=IMAGENET,
    reported=reported(71.16, 80.99, 84.37),
    weights=(published("large_patch32_384.orig_in21k_ft_in1k", 384),),
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
    # Published without a classifier: for include_top=False.
    weights=(published("huge_patch14_224.orig_in21k"),),
)

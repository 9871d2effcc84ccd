"""Dual Path Networks: Chen et al., NIPS 2017, arXiv:1707.01629.

Figure 2(d) is `dual_path`: a residual path, whose features are added to, and a densely connected path, whose features
grow, carried side by side. Table 1 is the rows at the foot; the Mean-Max pooling of the supplementary material, for
images larger than in training, is `mean_max`. The layers are named as in timm's checkpoints.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from kvision.applications._publishers import timm
from kvision.applications._record import Architecture, Paper, Reported, Variant, Weights
from kvision.blocks.bind import bind
from kvision.blocks.conv import At, conv, conv_norm_relu, norm, relu
from kvision.blocks.head import classify, pool_and_classify

PAPER = Paper(
    title="Dual Path Networks",
    authors=("Yunpeng Chen", "Jianan Li", "Huaxin Xiao", "Xiaojie Jin", "Shuicheng Yan", "Jiashi Feng"),
    venue="NIPS 2017",
    month="2017-07",
    arxiv="1707.01629",
)
EPSILON = 1e-3


def stem(x, width=64, kernel=7):
    """A convolution and 3x3 max-pooling, both of stride 2: `(B, H, W, C)` to `(B, H/4, W/4, width)`."""
    name = "features.conv1_1"
    x = conv_norm_relu(x, width, kernel, 2, at=At(f"{name}.conv", f"{name}.bn", f"{name}.relu"), epsilon=EPSILON)
    # Zeros are as good as minus infinity here: the rectifier's outputs are never below them.
    x = keras.layers.ZeroPadding2D(1, name="features.conv1_pool.pad")(x)
    return keras.layers.MaxPooling2D(3, 2, name="features.conv1_pool")(x)


def activated(x, filters, kernel=1, stride=1, *, name, groups=1):
    """Batch normalization, rectifier, convolution."""
    x = relu(norm(x, epsilon=EPSILON, name=f"{name}.bn"), name=f"{name}.relu")
    return conv(x, filters, kernel, stride, groups=groups, name=f"{name}.conv")


def dual_path(x, width, increment, inner, *, groups, name, stride=1, project=False):
    """Figure 2(d): the sums of the residual path, and behind them what the dense path has so far.

    Args:
        x: `(B, H, W, width + D)`, or any number of channels with `project`.
        width: of the residual path.
        increment: k+, the channels that the dense path gains.
        inner: the width of the grouped 3x3 convolution.
        project: whether a 1x1 convolution makes both paths anew, the dense one with `2 * increment` channels.

    Returns:
        `(B, H/stride, W/stride, width + D + increment)`.
    """
    shortcut = x
    if project:  # the checkpoints name it by its stride
        shortcut = activated(x, width + 2 * increment, 1, stride, name=f"{name}.c1x1_w_s{stride}")
    y = activated(x, inner, name=f"{name}.c1x1_a")
    y = activated(y, inner, 3, stride, groups=groups, name=f"{name}.c3x3_b")
    y = activated(y, width + increment, name=f"{name}.c1x1_c")
    residual = keras.layers.Add(name=f"{name}.add")([shortcut[..., :width], y[..., :width]])
    return keras.layers.Concatenate(name=name)([residual, shortcut[..., width:], y[..., width:]])


def mean_max(x, classes, activation, window: int = 7):
    """Mean-Max pooling: the classifier at every window of the training size, then half mean and half maximum of scores.

    To test only, on images larger than in training, as `DPN131(input_shape=(320, 320, 3), head=mean_max)`:
    `(B, H, W, C)` to `(B, classes)`, with H and W of at least `window`.
    """
    x = keras.layers.AveragePooling2D(window, 1, dtype="float32", name="window_pool")(x)
    x = classify(x, classes, None)  # (B, H - window + 1, W - window + 1, classes)
    mean = keras.layers.GlobalAveragePooling2D(dtype="float32", name="mean_pool")(x)
    maximum = keras.layers.GlobalMaxPooling2D(dtype="float32", name="max_pool")(x)
    x = keras.layers.Average(dtype="float32", name="mean_max")([mean, maximum])
    return keras.layers.Activation(activation, dtype="float32", name="scores")(x)


@dataclass(frozen=True)
class DPN(Architecture):
    """A dual path network.

    Args:
        depths: units in each stage, conv2 to conv5 (Table 1).
        increments: k+ of each stage.
        inner: the width of the 3x3 convolutions in conv2; it grows from stage to stage as `widths` do.
        groups: of the 3x3 convolutions.
        stem: `stem(x)`, before the stages.
        widths: of the residual path in each stage.
        head: `head(x, classes, activation)`.
    """

    depths: tuple[int, ...]
    increments: tuple[int, ...]
    inner: int
    groups: int
    stem: Callable = stem
    widths: tuple[int, ...] = (256, 512, 1024, 2048)
    head: Callable = pool_and_classify

    def __post_init__(self):
        if not len(self.depths) == len(self.increments) == len(self.widths):
            raise ValueError(
                "A DPN has as many `depths` as `increments` and `widths`. "
                f"Received: depths={self.depths}, increments={self.increments}, widths={self.widths}"
            )

    def features(self, x):  # (B, H, W, 3)
        x = self.stem(x)  # (B, H/4, W/4, 64)
        stages = zip(self.depths, self.widths, self.increments, strict=True)
        for stage, (depth, width, increment) in enumerate(stages, start=2):
            inner = self.inner * width // self.widths[0]
            for place in range(1, depth + 1):
                x = dual_path(
                    x,
                    width,
                    increment,
                    inner,
                    groups=self.groups,
                    name=f"features.conv{stage}_{place}",
                    stride=2 if place == 1 and stage > 2 else 1,
                    project=place == 1,
                )
        name = "features.conv5_bn_ac"
        x = norm(x, epsilon=EPSILON, name=f"{name}.bn")
        return relu(x, name=f"{name}.relu")  # (B, H/32, W/32, width + (depth + 2) * increment)

    def classifier(self, x, classes, activation):
        return self.head(x, classes, activation)


def converted(tag: str, top1: float | None = None) -> tuple[Weights, ...]:
    """The authors' weights, with their preprocessing: the mean of ImageNet in pixels, and pixels times 0.0167."""
    mean, std = tuple(value / 255 for value in (124, 117, 104)), (1 / (0.0167 * 255),) * 3
    names = dict(rename=(("^classifier.", "^fc."),), convolved={"fc.weight": (-1, 1, 1)})
    return (timm(tag, top1=top1, mean=mean, std=std, size=224, crop=0.875, **names),)


def errors(*figures, protocol="ILSVRC-2012 validation, 1 crop"):
    """Top-1 and top-5 error at 224, at 320, and at 320 with Mean-Max pooling."""
    sizes = ("of 224", "of 224", "of 320", "of 320", "of 320, Mean-Max pooling", "of 320, Mean-Max pooling")
    return tuple(
        Reported(f"top-{5 if place % 2 else 1} error", figure, f"{protocol} {size}", "README of the authors' code")
        for place, (figure, size) in enumerate(zip(figures, sizes, strict=True))
    )


DPN68 = Variant(
    "DPN68",
    DPN((3, 4, 12, 3), (16, 32, 32, 64), 128, 32, stem=bind(stem, width=10, kernel=3), widths=(64, 128, 256, 512)),
    PAPER,
    params=12_611_602,
    macs=2_326_163_456,
    reported=errors(23.57, 6.93, 22.15, 5.90, 21.51, 5.52),
    weights=converted("dpn68.mx_in1k", 76.346),
)
DPN92 = Variant(
    "DPN92",
    DPN((3, 4, 20, 3), (16, 32, 24, 128), 96, 32),
    PAPER,
    params=37_668_392,
    macs=6_501_684_224,
    reported=errors(20.73, 5.37, 19.34, 4.66, 19.04, 4.53),
    weights=converted("dpn92.mx_in1k", 80.038),
)
DPN98 = Variant(
    "DPN98",
    DPN((3, 6, 20, 3), (16, 32, 32, 128), 160, 40, stem=bind(stem, width=96)),
    PAPER,
    params=61_570_728,
    macs=11_671_217_152,
    reported=errors(20.15, 5.15, 18.94, 4.44, 18.72, 4.40),
    weights=converted("dpn98.mx_in1k", 79.67),
)
DPN107 = Variant(
    "DPN107",
    DPN((4, 8, 20, 3), (20, 64, 64, 128), 200, 50, stem=bind(stem, width=128)),
    PAPER,
    params=86_917_800,
    macs=18_298_764_288,
    reported=errors(
        *(19.75, 4.94, 18.34, 4.19, 18.15, 4.03), protocol="pretrained on ImageNet-5k, ILSVRC-2012 validation, 1 crop"
    ),
    weights=converted("dpn107.mx_in1k", 80.168),
)
DPN131 = Variant(
    "DPN131",
    DPN((4, 8, 28, 3), (16, 32, 32, 128), 160, 40, stem=bind(stem, width=128)),
    PAPER,
    params=79_254_504,
    macs=16_013_648_896,
    reported=errors(19.93, 5.12, 18.62, 4.23, 18.55, 4.16),
    weights=converted("dpn131.mx_in1k", 79.814),
)

"""Very Deep Convolutional Networks for Large-Scale Image Recognition: Simonyan & Zisserman, ICLR 2015, arXiv:1409.1556.

Table 1 is the rows at the foot; `start_from` is section 3.1's way to train the deep ones.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import keras

from kvision.applications._publishers import torchvision
from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.blocks.bind import bind
from kvision.blocks.conv import conv, norm, relu
from kvision.blocks.head import classify, dense_relu, flatten
from kvision.layers import LRN

PAPER = Paper(
    title="Very Deep Convolutional Networks for Large-Scale Image Recognition",
    authors=("Karen Simonyan", "Andrew Zisserman"),
    venue="ICLR 2015",
    month="2014-09",
    arxiv="1409.1556",
)


def plain(x, filters, kernel, index, net):
    """Convolution and rectifier; and the index of the next layer."""
    x = conv(x, filters, kernel, bias=0.0, initializer=net.initializer, name=f"features.{index}")
    return net.rectify(x, name=f"features.{index + 1}"), index + 2


def normalized(x, filters, kernel, index, net, bias: float | None = 0.0):
    """With batch normalization, which is younger than the paper; torchvision keeps the biases. None for no bias."""
    x = conv(x, filters, kernel, bias=bias, initializer=net.initializer, name=f"features.{index}")
    x = norm(x, name=f"features.{index + 1}")
    return net.rectify(x, name=f"features.{index + 2}"), index + 3


@dataclass(frozen=True)
class VGG(Architecture):
    """Stages of 3x3 convolutions, each ended by 2x2 max-pooling, and three dense layers.

    Args:
        depths: convolutions in each stage.
        widths: of the stages.
        last_kernel: of the last convolution in the last three stages: 1 in configuration C.
        convolve: `convolve(x, filters, kernel, index, net)` to the tensor and the next layer's index.
        rectify: `rectify(x, name=)`.
        initializer: makes the kernels' initializer. The paper's N(0, 0.01) trains configuration A alone; Glorot's is
            what it found to train all (end of section 3.1).
        first: a layer after the first convolution, made from its `name`: local response normalization in A-LRN.
        attend: `attend(name=)` makes a layer that gates what each convolution and its rectifier give; None for none.
        hidden: widths of the dense layers before the last.
        dropout: share of their outputs dropped in training.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    last_kernel: int = 3
    convolve: Callable = plain
    rectify: Callable = relu
    initializer: Callable = keras.initializers.GlorotUniform
    first: Callable | None = None
    attend: Callable | None = None
    hidden: tuple[int, ...] = (4096, 4096)
    dropout: float = 0.5

    def features(self, x):  # (B, H, W, 3)
        index = 0
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            for place in range(depth):
                kernel = self.last_kernel if stage >= 2 and place == depth - 1 else 3
                x, index = self.convolve(x, width, kernel, index, self)
                if self.attend is not None:
                    x = self.attend(name=f"features.{index - 1}.attend")(x)
                if self.first is not None and (stage, place) == (0, 0):
                    x = self.first(name="lrn")(x)
            x = keras.layers.MaxPooling2D(2, 2, name=f"features.{index}")(x)
            index += 1
        return x  # (B, H/32, W/32, 512)

    def classifier(self, x, classes, activation):
        x = flatten(x)
        for place, units in enumerate(self.hidden, start=1):
            name = f"pre_logits.fc{place}"
            x = dense_relu(x, units, name=name, dropout=self.dropout, initializer=self.initializer)
        return classify(x, classes, activation, name="head.fc", initializer=self.initializer)


def start_from(model: keras.Model, shallower: keras.Model) -> None:
    """Section 3.1: the first four convolutions and the dense layers of configuration A start a deeper network.

    A convolution goes to the one at its place in its stage. What has no counterpart keeps its random values.

    Raises:
        ValueError: one of the networks is no VGG, or their dense layers differ in shape.
    """
    ours, theirs = _places(model), _places(shallower)
    pairs = [(ours[place], layer) for place, layer in list(theirs.items())[:4] if place in ours]
    pairs += [(ours[name], theirs[name]) for name in theirs if isinstance(name, str) and name in ours]
    for layer, source in pairs:
        if [tuple(w.shape) for w in layer.weights] != [tuple(w.shape) for w in source.weights]:
            raise ValueError(
                f"{layer.name} of '{model.name}' and {source.name} of '{shallower.name}' differ in shape: "
                f"{layer.kernel.shape} and {source.kernel.shape}."
            )
    for layer, source in pairs:
        layer.set_weights(source.get_weights())


def _places(model) -> dict:
    """Convolutions by (stage, place in it), dense layers by name."""
    found, stage, place = {}, 0, 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.MaxPooling2D):
            stage, place = stage + 1, 0
        elif isinstance(layer, keras.layers.Conv2D):
            found[stage, place] = layer
            place += 1
        elif isinstance(layer, keras.layers.Dense):
            found[layer.name] = layer
    if (2, 0) not in found or "head.fc" not in found:
        raise ValueError(f"'{model.name}' is no VGG with its top: it lacks a third stage or the layer 'head.fc'.")
    return found


def table_3(error):
    return (Reported("top-1 error", error, "ILSVRC-2012 validation, one test scale", "Table 3"),)


def published(tag, top1):
    dense = {"pre_logits.fc1.weight": (512, 7, 7), "pre_logits.fc2.weight": (-1, 1, 1)}  # convolutions in timm
    return (torchvision(tag, top1=top1, top=("pre_logits", "head"), convolved=dense),)


A, B, D, E = (VGG(depths) for depths in ((1, 1, 2, 2, 2), (2, 2, 2, 2, 2), (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)))

VGG11 = Variant(
    "VGG11",
    A,
    PAPER,
    params=132_863_336,
    macs=7_609_090_048,
    reported=table_3(29.6),
    weights=published("vgg11.tv_in1k", 69.02),
)
VGG11LRN = replace(VGG11, name="VGG11LRN", architecture=replace(A, first=bind(LRN)), reported=table_3(29.7), weights=())
VGG13 = Variant(
    "VGG13",
    B,
    PAPER,
    params=133_047_848,
    macs=11_308_466_176,
    reported=table_3(28.7),
    weights=published("vgg13.tv_in1k", 69.928),
)
VGG16C = Variant(
    "VGG16C",
    replace(D, last_kernel=1),
    PAPER,
    params=133_638_952,
    macs=11_770_888_192,
    reported=table_3(27.3),
)
VGG16 = Variant(
    "VGG16",
    D,
    PAPER,
    params=138_357_544,
    macs=15_470_264_320,
    reported=table_3(25.6),
    weights=published("vgg16.tv_in1k", 71.592),
)
VGG19 = Variant(
    "VGG19",
    E,
    PAPER,
    params=143_667_240,
    macs=19_632_062_464,
    reported=table_3(25.5),
    weights=published("vgg19.tv_in1k", 72.376),
)


def batch_normalized(row, params, tag, top1):
    """The same with batch normalization, as torchvision has it: no figures of the paper's."""
    return replace(
        row,
        name=f"{row.name}BN",
        architecture=replace(row.architecture, convolve=normalized),
        params=params,
        reported=(),
        weights=published(tag, top1),
    )


VGG11BN = batch_normalized(VGG11, 132_868_840, "vgg11_bn.tv_in1k", 70.37)
VGG13BN = batch_normalized(VGG13, 133_053_736, "vgg13_bn.tv_in1k", 71.586)
VGG16BN = batch_normalized(VGG16, 138_365_992, "vgg16_bn.tv_in1k", 73.36)
VGG19BN = batch_normalized(VGG19, 143_678_248, "vgg19_bn.tv_in1k", 74.218)

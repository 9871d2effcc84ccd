"""Spatial Transformer Networks: Jaderberg, Simonyan, Zisserman & Kavukcuoglu, NIPS 2015, arXiv:1506.02025.

Section 3 is `kvision.layers.SpatialTransformer`, sections 4.1 to 4.3 are `DistortedMNIST`, `SVHN` and `CUB`.

On SVHN and CUB the localisation networks learn more slowly, at a tenth and at 1e-4 of the rate (appendix A). For those
of `SVHN`, each optimizer with its own variables:

    several = keras.optimizers.OptimizerMap(keras.optimizers.SGD(rate), {"st.*": keras.optimizers.SGD(rate / 10)})
    model.compile(keras.optimizers.MultiOptimizer(several), ...)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras

from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.applications.bn_inception import BNInceptionRecipe
from kvision.blocks.bind import bind
from kvision.blocks.conv import conv_relu, he
from kvision.blocks.head import classify, dense_relu, flatten, pool_and_classify
from kvision.blocks.submodel import submodel
from kvision.classifier import Preprocess
from kvision.layers import Affine, SpatialSampler, SpatialTransformer, Translation
from kvision.layers.spatial_transforms import Transform

PAPER = Paper(
    title="Spatial Transformer Networks",
    authors=("Max Jaderberg", "Karen Simonyan", "Andrew Zisserman", "Koray Kavukcuoglu"),
    venue="NIPS 2015",
    month="2015-06",
    arxiv="1506.02025",
)


def dense(x, widths: Sequence[int]):
    """Rectified dense layers on the vectorized map: `(B, H, W, C)` to `(B, widths[-1])`."""
    x = flatten(x)
    for place, units in enumerate(widths, start=1):
        x = keras.layers.Dense(units, activation="relu", kernel_initializer=he("fan_in"), name=f"fc{place}")(x)
    return x


def convolutional(x, filters=20, pad=0, halve=True, hidden=(20,)):
    """A localisation network of two 5x5 convolutions, with pooling between them, and dense layers.

    Args:
        pad: zeros on each side.
        halve: whether it sees the image at half the resolution.
        hidden: widths of the dense layers.
    """
    if halve:
        x = keras.layers.AveragePooling2D(2, name="half")(x)
    x = conv_relu(x, filters, 5, pad=pad, name="conv1")
    x = keras.layers.MaxPooling2D(2, name="pool")(x)
    return dense(conv_relu(x, filters, 5, pad=pad, name="conv2"), hidden)


def apart(function: Callable, x, name: str) -> keras.Model:
    """The model of `function(x)` with `name.` before the names of its layers, for networks that hold several alike."""

    def rename(layer):
        return type(layer).from_config({**layer.get_config(), "name": f"{name}.{layer.name}"})

    return keras.models.clone_model(submodel(function, x, name=name), clone_function=rename)


def transformed(x, localise: Callable, transform: Transform, name: str):
    """The map, seen as a localisation network on it chooses."""
    return SpatialTransformer(apart(localise, x, name), transform, name=name)(x)


@dataclass(frozen=True)
class DistortedMNIST(Architecture):
    """A spatial transformer on the image, then a small network (section 4.1, appendix A.4).

    Widths are the largest that the paper names: it says that they vary, so that all networks have about 400,000
    parameters, but not how.

    Args:
        transform: None for the network alone, with which the paper compares.
        localise: `localise(x)`: features `(B, N)` that the transform's parameters are regressed from.
        halve: whether the transformed image is averaged over 2x2 pixels: for images larger than 28x28.
        convolutions: filters and size of each; a pooling follows, whose last windows may hang over the border: half of
            42x42 pixels, the paper's task RTS, would otherwise come to less than the second convolution is wide.
        hidden: widths of the dense layers.
    """

    transform: Transform | None = Affine()
    localise: Callable = convolutional
    halve: bool = False
    convolutions: tuple[tuple[int, int], ...] = ((64, 9), (64, 7))
    hidden: tuple[int, ...] = ()

    def features(self, x):  # (B, 28, 28, 1)
        if self.transform is not None:
            x = transformed(x, self.localise, self.transform, "st")
        if self.halve:
            x = keras.layers.AveragePooling2D(2, name="halve")(x)
        for place, (filters, kernel) in enumerate(self.convolutions, start=1):
            x = conv_relu(x, filters, kernel, pad=0, name=f"conv{place}")
            x = keras.layers.MaxPooling2D(2, padding="same", name=f"pool{place}")(x)
        return x  # (B, 2, 2, 64); without convolutions the image

    def classifier(self, x, classes, activation):
        return classify(dense(x, self.hidden), classes, activation, "predictions")


@dataclass(frozen=True)
class SVHN(Architecture):
    """Eight convolutions and two dense layers that read several digits at once (section 4.2, appendix A.5).

    The scores are `(B, digits, classes)`, the last class for no digit: `sparse_categorical_crossentropy` takes labels
    `(B, digits)`, and `kvision.evaluation.SequenceAccuracy` counts the images whose digits are all right.

    Args:
        localise: `localise(x)` for a spatial transformer before each of the first convolutions.
        transform: of all of them.
        widths: of the 5x5 convolutions.
        pooled: the convolutions, from 1, that a pooling follows.
        hidden: widths of the dense layers.
        dropout: the share dropped after each layer but the first convolution (and the localisation networks').
        digits: how many.

    Raises:
        ValueError: more localisation networks than convolutions.
    """

    localise: tuple[Callable, ...] = ()
    transform: Transform = Affine()
    widths: tuple[int, ...] = (48, 64, 128, 160, 192, 192, 192, 192)
    pooled: tuple[int, ...] = (1, 3, 5, 7)
    hidden: tuple[int, ...] = (3072, 3072)
    dropout: float = 0.5
    digits: int = 5

    def __post_init__(self):
        if len(self.localise) > len(self.widths):
            raise ValueError(
                "Each function of `localise` stands before a convolution of `widths`. "
                f"Received: {len(self.localise)} of them for {len(self.widths)} convolutions"
            )

    @property
    def positions(self):
        return (self.digits,)

    def features(self, x):  # (B, 64, 64, 3)
        for place, filters in enumerate(self.widths, start=1):
            if place <= len(self.localise):
                x = transformed(x, self.localise[place - 1], self.transform, f"st{place}")
            x = conv_relu(x, filters, 5, name=f"conv{place}")
            if place in self.pooled:
                x = keras.layers.MaxPooling2D(2, name=f"pool{place}")(x)
            if place > 1:
                x = keras.layers.Dropout(self.dropout, name=f"drop{place}")(x)
        return x  # (B, 4, 4, 192)

    def classifier(self, x, classes, activation):
        x = flatten(x)
        for place, units in enumerate(self.hidden, start=1):
            x = dense_relu(x, units, name=f"fc{place}", dropout=self.dropout)
        # Five layers of 11 classes side by side.
        x = classify(x, self.digits * classes, None, "digits")
        x = keras.layers.Reshape((self.digits, classes), dtype="float32", name="scores")(x)
        return keras.layers.Activation(activation, dtype="float32", name="predictions")(x)


@dataclass(frozen=True)
class CUB(Architecture):
    """Crops that one localisation network chooses together, each seen by a network of its own (section 4.3).

    Args:
        tiles: for each crop, where its centre starts, in x and y from -1 to 1: side by side, for the crops shall find
            different parts. The paper says that they tile the image; these places are ours.
        scale: the crops' part of the image's sides.
        crop: height and width at which the networks see the crops, and the localisation network the image.
        trunk: the recipe of all networks.
        hidden: widths of the localisation network's 1x1 convolution and dense layer.
        dropout: the share of the parts' joint features that training drops.
    """

    tiles: tuple[tuple[float, float], ...] = ((-0.5, 0.0), (0.5, 0.0))
    scale: float = 0.5
    crop: tuple[int, int] = (224, 224)
    trunk: Architecture = BNInceptionRecipe()
    hidden: tuple[int, int] = (128, 128)
    dropout: float = 0.7

    def localise(self, x):
        factor = max(1, (x.shape[1] or 0) // self.crop[0])
        if factor > 1:
            x = keras.layers.AveragePooling2D(factor, name="shrink")(x)
        x = conv_relu(self.trunk.features(x), self.hidden[0], name="reduce")
        return dense(x, self.hidden[1:])

    def features(self, x):  # (B, 448, 448, 3)
        features = apart(self.localise, x, "localisation")(x)
        parts = []
        for place, tile in enumerate(self.tiles, start=1):
            start = keras.initializers.Constant(list(tile))
            options = dict(kernel_initializer="zeros", bias_initializer=start, dtype="float32", name=f"theta{place}")
            theta = keras.layers.Dense(2, **options)(features)
            part = SpatialSampler(Translation(self.scale), self.crop, name=f"crop{place}")([x, theta])
            parts.append(apart(self.trunk.features, part, f"part{place}")(part))
        return keras.layers.Concatenate(name="parts")(parts) if len(parts) > 1 else parts[0]  # (B, 7, 7, 1024 N)

    def classifier(self, x, classes, activation):
        return pool_and_classify(x, classes, activation, self.dropout)


MNIST = dict(paper=PAPER, input_shape=(28, 28, 1), classes=10, preprocess=Preprocess())
STFCN = Variant(
    "STFCN",
    DistortedMNIST(localise=bind(dense, widths=(32, 32)), convolutions=(), hidden=(256, 256)),
    params=295_696,
    macs=295_104,
    reported=(
        Reported("test error", 1.2, "MNIST, rotated", "section 4.1"),
        Reported("test error", 0.8, "MNIST, rotated, scaled and translated", "section 4.1"),
        Reported("test error", 1.5, "MNIST, projected", "section 4.1"),
        Reported("test error", 2.7, "MNIST, elastically warped", "section 4.1"),
        Reported("test error", 2.0, "MNIST, 60x60 with clutter", "section 4.1"),
    ),
    **MNIST,
)
STCNN = Variant(
    "STCNN",
    DistortedMNIST(),
    params=219_672,
    macs=5_347_944,
    reported=(
        Reported("test error", 0.7, "MNIST, rotated; thin plate spline", "section 4.1"),
        Reported("test error", 0.5, "MNIST, rotated, scaled and translated; thin plate spline", "section 4.1"),
        Reported("test error", 0.8, "MNIST, projected; thin plate spline", "section 4.1"),
        Reported("test error", 1.1, "MNIST, elastically warped; thin plate spline", "section 4.1"),
        Reported("test error", 1.7, "MNIST, 60x60 with clutter", "section 4.1"),
    ),
    **MNIST,
)


def svhn(at_64: float, at_128: float):
    return tuple(
        Reported("sequence error", error, f"SVHN, crops of {size}x{size}", "section 4.2")
        for size, error in ((64, at_64), (128, at_128))
    )


HOUSES = dict(paper=PAPER, input_shape=(64, 64, 3), classes=11, preprocess=Preprocess())
SVHNCNN = Variant("SVHNCNN", SVHN(), params=23_380_695, macs=782_537_728, reported=svhn(4.0, 5.6), **HOUSES)
# Two convolutions, a dense layer and the regression are the paper's four layers; padded as the network's own.
STCNNSingleSVHN = Variant(
    "STCNNSingleSVHN",
    SVHN((bind(convolutional, filters=32, pad=2, halve=False, hidden=(32,)),)),
    params=24_457_565,
    macs=819_631_296,
    reported=svhn(3.7, 3.9),
    **HOUSES,
)
STCNNMultiSVHN = Variant(
    "STCNNMultiSVHN",
    SVHN((bind(dense, widths=(32, 32)),) * 4),
    params=28_497_647,
    macs=787_654_400,
    reported=svhn(3.6, 3.9),
    **HOUSES,
)

STCNN2xCUB = Variant(
    "STCNN2xCUB",
    CUB(),
    PAPER,
    params=32_125_132,
    macs=6_102_363_648,
    classes=200,
    reported=(
        Reported("accuracy", 83.1, "CUB-200-2011, 224x224", "section 4.3"),
        Reported("accuracy", 83.9, "CUB-200-2011, 448x448", "section 4.3"),
    ),
)
STCNN4xCUB = Variant(
    "STCNN4xCUB",
    CUB(tiles=((-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5))),
    PAPER,
    params=53_055_696,
    macs=10_165_925_888,
    input_shape=(448, 448, 3),
    classes=200,
    reported=(Reported("accuracy", 84.1, "CUB-200-2011, 448x448", "section 4.3"),),
)

"""Multi-column Deep Neural Networks for Image Classification: Cireşan, Meier & Schmidhuber, CVPR 2012, arXiv:1202.2745.

Section 2 is `MCDNN`, section 3 the columns. The paper names its networks by their layers: so does `Column`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.applications.lenet import squash
from kvision.blocks.head import classify, flatten
from kvision.classifier import Classifier, Origin, Preprocess
from kvision.layers import (
    AdaptiveHistogramEqualization,
    DifferenceOfGaussians,
    HistogramEqualization,
    ImageAdjustment,
    WidthNormalization,
)

PAPER = Paper(
    title="Multi-column Deep Neural Networks for Image Classification",
    authors=("Dan Cireşan", "Ueli Meier", "Jürgen Schmidhuber"),
    venue="CVPR 2012",
    month="2012-02",
    arxiv="1202.2745",
)

MNIST_WIDTHS = (None, 10, 12, 14, 16, 18, 20)
"""Widths of the digits' bounding boxes; None for the original digits."""


def uniform():
    """Section 3: weights start from between -0.05 and 0.05. (Biases start from zero here.)"""
    return keras.initializers.RandomUniform(-0.05, 0.05)


@dataclass(frozen=True)
class Column(Architecture):
    """One deep neural network: convolutions and poolings, then dense layers.

    Args:
        layers: in the paper's notation, without the last, which is the classes: `20C4` is a convolution without padding
            to 20 maps with 4x4 filters, `MP2` takes maxima over 2x2 windows side by side, `150N` has 150 neurons.

    Raises:
        ValueError: another notation, or an image on which a filter does not fit.
    """

    layers: str

    def __post_init__(self):
        if not re.fullmatch(r"[1-9]\d*C[1-9]\d*(-[1-9]\d*C[1-9]\d*|-MP[1-9]\d*)*(-[1-9]\d*N)*", self.layers):
            raise ValueError(
                "A column is a convolution such as 20C4, then convolutions and poolings such as MP2, then dense layers "
                "such as 150N, joined by hyphens, without the classes: '20C4-MP2-40C5-MP3-150N'. "
                f"Received: {self.layers!r}"
            )

    def features(self, x):  # (B, H, W, C)
        for place, (maps, kernel, window) in enumerate(re.findall(r"(\d+)C(\d+)|MP(\d+)", self.layers), start=1):
            if window:
                # Windows divide the paper's maps, but for one of 5x5 on CIFAR-10, where the last hangs over the border.
                x = keras.layers.MaxPooling2D(int(window), padding="same", name=f"pool{place}")(x)
                continue
            if any(size is not None and size < int(kernel) for size in x.shape[1:3]):
                raise ValueError(
                    f"{maps}C{kernel} of {self.layers!r} does not fit on maps of {x.shape[1]}x{x.shape[2]}. "
                    "Pass a larger input_shape=(H, W, C)."
                )
            options = dict(activation=squash, kernel_initializer=uniform(), name=f"conv{place}")
            x = keras.layers.Conv2D(int(maps), int(kernel), **options)(x)
        return x

    def classifier(self, x, classes, activation):
        x = flatten(x)
        for place, neurons in enumerate(re.findall(r"(\d+)N", self.layers), start=1):
            x = keras.layers.Dense(int(neurons), activation=squash, kernel_initializer=uniform(), name=f"dense{place}")(
                x
            )
        return classify(x, classes, activation, initializer=uniform)


def MCDNN(columns: Sequence, input_shape: tuple[int, int, int] | None = None, name: str = "mcdnn") -> Classifier:
    """The committee: every column sees the image through its own preprocessing, and their outputs are averaged.

    `y_i = 1/N sum_j y_i of column j`, in float32. The columns' weights are shared with the models given, not copied:
    train the columns, then average them.

    Args:
        columns: pairs of a preprocessing (a layer, a model, or None) and a model from `(B, H, W, C)` to `(B, classes)`,
            or models alone. A preprocessing that several columns share is computed once.
        input_shape: `(H, W, C)` of the image that all columns share; None takes that of the first column's model.

    Returns:
        One classifier `(B, H, W, C)` to `(B, classes)`. Its layers are the preprocessings and the columns, each a model
        inside. It has the pixel preprocessing that all columns agree on, if they do.

    Raises:
        ValueError: no columns, something that is no column, columns of different classes, or a column that does not
            take what its preprocessing gives.
    """
    pairs = [tuple(column) if isinstance(column, (tuple, list)) else (None, column) for column in columns]
    if not pairs:
        raise ValueError(f"A committee has at least one column. Received: columns={columns!r}")
    for pair in pairs:
        if len(pair) != 2 or not _is_classifier(pair[1]):
            raise ValueError(
                "A column is a model from (B, H, W, C) to (B, classes), or a pair of a preprocessing and such a model. "
                f"Received: {pair if len(pair) != 2 else pair[1]!r}"
            )
    classes = [model.output_shape[-1] for _, model in pairs]
    if len(set(classes)) > 1:
        raise ValueError(f"All columns have the same classes. Received: columns with {classes} classes")

    inputs = keras.Input(input_shape or pairs[0][1].input_shape[1:])
    images, twins, outputs = {id(None): inputs}, {}, []
    for place, (preprocessing, model) in enumerate(pairs, start=1):
        if id(preprocessing) not in images:
            images[id(preprocessing)] = _inside(preprocessing, inputs, f"preprocessing{place}")
        image = images[id(preprocessing)]
        if not _fits(image.shape, model.input_shape):
            raise ValueError(
                f"Column {place} takes images of shape {model.input_shape}. Received: {tuple(image.shape)} from "
                f"{'the input' if preprocessing is None else preprocessing}"
            )
        if id(model) not in twins:  # the same layers under a name of its own
            twins[id(model)] = keras.Model(model.inputs[0], model.outputs[0], name=f"column{place}")
        outputs.append(twins[id(model)](image))
    mean = keras.layers.Average(dtype="float32", name="mean")(outputs) if len(outputs) > 1 else outputs[0]
    agreed = {model.origin.preprocess if getattr(model, "origin", None) else None for _, model in pairs}
    preprocess = agreed.pop() if len(agreed) == 1 else None
    origin = Origin(row="MCDNN", changes={"columns": len(pairs)}, preprocess=preprocess)
    return Classifier(inputs, mean, name=name, origin=origin)


def _is_classifier(model) -> bool:
    graph = isinstance(model, keras.Model) and getattr(model, "inputs", None) and getattr(model, "outputs", None)
    shapes = [len(tensor.shape) for tensor in (*model.inputs, *model.outputs)] if graph else []
    return shapes == [4, 2]


def _fits(shape, wanted) -> bool:
    return len(shape) == len(wanted) and all(
        size == want or want is None for size, want in zip(shape, wanted, strict=True)
    )


def _inside(layer, image, name):
    """The layer on the image, as a model of this name inside another: names of layers meet only within one model."""
    inputs = keras.Input(image.shape[1:])
    return keras.Model(inputs, layer(inputs), name=name)(image)


def mnist_normalizations() -> list[keras.layers.Layer | None]:
    """The seven of section 3's committee of 35, five columns each: 29x29 digits to 29x29 digits."""
    return [width and WidthNormalization(width) for width in MNIST_WIDTHS]


def gtsrb_normalizations(value_range: tuple[float, float] = (0.0, 1.0)) -> list[keras.layers.Layer | None]:
    """The five of the traffic signs' committee of 25, five columns each: 48x48 RGB images to 48x48 RGB images.

    Args:
        value_range: of the pixels.
    """
    adjusting = (ImageAdjustment, HistogramEqualization, AdaptiveHistogramEqualization)
    return [None, *(layer(value_range=value_range) for layer in adjusting), DifferenceOfGaussians()]


MCDNNColumnMNIST = Variant(
    "MCDNNColumnMNIST",
    Column("20C4-MP2-40C5-MP3-150N"),
    PAPER,
    params=76_040,
    macs=1_891_820,
    input_shape=(29, 29, 1),
    classes=10,
    preprocess=Preprocess(),
    reported=(Reported("test error", 0.23, "MNIST, committee of 35 columns", "section 3"),),
)
MCDNNColumnGTSRB = Variant(
    "MCDNNColumnGTSRB",
    Column("100C7-MP2-150C4-MP2-250C4-MP2-300N"),
    PAPER,
    params=1_543_443,
    macs=125_978_700,
    input_shape=(48, 48, 3),
    classes=43,
    preprocess=Preprocess(),
    reported=(Reported("test error", 0.54, "GTSRB, committee of 25 columns", "section 3"),),
)
MCDNNColumnNORB = Variant(
    "MCDNNColumnNORB",
    Column("100C5-MP2-100C5-MP2-100C4-MP2-300N-100N"),
    PAPER,
    params=716_306,
    macs=96_740_600,
    input_shape=(48, 48, 2),  # a stereo pair
    classes=6,
    preprocess=Preprocess(),
    reported=(Reported("test error", 2.70, "NORB, committee", "section 3"),),
)
MCDNNColumnHWDB = Variant(
    "MCDNNColumnHWDB",
    Column("100C3-MP2-200C2-MP2-300C2-MP2-400C2-MP2-500N"),
    PAPER,
    params=3_483_655,
    macs=74_981_900,
    input_shape=(48, 48, 1),
    classes=3755,
    preprocess=Preprocess(),
    reported=(
        Reported("test error", 5.61, "HWDB1.0 online, committee", "section 3"),
        Reported("test error", 6.5, "HWDB1.0 offline, committee", "section 3"),
    ),
)
MCDNNColumnCIFAR10 = Variant(
    "MCDNNColumnCIFAR10",
    Column("300C3-MP2-300C2-MP2-300C3-MP2-300C2-MP2-300N-100N"),
    PAPER,
    params=1_660_710,
    macs=99_661_000,
    input_shape=(32, 32, 3),
    classes=10,
    preprocess=Preprocess(),
    reported=(Reported("test error", 11.21, "CIFAR-10, committee", "section 3"),),
)

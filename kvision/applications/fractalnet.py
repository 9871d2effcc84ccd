"""FractalNet: Ultra-Deep Neural Networks without Residuals: Larsson et al., ICLR 2017, arXiv:1605.07648.

Section 2's expansion rule is `columns`, Figure 1's block is `block`; section 3's drop-path is in
`kvision.layers.FractalJoin`, and `column` extracts one of the subnetworks that it trains. The networks follow the
authors' code (github.com/gustavla/fractalnet), which is more precise than the paper.
"""

from dataclasses import dataclass

import keras

from kvision.applications._preprocessing import CIFAR10
from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.applications.highway import xavier
from kvision.blocks.conv import conv, relu
from kvision.blocks.head import classify, pool
from kvision.classifier import Classifier
from kvision.layers import BatchNormalization, FractalJoin, GlobalDropPath

PAPER = Paper(
    title="FractalNet: Ultra-Deep Neural Networks without Residuals",
    authors=("Gustav Larsson", "Michael Maire", "Gregory Shakhnarovich"),
    venue="ICLR 2017",
    month="2016-05",
    arxiv="1605.07648",
)


def layer(x, width, dropout, name):
    """What the paper calls a convolutional layer: convolution, dropout, normalization, rectifier."""
    # Neither gain nor offset follows the normalization (Caffe's), but a bias goes before it, which it takes away again.
    x = conv(x, width, 3, bias=0.0, initializer=xavier, name=f"{name}.conv")
    if dropout:
        x = keras.layers.Dropout(dropout, name=f"{name}.drop")(x)
    x = BatchNormalization(0.9, 1e-5, center=False, scale=False, name=f"{name}.bn")(x)
    return relu(x, name=f"{name}.relu")


def join(ends, path, net, name):
    """The mean of the columns that end here; one alone needs no join."""
    return ends[0] if len(ends) == 1 else FractalJoin(net.drop_path, name=name)(ends, path)


def columns(x, count, path, net, convolve, name, start=0):
    """The expansion rule, before its last join: `f_{C+1}(z) = [(f_C o f_C)(z)] join [conv(z)]`, `f_1(z) = conv(z)`.

    Nested joins are one (Figure 1), so that the ends of all columns come out.

    Args:
        count: C.
        path: of `GlobalDropPath`, or None where there is nothing to join.
        convolve: `convolve(x, name=)`, a convolutional layer.
        name: of the block.
        start: how many layers of the block's deepest column are behind.

    Returns:
        The ends of C columns, from one layer to 2^(C - 1), the shallowest first.
    """
    number = start >> (count - 1)  # of the layer in its column
    first = convolve(x, name=f"{name}.column{net.columns - count}.{number}")
    if count == 1:
        return [first]
    half = start + (1 << (count - 2))
    middle = join(columns(x, count - 1, path, net, convolve, name, start), path, net, f"{name}.join{half}")
    return [first, *columns(middle, count - 1, path, net, convolve, name, half)]


def block(x, width, dropout, path, net, name):
    """f_C, with 2x2 max-pooling of every column before the last join: `(B, H, W, C)` to `(B, H/2, W/2, width)`."""

    def convolve(x, name):
        return layer(x, width, dropout, name)

    ends = columns(x, net.columns, path, net, convolve, name)
    pooled = [
        # A last window may hang over the border, as Caffe's do.
        keras.layers.MaxPooling2D(2, padding="same", name=f"{name}.column{number}.pool")(end)
        for number, end in enumerate(ends)
    ]
    return join(pooled, path, net, f"{name}.join")


@dataclass(frozen=True)
class FractalNet(Architecture):
    """Blocks of columns of 1, 2, 4, ... layers, between them poolings: the deepest path has B 2^(C - 1) layers.

    Args:
        columns: C, of every block. One column is a plain network.
        widths: of the B blocks.
        dropouts: the share of its convolutions' outputs that each block drops in training.
        drop_path: the probability that a join drops an input in training.
        single: the share of the batches in training that see one column alone (section 4.1: half of them).
    """

    columns: int = 3
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    dropouts: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4)
    drop_path: float = 0.15
    single: float = 0.5

    def __post_init__(self):
        if self.columns < 1 or len(self.widths) != len(self.dropouts):
            raise ValueError(
                "A FractalNet has at least one of `columns`, and as many `widths` as `dropouts`. "
                f"Received: columns={self.columns}, widths={self.widths}, dropouts={self.dropouts}"
            )

    def features(self, x):  # (B, 32, 32, 3)
        path = GlobalDropPath(self.columns, self.single, name="path")(x) if self.columns > 1 else None
        for number, (width, dropout) in enumerate(zip(self.widths, self.dropouts, strict=True), start=1):
            x = block(x, width, dropout, path, self, f"block{number}")
        return x  # (B, 1, 1, 512)

    def classifier(self, x, classes, activation):
        # The last map has one pixel; for larger images, their mean.
        return classify(pool(x, "avg"), classes, activation, initializer=xavier)


def column(model: Classifier, number: int) -> Classifier:
    """One column of a FractalNet as a plain network of its own, which shares the weights (section 3, "anytime").

    Args:
        model: as a row of this family builds it, trained or not.
        number: from 0, the shallowest (one layer in each block), to C - 1, the deepest (2^(C - 1) layers); the last
            also as -1.

    Raises:
        ValueError: no such column.
    """
    count = next((layer.columns for layer in model.layers if isinstance(layer, GlobalDropPath)), 1)
    if not -count <= number < count:
        raise ValueError(f"'{model.name}' has columns 0 to {count - 1}. Received: number={number}")

    def call(layer, *args, **kwargs):
        if not isinstance(layer, FractalJoin):
            return layer(*args, **kwargs)
        ends = args[0]  # of the deepest columns; without ours, it leads nowhere
        return ends[max(number % count - count, -len(ends))]

    chain = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
    return Classifier(chain.input, chain.output, name=f"{model.name}.column{number % count}", origin=model.origin)


def table_1(error, data):
    return Reported("test error", error, f"{data}, 20 layers, drop-path and dropout", "Table 1")


CIFAR = dict(paper=PAPER, input_shape=(32, 32, 3), preprocess=CIFAR10)
THIN = (16, 32, 64, 128, 128)

FractalNet20 = Variant(
    "FractalNet20",
    FractalNet(),
    # The paper prints 38.6M. Nobody has said how to arrive there: the authors' code gives this, as the rules above do,
    # and for the thin networks both give what the paper prints.
    params=33_714_314,
    macs=845_222_912,
    classes=10,
    reported=(
        table_1(4.60, "CIFAR-10, translation and flip"),
        table_1(23.73, "CIFAR-100, translation and flip"),
    ),
    **CIFAR,
)
FractalNetThin20 = Variant(
    "FractalNetThin20", FractalNet(widths=THIN), params=2_122_628, macs=53_834_240, classes=100, **CIFAR
)
FractalNetThin40 = Variant(
    "FractalNetThin40", FractalNet(4, THIN), params=4_773_300, macs=128_594_432, classes=100, **CIFAR
)
FractalNetThin80 = Variant(
    "FractalNetThin80", FractalNet(5, THIN), params=10_173_284, macs=283_570_688, classes=100, **CIFAR
)
FractalNetThin160 = Variant(
    "FractalNetThin160", FractalNet(6, THIN), params=21_071_892, macs=598_979_072, classes=100, **CIFAR
)

"""Learning Transferable Architectures for Scalable Image Recognition: Zoph et al., CVPR 2018, arXiv:1707.07012.

Figure 4's two cells are the tables `NORMAL` and `REDUCTION`, which `cell` reads; Figure 2's way to stack them for
ImageNet is `NASNet`. The layers are named as in timm's checkpoint.

Two tricks of the authors' training are left out: the auxiliary classifier after two thirds of the cells, and
ScheduledDropPath, whose rate grows with the training step, which a network does not know.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from kvision.applications._publishers import timm
from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.blocks.bind import bind
from kvision.blocks.conv import At, conv, conv_norm, norm, relu
from kvision.blocks.pool import average_pool
from kvision.blocks.towers import concatenate

PAPER = Paper(
    title="Learning Transferable Architectures for Scalable Image Recognition",
    authors=("Barret Zoph", "Vijay Vasudevan", "Jonathon Shlens", "Quoc V. Le"),
    venue="CVPR 2018",
    month="2017-07",
    arxiv="1707.07012",
)
EPSILON = 1e-3  # of every normalization


def separable(x, filters, stride, net, name, *, kernel):
    """Rectifier, depthwise and pointwise convolution, normalization, and all of them again with stride 1."""
    for place, step in ((1, stride), (2, 1)):
        x = relu(x, name=f"{name}.act_{place}")
        # A filter of a depthwise convolution has kernel^2 inputs; Keras's initializers would count all channels'.
        x = keras.layers.DepthwiseConv2D(
            kernel,
            step,
            padding="same",
            use_bias=False,
            depthwise_initializer=keras.initializers.RandomNormal(0.0, 2**0.5 / kernel),
            name=f"{name}.separable_{place}.depthwise_conv2d",
        )(x)
        x = conv(x, filters, name=f"{name}.separable_{place}.pointwise_conv2d")
        x = norm(x, epsilon=EPSILON, name=f"{name}.bn_sep_{place}")
    return x


def average(x, filters, stride, net, name):
    return net.average(x, 3, stride, name=name)


def maximum(x, filters, stride, net, name):
    return keras.layers.MaxPooling2D(3, stride, padding="same", name=name)(x)


def identity(x, filters, stride, net, name):
    return x


sep3, sep5, sep7 = (bind(separable, kernel=kernel) for kernel in (3, 5, 7))

# Figure 4: pairs of an operation and its input, which are added. The inputs are the last cell's output "h" and that of
# the cell before it, "p", both with as many channels as the cell has filters, and the sums so far by number.
NORMAL = (
    ((sep5, "h"), (sep3, "p")),
    ((sep5, "p"), (sep3, "p")),
    ((average, "h"), (identity, "p")),
    ((average, "p"), (average, "p")),
    ((sep3, "h"), (identity, "h")),
)
REDUCTION = (  # what reads "h" or "p" has stride 2
    ((sep5, "h"), (sep7, "p")),
    ((maximum, "h"), (sep7, "p")),
    ((average, "h"), (sep5, "p")),
    ((identity, 1), (average, 0)),
    ((sep3, 0), (maximum, "h")),
)


def cell(x, p, filters, adjust, net, name, reduce=False):
    """One cell of Figure 4: five sums, concatenated but for the first of a reduction; the normal cell adds its "p".

    Args:
        x: the last cell's output.
        p: that of the cell before it.
        filters: of every operation.
        adjust: `adjust(p, filters, name)`, to the size of `x` and the number of filters.

    Returns:
        `(B, H, W, 6 filters)`; of a reduction, `(B, H/2, W/2, 4 filters)`.
    """
    values = {"p": adjust(p, filters, name), "h": project(x, filters, f"{name}.conv_1x1")}
    table, outputs = (REDUCTION, [1, 2, 3, 4]) if reduce else (NORMAL, ["p", 0, 1, 2, 3, 4])
    for number, pair in enumerate(table):
        terms = []
        for side, (operation, source) in zip(("left", "right"), pair, strict=True):
            stride = 2 if reduce and source in ("h", "p") else 1
            place = f"{name}.comb_iter_{number}_{side}"
            terms.append(operation(values[source], filters, stride, net, place))
        values[number] = keras.layers.Add(name=f"{name}.comb_iter_{number}")(terms)
    return concatenate([values[key] for key in outputs], name=name)


def project(x, filters, name):
    """Rectifier, 1x1 convolution, normalization."""
    x = relu(x, name=f"{name}.act")
    return conv_norm(x, filters, at=At(f"{name}.conv", f"{name}.bn", ""), epsilon=EPSILON)


def same_size(p, filters, name):
    return project(p, filters, f"{name}.conv_prev_1x1")


def as_it_is(p, filters, name):
    return p


def halve(p, filters, name):
    """Half of the channels from every second pixel, half from their neighbours to the bottom right.

    The position of those is the code's, as is a zero beyond the border.
    """
    p = relu(p, name=f"{name}.act")
    moved = keras.layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{name}.path_2.pad")(p)
    moved = keras.layers.Cropping2D(((1, 0), (1, 0)), name=f"{name}.path_2.crop")(moved)
    paths = [
        conv(x, filters // 2, 1, 2, name=f"{name}.path_{place}.conv") for place, x in enumerate((p, moved), start=1)
    ]
    return norm(concatenate(paths, name=f"{name}.paths"), epsilon=EPSILON, name=f"{name}.final_path_bn")


def average_with_border(x, size, stride, *, name):
    """As timm and Keras average: with stride 2, and only then, the zeros beyond the border count.

    Windows of stride 2 end one pixel beyond the bottom right whether the size is even or odd, and begin at or before
    the top left: from behind they are padded alike.
    """
    if stride == 1:
        return average_pool(x, size, stride, name=name)
    x = average_pool(keras.ops.flip(x, (1, 2)), size, stride, name=name, count_border=True)
    return keras.ops.flip(x, (1, 2))


@dataclass(frozen=True)
class NASNet(Architecture):
    """NASNet-A (N @ P): three stages of N normal cells, a reduction cell between them, and two before them.

    Args:
        cells: N, in each stage.
        filters: of the first stage's operations, P / 24: the last map has 6 * 4 times as many channels.
        stem: the width of the first convolution.
        skip: the cell behind a reduction reads, as its second input, what the reduction read as its second; else what
            it read as its first.
        average: `average(x, size, stride, name=)`.
    """

    cells: int = 6
    filters: int = 168
    stem: int = 96
    skip: bool = True
    average: Callable = average_pool

    def __post_init__(self):
        if self.cells < 1 or self.filters < 1 or self.filters % 4:
            raise ValueError(
                "A NASNet has at least one of `cells`, and `filters` that are a multiple of 4. "
                f"Received: cells={self.cells}, filters={self.filters}"
            )

    def features(self, x):  # (B, 331, 331, 3)
        p = x = conv_norm(x, self.stem, 3, 2, pad=0, at=At("conv0.conv", "conv0.bn", ""), epsilon=EPSILON)
        for number, adjust in enumerate((as_it_is, halve)):  # (B, 165, 165, 96), (B, 83, 83, 168), (B, 42, 42, 336)
            filters = self.filters * 2**number // 4
            p, x = x, cell(x, p, filters, adjust, self, f"cell_stem_{number}", reduce=True)
        for stage in range(3):
            filters = self.filters * 2**stage
            if stage > 0:
                reduced = cell(x, p, filters, same_size, self, f"reduction_cell_{stage - 1}", reduce=True)
                p, x = (p if self.skip else x), reduced
            for number in range(self.cells):
                adjust = same_size if number else halve
                p, x = x, cell(x, p, filters, adjust, self, f"cell_{stage * self.cells + number}")
        return relu(x, name="act")  # (B, 42, 42, 1008), (B, 21, 21, 2016), (B, 11, 11, 4032)


NASNetALarge = Variant(
    "NASNetALarge",
    NASNet(),
    PAPER,
    params=88_753_150,
    macs=23_783_414_658,
    input_shape=(331, 331, 3),
    reported=(
        Reported("top-1 accuracy", 82.7, "ILSVRC-2012 validation, 1 crop of 331x331", "Table 2"),
        Reported("top-5 accuracy", 96.2, "ILSVRC-2012 validation, 1 crop of 331x331", "Table 2"),
    ),
    weights=(
        timm(
            "nasnetalarge.tf_in1k",
            dict(average=average_with_border),
            82.626,
            mean=(0.5,) * 3,
            std=(0.5,) * 3,
            size=331,
            crop=0.911,
            rename=(("^last_linear.", "^fc."),),
        ),
    ),
)

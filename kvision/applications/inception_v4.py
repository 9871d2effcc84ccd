"""Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning: Szegedy et al., AAAI 2017.

arXiv:1602.07261. Figure 3 is `stem`, Figures 4 to 6 are `FIGURE_4`, `FIGURE_5` and `inception_c`, Figure 7 and Table 1
`figure_7`, Figure 8 `FIGURE_8`, Figures 10 to 19 the grids `V1` and `V2`, Figure 20 is `add_scaled`. The layers are
named as in timm's checkpoints.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import keras

from kvision.applications import inception_v3
from kvision.applications._publishers import timm
from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.applications.inception_v3 import AT_299, CENTERED
from kvision.blocks.bind import bind
from kvision.blocks.conv import conv, relu
from kvision.blocks.head import pool_and_classify
from kvision.blocks.pool import average_pool, max_pool
from kvision.blocks.towers import concatenate, normalized, tower

PAPER = Paper(
    title="Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
    authors=("Christian Szegedy", "Sergey Ioffe", "Vincent Vanhoucke", "Alexander A. Alemi"),
    venue="AAAI 2017",
    month="2016-02",
    arxiv="1602.07261",
)

# Of each tower, each convolution's (filters, kernel, stride, pad).
ROW, COLUMN = (1, 7), (7, 1)
FIGURE_4 = (((96,),), ((64,), (96, 3)), ((64,), (96, 3), (96, 3)))
FIGURE_5 = (
    ((384,),),
    ((192,), (224, ROW), (256, COLUMN)),
    ((192,), (192, COLUMN), (224, ROW), (224, COLUMN), (256, ROW)),
)
FIGURE_8 = (((192,), (192, 3, 2, 0)), ((256,), (256, ROW), (320, COLUMN), (320, 3, 2, 0)))


def figure_7(k, l, m, n):  # noqa: E741 (the figure's letters)
    """From 35x35 to 17x17; Table 1 has the widths of each network."""
    return ((n, 3, 2, 0),), ((k,), (l, 3), (m, 3, 2, 0))


def branches(x, towers: Sequence[Sequence[tuple]], name, convolve=normalized) -> list:
    """Towers on the same grid. A tower of one convolution has no number in its name."""
    names = [f"{name}.branch{i}" + ".{}" * (len(steps) > 1) for i, steps in enumerate(towers)]
    return [tower(x, steps, name=name, convolve=convolve) for steps, name in zip(towers, names, strict=True)]


def average(x, filters, name):
    """The averaged pixels, through a 1x1 convolution."""
    return normalized(average_pool(x, name=f"{name}.0"), filters, name=f"{name}.1")


def inception(x, towers, pooled, name):
    """Figures 4 and 5: towers and, beside them, the averages: `(B, H, W, C)` to `(B, H, W, C')`."""
    averages = average(x, pooled, f"{name}.branch{len(towers)}")
    return concatenate([*branches(x, towers, name), averages], name=name)


def inception_c(x, kernels, name):
    """Figure 6: towers that part into 1x3 and 3x1: `(B, H, W, C)` to `(B, H, W, 1536)`."""

    def part(x, name):
        ends = normalized(x, 256, (1, 3), name=f"{name}a"), normalized(x, 256, (3, 1), name=f"{name}b")
        return concatenate(ends, name=name)

    first, second = kernels
    short = normalized(x, 384, name=f"{name}.branch1_0")
    long = tower(x, [(384,), (448, first), (512, second)], name=f"{name}.branch2_{{}}")
    towers = [
        normalized(x, 256, name=f"{name}.branch0"),
        part(short, f"{name}.branch1_1"),
        part(long, f"{name}.branch2_3"),
        average(x, 256, f"{name}.branch3"),
    ]
    return concatenate(towers, name=name)


def reduction(x, towers, name, convolve=normalized):
    """Figures 7, 8, 12 and 18: towers of stride 2 and the maxima: `(B, H, W, C)` to `(B, (H-1)//2, (W-1)//2, C')`."""
    return concatenate([*branches(x, towers, name, convolve), max_pool(x, name=f"{name}.pool")], name=name)


def stem(x, name="stem.{}", convolve=normalized, kernels=(COLUMN, ROW)):
    """Figure 3: `(B, 299, 299, 3)` to `(B, 35, 35, 384)`. `kernels` are the two in the middle of its longest tower."""
    third, fourth, fifth = (name.format(place) for place in (3, 4, 5))
    x = tower(x, [(32, 3, 2, 0), (32, 3, 1, 0), (64, 3)], name=name, convolve=convolve)  # (B, 147, 147, 64)
    pooled = max_pool(x, name=f"{third}.maxpool")
    x = concatenate([pooled, convolve(x, 96, 3, 2, pad=0, name=f"{third}.conv")], name=third)  # (B, 73, 73, 160)
    first, second = kernels
    towers = ((64,), (96, 3, 1, 0)), ((64,), (64, first), (64, second), (96, 3, 1, 0))
    x = concatenate(branches(x, towers, fourth, convolve), name=fourth)  # (B, 71, 71, 192)
    pooled = max_pool(x, name=f"{fifth}.maxpool")
    return concatenate([convolve(x, 192, 3, 2, pad=0, name=f"{fifth}.conv"), pooled], name=fifth)


@dataclass(frozen=True)
class InceptionV4Recipe(Architecture):
    """Figure 9: no residual connections.

    Args:
        depths: how many modules of Figures 4, 5 and 6.
        released: whether two pairs of convolutions are in the order of the released network, 1x7 before 7x1 in the
            stem and 3x1 before 1x3 in Figure 6's modules; the figures show both the other way round.
        dropout: the share of the averages that training drops (Figure 9: keep 0.8).
    """

    depths: tuple[int, int, int] = (4, 7, 3)
    released: bool = False
    dropout: float = 0.2

    def features(self, x):  # (B, 299, 299, 3)
        sevens, threes = ((ROW, COLUMN), ((3, 1), (1, 3))) if self.released else ((COLUMN, ROW), ((1, 3), (3, 1)))
        names = (f"features.{place}" for place in itertools.count(6))
        fine, middle, coarse = self.depths
        x = stem(x, "features.{}", kernels=sevens)  # (B, 35, 35, 384)
        for _ in range(fine):
            x = inception(x, FIGURE_4, 96, next(names))
        x = reduction(x, figure_7(192, 224, 256, 384), next(names))  # (B, 17, 17, 1024)
        for _ in range(middle):
            x = inception(x, FIGURE_5, 128, next(names))
        x = reduction(x, FIGURE_8, next(names))  # (B, 8, 8, 1536)
        for _ in range(coarse):
            x = inception_c(x, threes, next(names))
        return x  # (B, 8, 8, 1536)

    def classifier(self, x, classes, activation):
        return pool_and_classify(x, classes, activation, self.dropout)


@dataclass(frozen=True)
class Grid:
    """The residual modules of one resolution, and the way to the next.

    Args:
        depth: how many modules.
        towers: the widths of each tower: of a 1x1 convolution, and of one for each of the kernels.
        kernels: after the 1x1.
        scale: of the branch before the sum. The paper names 0.1 to 0.3 (section 3.3); these are the released ones.
        reduce: the towers of the reduction behind the modules; none at the end.
    """

    depth: int
    towers: tuple[tuple[int, ...], ...]
    kernels: tuple = (3, 3)
    scale: float = 1.0
    reduce: tuple = ()

    @property
    def steps(self) -> list[list[tuple]]:
        """Of each tower, each convolution's (filters, kernel)."""
        return [list(zip(widths, (1, *self.kernels), strict=False)) for widths in self.towers]


def add_scaled(x, y, scale, name, activate=True):
    """Figure 20: the branch is scaled down before the sum, and the rectifier follows it (section 3.3)."""
    if scale != 1:
        y = keras.layers.Rescaling(scale, name=f"{name}.scale")(y)
    x = keras.layers.Add(name=f"{name}.add")([x, y])
    return relu(x, name=f"{name}.relu") if activate else x


def residual(x, grid: Grid, net, name, scale, activate=True):
    """Figures 10, 11, 13, 16, 17 and 19: towers, and a linear 1x1 convolution to the width of the shortcut."""
    y = concatenate(branches(x, grid.steps, name), name=f"{name}.towers")
    # The figures print 1154 and 2048 for Inception-ResNet-v2; the sum needs the reductions' 1152 and 2144.
    y = conv(y, x.shape[-1], bias=0.0, name=f"{name}.conv2d")
    if net.attend is not None:
        y = net.attend(name=f"{name}.attend")(y)
    return add_scaled(x, y, scale, name, activate)


def released_stem(x):
    """That of Inception-v3 and a module without a shortcut: `(B, 299, 299, 3)` to `(B, 35, 35, 320)`."""
    towers = ((96,),), ((48,), (64, 5)), ((64,), (96, 3), (96, 3))
    return inception(inception_v3.stem(x), towers, 64, "mixed_5b")


# Figure 14: a strided convolution for the last pooling of Inception-v3's.
stem_v1 = bind(inception_v3.stem, halve=bind(normalized, filters=256, kernel=3, stride=2, pad=0, name="Conv2d_5a_3x3"))


@dataclass(frozen=True)
class InceptionResNet(Architecture):
    """Figure 15: Inception modules as residual branches.

    Args:
        grids: of 35x35, 17x17 and 8x8.
        stem: `stem(x)`, before them.
        attend: `attend(name=)` makes a layer that gates the branch before it is scaled; None for none.
        last: None as in the paper. The released network ends in one more module, neither scaled nor rectified, and a
            1x1 convolution of this width.
        dropout: the share of the averages that training drops (Figure 15: keep 0.8).
    """

    grids: tuple[Grid, ...]
    stem: Callable = stem
    attend: Callable | None = None
    last: int | None = None
    dropout: float = 0.2

    def features(self, x):  # (B, 299, 299, 3)
        x = self.stem(x)  # (B, 35, 35, 384), or another width
        stages = ("repeat", "mixed_6a"), ("repeat_1", "mixed_7a"), ("repeat_2", "mixed_8a")
        for grid, (modules, behind) in zip(self.grids, stages, strict=True):
            for index in range(grid.depth):
                x = residual(x, grid, self, f"{modules}.{index}", grid.scale)
            if grid.reduce:
                x = reduction(x, grid.reduce, behind)  # (B, 17, 17, C), (B, 8, 8, C')
        if self.last is not None:
            x = residual(x, self.grids[-1], self, "block8", scale=1, activate=False)
            x = normalized(x, self.last, name="conv2d_7b")
        return x  # (B, 8, 8, 2144), or another width

    def classifier(self, x, classes, activation):
        return pool_and_classify(x, classes, activation, self.dropout)


THREES = ((1, 3), (3, 1))


def figure_12(a, b, c, d):
    """From 17x17 to 8x8: `a`, `b` and `c` are the widths that the towers end in, `d` is inside the longest."""
    return ((256,), (a, 3, 2, 0)), ((256,), (b, 3, 2, 0)), ((256,), (d, 3), (c, 3, 2, 0))


V1 = (
    Grid(5, ((32,), (32, 32), (32, 32, 32)), scale=0.17, reduce=figure_7(192, 192, 256, 384)),
    Grid(10, ((128,), (128, 128, 128)), (ROW, COLUMN), 0.1, reduce=figure_12(384, 256, 256, 256)),
    Grid(5, ((192,), (192, 192, 192)), THREES, 0.2),
)
V2 = (
    Grid(5, ((32,), (32, 32), (32, 48, 64)), scale=0.17, reduce=figure_7(256, 256, 384, 384)),
    Grid(10, ((192,), (128, 160, 192)), (ROW, COLUMN), 0.1, reduce=figure_12(384, 288, 320, 288)),
    Grid(5, ((192,), (192, 224, 256)), THREES, 0.2),
)
RELEASED = tuple(replace(grid, depth=depth) for grid, depth in zip(V2, (10, 20, 9), strict=True))
RENAME = (
    *((f"^conv2d_{place}.", f"^Conv2d_{place}_3x3.") for place in ("1a", "2a", "2b", "4a")),
    ("^conv2d_3b.", "^Conv2d_3b_1x1."),
    ("^classif.", "^fc."),
)


def table_2(top1, top5):
    protocol = "ILSVRC-2012 validation (not blacklisted), 1 crop"
    return (
        Reported("top-1 error", top1, protocol, "Table 2"),
        Reported("top-5 error", top5, protocol, "Table 2"),
    )


InceptionV4 = Variant(
    "InceptionV4",
    InceptionV4Recipe(),
    PAPER,
    params=42_679_816,
    macs=12_253_974_624,
    input_shape=(299, 299, 3),
    reported=table_2(20.0, 5.0),
    weights=(
        timm(
            "inception_v4.tf_in1k",
            dict(released=True),
            80.156,
            rename=(("^last_linear.", "^fc."),),
            **CENTERED,
            **AT_299,
        ),
    ),
)
InceptionResNetV1 = Variant(
    "InceptionResNetV1",
    InceptionResNet(V1, stem_v1),
    PAPER,
    params=22_756_328,
    macs=6_206_361_696,
    input_shape=(299, 299, 3),
    preprocess=InceptionV4.preprocessing(),
    reported=table_2(21.3, 5.5),
)
# The network that the authors released under this name, and the one that costs what Inception-v4 does (section 3.2).
InceptionResNetV2 = Variant(
    "InceptionResNetV2",
    InceptionResNet(RELEASED, released_stem, last=1536),
    PAPER,
    params=55_843_464,
    macs=13_155_794_016,
    input_shape=(299, 299, 3),
    reported=table_2(19.9, 4.9),
    weights=tuple(
        timm(f"inception_resnet_v2.{tag}", None, top1, rename=RENAME, size=299, crop=0.8975, **CENTERED)
        for tag, top1 in (("tf_in1k", 80.462), ("tf_ens_adv_in1k", 79.978))
    ),
)
# The network that the figures show.
InceptionResNetV2Paper = replace(
    InceptionResNetV2,
    name="InceptionResNetV2Paper",
    architecture=InceptionResNet(V2),
    params=32_433_928,
    macs=9_257_953_632,
    preprocess=InceptionV4.preprocessing(),
    reported=(),
    weights=(),
)

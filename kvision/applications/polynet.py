"""PolyNet: A Pursuit of Structural Diversity in Very Deep Networks: Zhang, Li, Loy & Lin, CVPR 2017, arXiv:1611.05725.

Section 3.1's polynomials are `compositions` (poly and mpoly) and `ways`, of which the modules `poly`, `mpoly` and
`way` are made; Figure 5's lower half is `PolyNetRecipe`. Stem and reductions are those of Inception-ResNet-v2 as its
paper has it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np

from kvision.applications._publishers import MEAN, STD
from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.applications.inception_v4 import V1, V2, Grid, add_scaled, reduction, stem
from kvision.blocks.bind import bind
from kvision.blocks.conv import At, conv_layer, conv_norm, conv_norm_relu, norm, relu
from kvision.blocks.head import pool_and_classify
from kvision.blocks.towers import concatenate
from kvision.classifier import Preprocess

PAPER = Paper(
    title="PolyNet: A Pursuit of Structural Diversity in Very Deep Networks",
    authors=("Xingcheng Zhang", "Zhizhong Li", "Chen Change Loy", "Dahua Lin"),
    venue="CVPR 2017",
    month="2016-11",
    arxiv="1611.05725",
)


def compositions(x, blocks: Sequence[Callable]) -> list:
    """Each block upon the one before it: of F, F it is `[F x, F^2 x]` (poly-2), of F, G `[F x, GF x]` (mpoly-2)."""
    terms = []
    for block in blocks:
        x = block(x)
        terms.append(x)
    return terms


def ways(x, blocks: Sequence[Callable]) -> list:
    """Every block upon x: of F, G it is `[F x, G x]` (2-way)."""
    return [block(x) for block in blocks]


def join(x, terms, scale, name):
    """The polynomial's value: x and the scaled sum of its other terms, rectified."""
    total = keras.layers.Add(name=f"{name}.terms")(terms) if len(terms) > 1 else terms[0]
    return add_scaled(x, total, scale, name)


def inception(grid: Grid, name) -> Callable:
    """F: `f(x, order)`, towers and a linear 1x1 convolution to the width of x, `(B, H, W, C)` to `(B, H, W, C)`.

    Its calls share the convolutions of the towers; normalizations and the last 1x1 are each order's own. An order
    above 0 reads what a block put out, and rectifies it first, as the modules do what they put out.
    """
    paths = [f"{name}.branch{tower}.{{}}" for tower in range(len(grid.towers))]
    towers = [
        [(path.format(i), conv_layer(*step, name=f"{path.format(i)}.conv")) for i, step in enumerate(steps)]
        for path, steps in zip(paths, grid.steps, strict=True)
    ]

    def f(x, order=0):
        ends = []
        if order:
            x = relu(x, name=f"{name}.relu{order}")
        for tower in towers:
            y = x
            for path, convolution in tower:
                y = relu(norm(convolution(y), name=f"{path}.bn{order}"), name=f"{path}.relu{order}")
            ends.append(y)
        y = concatenate(ends, name=f"{name}.towers{order}")
        return conv_norm(y, x.shape[-1], at=At(f"{name}.conv2d{order}", f"{name}.bn{order}", ""))

    return f


def poly(x, grid, scale, name, order=2):
    """I + F + ... + F^order: the convolutions of the towers serve every order."""
    f = inception(grid, name)
    return join(x, compositions(x, [bind(f, order=i) for i in range(order)]), scale, name)


def mpoly(x, grid, scale, name, order=2):
    """I + F + GF + ...: every order has convolutions of its own."""
    blocks = [bind(inception(grid, f"{name}.blocks.{i}"), order=i) for i in range(order)]
    return join(x, compositions(x, blocks), scale, name)


def way(x, grid, scale, name, count=2):
    """I + F + G + ...: blocks side by side."""
    return join(x, ways(x, [inception(grid, f"{name}.blocks.{i}") for i in range(count)]), scale, name)


def normalized(x, filters, kernel=1, stride=1, *, name, pad=None):
    """Convolution, batch normalization with Caffe's epsilon, and rectifier."""
    return conv_norm_relu(x, filters, kernel, stride, pad=pad, at=At(f"{name}.conv", f"{name}.bn", f"{name}.relu"))


# Inception-ResNet-v2's, but for the second reduction, which is v1's: 1152 + 384 + 256 + 256 = 2048.
GRIDS = (V2[0], replace(V2[1], reduce=V1[1].reduce), V2[2])


@dataclass(frozen=True)
class PolyNetRecipe(Architecture):
    """Figure 5: Inception-ResNet-v2 with a PolyInception module for each residual one.

    Args:
        modules: of the stages A, B and C, each `module(x, grid, scale, name)`.
        stem: `stem(x)`, before them.
        grids: of 39x39, 19x19 and 9x9 (their depths and scales are not used).
        scales: of the first module's terms and of the last one's, falling linearly in between, as in the released
            network.
        dropout: the share of the averages that training drops.
    """

    modules: tuple[tuple[Callable, ...], ...]
    stem: Callable = bind(stem, convolve=normalized)
    grids: tuple[Grid, ...] = GRIDS
    scales: tuple[float, float] = (1.0, 0.7)
    dropout: float = 0.2

    def features(self, x):  # (B, 331, 331, 3)
        scales = iter(np.linspace(*self.scales, sum(map(len, self.modules))).tolist())
        x = self.stem(x)  # (B, 39, 39, 384)
        for letter, modules, grid in zip("abc", self.modules, self.grids, strict=True):
            for index, module in enumerate(modules):
                x = module(x, grid, next(scales), f"stage_{letter}.{index}")
            if grid.reduce:
                x = reduction(x, grid.reduce, f"reduction_{letter}", normalized)  # (B, 19, 19, 1152), (B, 9, 9, 2048)
        return x  # (B, 9, 9, 2048)

    def classifier(self, x, classes, activation):
        return pool_and_classify(x, classes, activation, self.dropout)


poly_3 = bind(poly, order=3)

# The Very Deep PolyNet of section 4: 10-20-10 modules.
PolyNet = Variant(
    "PolyNet",
    PolyNetRecipe(((way,) * 10, (poly_3, way) * 10, (poly_3, way) * 5)),
    PAPER,
    params=95_366_600,
    macs=34_699_493_472,
    input_shape=(331, 331, 3),
    preprocess=Preprocess(MEAN, STD, size=(331, 331)),  # as those use who converted the released network to Torch
    reported=(
        Reported("top-1 error", 18.71, "ILSVRC-2012 validation, 1 crop of 331x331", "as cited in arXiv:1709.01507"),
        Reported("top-5 error", 4.25, "ILSVRC-2012 validation, 1 crop of 331x331", "abstract"),
        Reported("top-5 error", 3.45, "ILSVRC-2012 validation, several crops", "abstract"),
    ),
)

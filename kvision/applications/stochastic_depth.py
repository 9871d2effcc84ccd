"""Deep Networks with Stochastic Depth: Huang, Sun, Liu, Sedra & Weinberger, ECCV 2016, arXiv:1603.09382.

Equation 2 is `stochastic` (in training, equation 5 in inference), equation 4 `survival`, the shortcut of section 4
`pool_and_pad`; the rows at the foot are the two networks of section 4.
"""

from dataclasses import replace

import keras

from kvision.applications._record import Paper, Reported, Variant
from kvision.applications.resnet import CIFAR, ResNet110, ResNet1202, branch, pad
from kvision.blocks.conv import relu
from kvision.blocks.pool import average_pool
from kvision.blocks.submodel import submodel
from kvision.layers import SkippedBranch, StochasticDepth

PAPER = Paper(
    title="Deep Networks with Stochastic Depth",
    authors=("Gao Huang", "Yu Sun", "Zhuang Liu", "Daniel Sedra", "Kilian Q. Weinberger"),
    venue="ECCV 2016",
    month="2016-03",
    arxiv="1603.09382",
)


def survival(unit, last: float = 0.5) -> float:
    """Equation 4: `1 - l / L (1 - p_L)` for the l-th (from 1) of L units."""
    return 1 - (unit.index + 1) / unit.count * (1 - last)


def stochastic(x, unit, net, last: float = 0.5, per: str = "batch", skip: bool = False, seed: int | None = None):
    """A residual unit whose branch survives a training step by chance: `relu(shortcut + b f(x))`, b a coin.

    Fills `connect` of any residual network: `ResNet50(connect=bind(stochastic, last=0.8))`. Both forms have the same
    weights under the same names.

    Args:
        last: the paper's p_L, the probability that the last branch survives.
        per: "batch", one coin for a whole batch as published, or "sample".
        skip: True does not compute a branch that does not survive, which shortens training by up to a quarter; each
            branch is then a model inside the network. With one coin for a batch only.
        seed: of the first unit's coins; the next units take the next seeds.

    Raises:
        ValueError: `skip` with a coin for each example.
    """
    if skip and per != "batch":
        raise ValueError(f"A batch is skipped as a whole: `skip=True` needs per='batch'. Received: per={per!r}")
    seed = None if seed is None else seed + unit.index
    if skip:
        model = submodel(lambda x: branch(x, unit, net), x, name=f"{unit.name}.branch")
        shortcut = net.shortcut(x, model.output.shape[-1], unit)
        y = SkippedBranch(model, survival(unit, last), seed, name=f"{unit.name}.add")([shortcut, x])
    else:
        y = branch(x, unit, net)
        y = StochasticDepth(survival(unit, last), per, seed, name=f"{unit.name}.depth")(y)
        y = keras.layers.Add(name=f"{unit.name}.add")([net.shortcut(x, y.shape[-1], unit), y])
    return relu(y, name=f"{unit.name}.relu")


def pool_and_pad(x, filters, unit):
    """Section 4: where a unit strides, 2x2 average pooling, and zeros for the channels that are missing."""
    if unit.stride > 1:
        x = average_pool(x, 2, unit.stride, name=f"{unit.name}.subsample")
    return pad(x, filters, replace(unit, stride=1))


def reported(error, data="CIFAR-10"):
    return Reported("test error", error, f"{data}, pad-and-crop and flip", "as printed in the paper's table of results")


# The authors' convolutions have biases, which the batch norms behind them cancel: left out here, as in ResNet-110.
CHANGES = dict(connect=stochastic, shortcut=pool_and_pad)

StochasticDepth110 = Variant(
    "StochasticDepth110",
    replace(ResNet110.architecture, **CHANGES),
    params=1_727_962,
    macs=252_887_680,
    reported=(reported(5.23), reported(24.58, "CIFAR-100")),
    **{**CIFAR, "paper": PAPER},
)
StochasticDepth1202 = Variant(
    "StochasticDepth1202",
    replace(ResNet1202.architecture, **CHANGES),
    params=19_421_274,
    macs=2_829_238_912,
    reported=(reported(4.91),),
    **{**CIFAR, "paper": PAPER},
)

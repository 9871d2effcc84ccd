"""Characterizing signal propagation to close the performance gap in unnormalized ResNets: Brock, De & Smith, ICLR 2021,
arXiv:2101.08692.

Section 3, residual blocks whose variance is known in advance, is `normalizer_free` and `NFResNet.variances`; section
4.2, scaled weight standardisation and activations that keep the variance, is `standardized` and `scaled`. Blocks and
transitions are pre-activation bottlenecks. The NF-RegNets of section 6 are not here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras

from kvision.applications._publishers import MEAN, STD, timm
from kvision.applications._record import Architecture, Paper, Variant
from kvision.blocks.bind import bind
from kvision.blocks.head import pool_and_classify
from kvision.blocks.pool import average_pool
from kvision.blocks.stages import units
from kvision.classifier import Preprocess
from kvision.layers import GammaActivation, ScaledStdConv2D, SkipInit, StochasticDepth
from kvision.layers.gamma_activation import GAMMAS

PAPER = Paper(
    title="Characterizing signal propagation to close the performance gap in unnormalized ResNets",
    authors=("Andrew Brock", "Soham De", "Samuel L. Smith"),
    venue="ICLR 2021",
    month="2021-01",
    arxiv="2101.08692",
)


def scaled(x, scale=1.0, *, name, activation="relu", gamma=None):
    """An activation, times its gamma and `scale`: by one factor. `gamma` is the activation's own by default."""
    gamma = GAMMAS[activation] if gamma is None else gamma
    return GammaActivation(activation, gamma * scale, name=name)(x)


def standardized(
    x, filters, kernel=1, stride=1, *, name, groups=1, gain="ones", gamma=1.0, epsilon=0.0, floor=1e-4, even=False
):
    """A convolution with standardised filters, bias and gain: `(B, H, W, C)` to `(B, ceil(H/s), ceil(W/s), filters)`.

    Args:
        gain: what the gains start from.
        gamma, epsilon, floor: as of `ScaledStdConv2D`.
        even: pads with as many zeros on every side, as Torch; else, with a stride, more at the bottom and right.
    """
    pad = even and stride > 1 and kernel > 1
    if pad:
        x = keras.layers.ZeroPadding2D((kernel - 1) // 2, name=f"{name}.pad")(x)
    return ScaledStdConv2D(
        filters,
        kernel,
        stride,
        padding="valid" if pad else "same",
        groups=groups,
        gamma=gamma,
        epsilon=epsilon,
        floor=floor,
        gain_initializer=gain,
        kernel_initializer=keras.initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal"),
        name=name,
    )(x)


def stem_7x7(x, net, width=64, even=False):
    """7x7 convolution and 3x3 max-pooling, both of stride 2: `(B, H, W, C)` to `(B, H/4, W/4, width)`.

    `even` as of `standardized`, for the pooling.
    """
    x = net.convolve(x, width, 7, 2, name="stem.conv")
    if even:  # nothing is rectified yet: zeros at the border would win over negative values
        x = keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-math.inf)
    return keras.layers.MaxPooling2D(3, 2, padding="valid" if even else "same", name="stem.pool")(x)


def bottleneck(x, unit, net):
    """1x1, 3x3, 1x1: `(B, H, W, C)`, already activated, to `(B, H/stride, W/stride, width)`."""
    inner = unit.width // 4
    y = net.convolve(x, inner, name=f"{unit.name}.conv1")
    y = net.activate(y, name=f"{unit.name}.act2")
    y = net.convolve(y, inner, 3, unit.stride, name=f"{unit.name}.conv2")
    y = net.activate(y, name=f"{unit.name}.act3")
    return net.convolve(y, unit.width, gain=net.last_gain, name=f"{unit.name}.conv3")


def project(x, unit, net):
    """A strided 1x1 convolution, which makes the variance 1."""
    return net.convolve(x, unit.width, 1, unit.stride, name=f"{unit.name}.downsample.conv")


def pooled(x, unit, net):
    """A 1x1 convolution, of 2x2 averages where a unit strides.

    The variance is 1 where neighbours are alike; averages of independent ones have less, which nothing here corrects.
    """
    if unit.stride > 1:
        x = average_pool(x, 2, unit.stride, name=f"{unit.name}.downsample.pool")
    return net.convolve(x, unit.width, name=f"{unit.name}.downsample.conv")


def normalizer_free(x, unit, net):
    """`x + alpha f(beta x)`; where the shape changes, the shortcut starts from the activated and scaled x, too.

    The gate, stochastic depth and the skip gain, in this order, stand at the end of f.
    """
    # The authors' code scales behind the activation, which is the same for ReLU alone.
    activated = net.activate(x, net.betas[unit.index], name=f"{unit.name}.act1")
    y, scale = net.block(activated, unit, net), net.alpha
    if unit.stride > 1 or x.shape[-1] != y.shape[-1]:
        x = net.shortcut(activated, unit, net)
    if net.attend is not None:
        y, scale = net.attend(name=f"{unit.name}.attn_last")(y), scale * net.gate_gain
    if rate := net.drop_path * unit.index / unit.count:
        y = StochasticDepth(1 - rate, "sample", rescale=False, name=f"{unit.name}.drop_path")(y)
    y = SkipInit(scale, name=f"{unit.name}.skipinit")(y) if net.skip_init else y * scale
    return keras.layers.Add(name=f"{unit.name}.add")([x, y])


@dataclass(frozen=True)
class NFResNet(Architecture):
    """A residual network without normalization. Holes (callables) are what later papers change.

    Args:
        depths: units in each stage.
        block: `block(x, unit, net)`, the residual branch of a unit, from its activated input.
        widths: of the stages' outputs.
        stem: `stem(x, net)`, before the stages: it ends in a bare convolution (or its maxima).
        convolve: `convolve(x, filters, kernel, stride, name=, groups=, gain=)`, every convolution.
        activate: `activate(x, scale, name=)`, every activation, times `scale` (1).
        attend: `attend(name=)` makes a layer that gates the branch before the sum; None for none.
        shortcut: `shortcut(x, unit, net)`, of an activated input, where the shape changes.
        alpha: of the branch: what each unit adds to the variance is alpha^2.
        gate_gain: by which a gate's output is multiplied, to keep the variance: a sigmoid starts around 1/2.
        skip_init: the branch ends in a learnable scalar that starts at 0; else the last convolution's gains do.
        drop_path: L, the l-th (from 0) of n branches is dropped, for each example, with probability L l / n.
        last: width of a convolution behind the stages, 0 for none.
        dropout: the share of the averages that training drops before the dense layer.
    """

    depths: tuple[int, ...]
    block: Callable = bottleneck
    widths: tuple[int, ...] = (256, 512, 1024, 2048)
    stem: Callable = stem_7x7
    convolve: Callable = standardized
    activate: Callable = scaled
    attend: Callable | None = None
    shortcut: Callable = project
    alpha: float = 0.2
    gate_gain: float = 2.0
    skip_init: bool = True
    drop_path: float = 0.1
    last: int = 0
    dropout: float = 0.0

    def __post_init__(self):
        if len(self.depths) != len(self.widths) or min(self.depths + self.widths) < 1:
            raise ValueError(
                "An NFResNet has as many `depths` as `widths`, each at least 1. "
                f"Received: depths={self.depths}, widths={self.widths}"
            )
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"`drop_path` is a probability in [0, 1). Received: {self.drop_path}")

    @property
    def variances(self) -> tuple[float, ...]:
        """The variance that every unit's input starts with, if its branch counts and the stem puts out 1 (section 3).

        A unit that changes the shape starts anew: its shortcut is a convolution, of variance 1.
        """
        found = [1.0]
        for depth in self.depths:
            for index in range(depth):
                found.append((1.0 if index == 0 else found[-1]) + self.alpha**2)
        return tuple(found[:-1])

    @property
    def betas(self) -> tuple[float, ...]:
        """What every unit's input is multiplied by, so that its branch sees variance 1. The paper divides by beta."""
        return tuple(variance**-0.5 for variance in self.variances)

    @property
    def last_gain(self) -> str:
        return "ones" if self.skip_init else "zeros"

    def features(self, x):  # (B, H, W, 3)
        x = self.stem(x, self)  # (B, H/4, W/4, 64)
        for unit in units(self.depths, self.widths, "stages.{}.{}", start=0):
            x = normalizer_free(x, unit, self)
        if self.last:
            x = self.convolve(x, self.last, name="final_conv")
        return self.activate(x, name="final_act")  # (B, H/32, W/32, 2048)

    def classifier(self, x, classes, activation):
        return pool_and_classify(x, classes, activation, self.dropout)


# timm's: Torch's padding, averages in the shortcut, epsilon beside the variance; the activations' gamma is in the
# convolutions, the stem's too, and the last activation has none. Its Monte Carlo value for ReLU is 6e-4 too large.
TIMM = dict(
    convolve=bind(standardized, gamma=1.7139588594436646, epsilon=1e-5, floor=0.0, even=True),
    activate=bind(scaled, gamma=1.0),
    stem=bind(stem_7x7, even=True),
    shortcut=pooled,
)
RENAME = (("^head.fc.", "^fc."), (".skipinit_gain$", ".skipinit.gain$"))

# Without a skip gain, as in timm, these have the parameters of the ResNets that they replace: a gain and a bias for
# each filter stand for gamma and beta.
ROW = dict(paper=PAPER, preprocess=Preprocess(MEAN, STD, size=(224, 224), crop_fraction=0.875))


def untrained(name):
    """timm has the network, and no weights for it."""
    return timm(name, TIMM, size=224, crop=0.9, rename=RENAME)


NFResNet26 = Variant(
    "NFResNet26",
    NFResNet((2, 2, 2, 2), skip_init=False),
    params=15_995_176,
    macs=2_342_256_640,
    lineages=(untrained("nf_resnet26"),),
    **ROW,
)
NFResNet50 = Variant(
    "NFResNet50",
    NFResNet((3, 4, 6, 3), skip_init=False),
    params=25_557_032,
    macs=4_089_184_256,
    weights=(timm("nf_resnet50.ra2_in1k", TIMM, 80.64, crop=0.94, rename=RENAME),),
    **ROW,
)
NFResNet101 = Variant(
    "NFResNet101",
    NFResNet((3, 4, 23, 3), skip_init=False),
    params=44_549_160,
    macs=7_801_405_440,
    lineages=(untrained("nf_resnet101"),),
    **ROW,
)

"""Neural Ordinary Differential Equations: Chen, Rubanova, Bettencourt & Duvenaud, NeurIPS 2018, arXiv:1806.07366.

Section 3 and Table 1: the residual network, and the one whose six blocks are a differential equation instead. What the
paper leaves out is as in the authors' example for MNIST.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import keras

from kvision.applications._record import Architecture, Paper, Reported, Variant
from kvision.blocks.bind import bind
from kvision.blocks.conv import relu
from kvision.blocks.head import pool_and_classify
from kvision.blocks.stages import Unit
from kvision.classifier import Preprocess
from kvision.layers import ODEBlock

PAPER = Paper(
    title="Neural Ordinary Differential Equations",
    authors=("Ricky T. Q. Chen", "Yulia Rubanova", "Jesse Bettencourt", "David Duvenaud"),
    venue="NeurIPS 2018",
    month="2018-06",
    arxiv="1806.07366",
)


def start() -> keras.initializers.Initializer:
    """U(-1/sqrt(n), 1/sqrt(n)) for n inputs: what the authors' framework starts convolutions from."""
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def conv(x, filters, kernel=3, stride=1, *, name, pad=0, bias=True):
    if pad:
        x = keras.layers.ZeroPadding2D(pad, name=f"{name}.pad")(x)
    return keras.layers.Conv2D(filters, kernel, stride, use_bias=bias, kernel_initializer=start(), name=name)(x)


def groups(width: int) -> int:
    return math.gcd(32, width)


def norm(x, *, name):
    """Group normalization: a solver evaluates a function, which moving statistics would not be."""
    return keras.layers.GroupNormalization(groups(x.shape[-1]), epsilon=1e-5, name=name)(x)


def norm_relu(x, *, name):
    return relu(norm(x, name=name), name=f"{name}.relu")


def residual(x, unit):
    """A pre-activated block of two 3x3 convolutions; where the shape changes, a 1x1 convolution of the activated x."""
    y = norm_relu(x, name=f"{unit.name}.norm1")
    if unit.stride > 1 or x.shape[-1] != unit.width:
        x = conv(y, unit.width, 1, unit.stride, bias=False, name=f"{unit.name}.downsample")
    y = conv(y, unit.width, 3, unit.stride, pad=1, bias=False, name=f"{unit.name}.conv1")
    y = norm_relu(y, name=f"{unit.name}.norm2")
    y = conv(y, unit.width, pad=1, bias=False, name=f"{unit.name}.conv2")
    return keras.layers.Add(name=f"{unit.name}.add")([x, y])


def convolutions(x, width):
    """`(B, 28, 28, C)` to `(B, 6, 6, width)`, by two 4x4 convolutions of stride 2."""
    x = conv(x, width, name="downsampling.0")
    for place in (1, 4):
        x = norm_relu(x, name=f"downsampling.{place}")
        x = conv(x, width, 4, 2, pad=1, name=f"downsampling.{place + 2}")
    return x


def residuals(x, width):
    """`(B, 28, 28, C)` to `(B, 7, 7, width)`, by two residual blocks of stride 2."""
    x = conv(x, width, name="downsampling.0")
    for place in (1, 2):
        x = residual(x, Unit(f"downsampling.{place}", width, 2, place - 1, 2))
    return x


@keras.saving.register_keras_serializable(package="kvision")
class ConvolutionalDynamics(keras.layers.Layer):
    """dy/dt: two 3x3 convolutions, of y and t as one more channel, between three normalizations.

    Args:
        width: the channels of y.

    Called as `layer(t, y)`, with t a scalar and y `(B, H, W, width)`; gives the shape of y.
    """

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        policy = self.dtype_policy
        self.norms = [
            keras.layers.GroupNormalization(groups(width), epsilon=1e-5, dtype=policy, name=f"norm{place}")
            for place in (1, 2, 3)
        ]
        self.convs = [
            keras.layers.Conv2D(width, 3, padding="same", kernel_initializer=start(), dtype=policy, name=f"conv{place}")
            for place in (1, 2)
        ]

    def build(self, t_shape, y_shape):
        for layer in self.norms:
            layer.build(y_shape)
        for layer in self.convs:
            layer.build((*y_shape[:-1], y_shape[-1] + 1))

    def call(self, t, y):
        time = keras.ops.ones_like(y[..., :1]) * t
        for norm, conv in zip(self.norms, self.convs, strict=False):
            y = conv(keras.ops.concatenate([time, keras.ops.relu(norm(y))], -1))
        return self.norms[-1](y)

    def count_macs(self, input_shape) -> int:
        """Both convolutions, at every pixel."""
        return 2 * math.prod(input_shape[:-1]) * 9 * (self.width + 1) * self.width

    def get_config(self):
        return {**super().get_config(), "width": self.width}


def solved(x, width, **options):
    """The equation; `options` are those of `ODEBlock`."""
    return ODEBlock(ConvolutionalDynamics(width, name="odefunc"), **options, name="ode")(x)


def blocks(x, width, count=6):
    """What the equation stands for: residual blocks."""
    for index in range(count):
        x = residual(x, Unit(f"blocks.{index}", width, 1, index, count))
    return x


@dataclass(frozen=True)
class NeuralODE(Architecture):
    """Downsampling, an equation, and a head.

    Args:
        width: channels.
        downsample: `downsample(x, width)`: `convolutions`, or `residuals`, which are the paper's.
        transform: `transform(x, width)`: `solved`, whose options are `ODEBlock`'s, as `bind(solved, rtol=1e-5)`; or
            `blocks`.
    """

    width: int = 64
    downsample: Callable = convolutions
    transform: Callable = solved

    def features(self, x):  # (B, 28, 28, 1)
        x = self.downsample(x, self.width)  # (B, 6, 6, 64), by residual blocks (B, 7, 7, 64)
        return self.transform(x, self.width)  # the same

    def classifier(self, x, classes, activation):
        return pool_and_classify(norm_relu(x, name="norm"), classes, activation)


def table_1(error):
    return (Reported("test error", error, "MNIST", "Table 1"),)


ROW = dict(
    paper=PAPER,
    input_shape=(28, 28, 1),
    classes=10,
    preprocess=Preprocess(mean=(0.0,), std=(1.0,)),  # pixels in [0, 1]
)

# Multiply-adds are those of one evaluation of the dynamics; a solver at the tolerance of 1e-3 takes about 20.
ODENet = Variant("ODENet", NeuralODE(), params=208_266, macs=16_520_576, reported=table_1(0.42), **ROW)
RKNet = replace(
    ODENet,
    name="RKNet",
    architecture=NeuralODE(transform=bind(solved, adjoint=False)),
    reported=table_1(0.47),
)
ODEResNet = replace(
    ODENet,
    name="ODEResNet",
    architecture=NeuralODE(transform=blocks),
    params=576_778,
    macs=29_750_144,
    reported=table_1(0.41),
)

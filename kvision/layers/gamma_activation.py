"""Activations that keep the variance: Brock, De & Smith, ICLR 2021, arXiv:2101.08692, section 4.2."""

import math
from functools import partial

import keras
from keras import ops

FUNCTIONS = {
    "relu": ops.relu,
    "gelu": partial(ops.gelu, approximate=False),
    "gelu_tanh": partial(ops.gelu, approximate=True),
    "silu": ops.silu,
}
GAMMAS = {
    "relu": math.sqrt(2 / (1 - 1 / math.pi)),  # section 4.2; the others are the authors' code's, by Monte Carlo
    "gelu": 1.7015043497085571,
    "gelu_tanh": 1.7015043497085571,
    "silu": 1.7881293296813965,
}
"""1 / sqrt(Var f(x)) for x of N(0, 1)."""


@keras.saving.register_keras_serializable(package="kvision")
class GammaActivation(keras.layers.Layer):
    """`gamma f(x)`: of variance 1 for x of N(0, 1), but not of mean 0, which the next filters' zero sums take out.

    Args:
        activation: f: "relu", "gelu", "gelu_tanh" (its approximation, JAX's default) or "silu".
        gamma: the factor; None for the activation's own of `GAMMAS`.

    Input and output: `(B, ..., C)`.

    Raises:
        ValueError: another activation.
    """

    def __init__(self, activation="relu", gamma=None, **kwargs):
        super().__init__(**kwargs)
        if activation not in FUNCTIONS:
            raise ValueError(f"`activation` is one of {', '.join(FUNCTIONS)}. Received: activation={activation!r}")
        self.activation = activation
        self.gamma = GAMMAS[activation] if gamma is None else gamma

    def call(self, inputs):
        return FUNCTIONS[self.activation](inputs) * self.gamma

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "activation": self.activation, "gamma": self.gamma}

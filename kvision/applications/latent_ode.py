"""Neural Ordinary Differential Equations: Chen, Rubanova, Bettencourt & Duvenaud, NeurIPS 2018, arXiv:1806.07366.

Section 5 and Figure 6, a generative model of time series. Widths are those of the authors' example on spirals. It reads
series, no images: a Keras model, and no row of the table of networks.
"""

import math
from collections.abc import Sequence

import keras
from keras import ops

from kvision.layers import ODEBlock

SOLVER = {"steps", "solver", "rtol", "atol", "max_steps", "adjoint"}  # arguments that are ODEBlock's


@keras.saving.register_keras_serializable(package="kvision")
class LatentDynamics(keras.layers.Layer):
    """dz/dt: three dense layers, with ELU between them, of z alone. Called as `layer(t, z)`, z and result `(B, D)`."""

    def __init__(self, hidden=20, **kwargs):
        super().__init__(**kwargs)
        self.hidden = hidden

    def build(self, t_shape, z_shape):
        widths = (self.hidden, self.hidden, z_shape[-1])
        self.layers = [
            keras.layers.Dense(width, activation, dtype=self.dtype_policy, name=f"fc{place}")
            for place, (width, activation) in enumerate(zip(widths, ("elu", "elu", None), strict=True), start=1)
        ]
        for layer, width in zip(self.layers, (z_shape[-1], *widths), strict=False):
            layer.build((z_shape[0], width))

    def call(self, t, z):
        for layer in self.layers:
            z = layer(z)
        return z

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden}


@keras.saving.register_keras_serializable(package="kvision")
class LatentODE(keras.Model):
    """A series is the path of a hidden state that an equation moves, seen through a decoder.

    A recurrent network reads the series backwards and gives mean and variance of the state at the first time; a sample
    of it (in training; else the mean) moves along the equation; the decoder reads the states. `fit(series, series)`
    with the loss `negative_log_likelihood` maximizes the evidence's lower bound (Algorithm 2).

    Args:
        times: of the observations, T of them, rising.
        observed: numbers in an observation.
        latent: size of the state.
        hidden: width of the dynamics and of the decoder.
        recurrent: width of the recurrent network.
        noise: standard deviation of an observation.
        seed: of the samples.
        **kwargs: `steps`, `solver`, `rtol`, `atol`, `max_steps` and `adjoint` are `ODEBlock`'s; others `keras.Model`'s.

    Input and output: `(B, T, observed)`. Parameters, by default: 1,654.
    """

    def __init__(
        self, times: Sequence[float], observed=2, latent=4, hidden=20, recurrent=25, noise=0.3, seed=0, **kwargs
    ):
        solver = {key: kwargs.pop(key) for key in SOLVER & set(kwargs)}
        super().__init__(**kwargs)
        self.config = dict(
            times=tuple(map(float, times)),
            observed=observed,
            latent=latent,
            hidden=hidden,
            recurrent=recurrent,
            noise=noise,
            seed=seed,
            **solver,
        )
        self.solver = solver
        self.noise = noise
        self.seeds = keras.random.SeedGenerator(seed)
        self.recognition = keras.layers.SimpleRNN(recurrent, go_backwards=True, name="recognition")
        self.posterior = keras.layers.Dense(2 * latent, dtype="float32", name="posterior")
        self.flow = ODEBlock(
            LatentDynamics(hidden, name="dynamics"), times, return_sequences=True, **solver, name="flow"
        )
        self.decoder = [
            keras.layers.Dense(hidden, "relu", name="decoder1"),
            keras.layers.Dense(observed, dtype="float32", name="decoder2"),
        ]

    def build(self, input_shape):
        batch, length, observed = input_shape
        self.recognition.build(input_shape)
        self.posterior.build((batch, self.recognition.units))
        state = (batch, self.posterior.units // 2)
        self.flow.build(state)
        shape = self.flow.compute_output_shape(state)
        for layer in self.decoder:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def encode(self, series):
        """Mean and logarithm of the variance of the state at the first time: `(B, latent)` each."""
        return ops.split(self.posterior(self.recognition(series)), 2, axis=-1)

    def decode(self, states):
        """`(B, T, latent)` to `(B, T, observed)`."""
        for layer in self.decoder:
            states = layer(states)
        return states

    def call(self, series, training=False):
        state, variance = self.encode(series)
        if training:
            divergence = ops.exp(variance) + ops.square(state) - 1 - variance
            self.add_loss(ops.mean(ops.sum(divergence, axis=-1)) / 2)
            state = state + ops.exp(variance / 2) * keras.random.normal(ops.shape(state), seed=self.seeds)
        return self.decode(self.flow(state))

    def extrapolate(self, series, times: Sequence[float]):
        """What is expected at other times, before, between or after the observed ones: `(B, len(times), observed)`.

        `times` start from that of the first observation, and rise or fall.
        """
        path = ODEBlock(self.flow.dynamics, times, return_sequences=True, **self.solver)
        return self.decode(path(self.encode(series)[0]))

    def negative_log_likelihood(self, series, prediction):
        """Of observations with normal noise, summed over a series: `(B,)`."""
        errors = ops.square((ops.cast(series, prediction.dtype) - prediction) / self.noise)
        return ops.sum(errors + math.log(2 * math.pi * self.noise**2), axis=(1, 2)) / 2

    def get_config(self):
        return {**super().get_config(), **self.config}

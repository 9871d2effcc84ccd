"""Scaled weight standardisation: Brock, De & Smith, ICLR 2021, arXiv:2101.08692, section 4.2."""

import math

import keras
from keras import ops

from kvision.layers.grouped_conv2d import GroupedConv2D
from kvision.layers.pointwise_conv2d import product


@keras.saving.register_keras_serializable(package="kvision")
class ScaledStdConv2D(GroupedConv2D):
    """A convolution whose filters have mean 0 and variance 1/N whatever the weights are: what stands in for batch norm.

    `W_hat = gain gamma (W - mean) / sqrt(N var)`, for each filter, over its N weights (equation 4). Sums of N products
    with independent inputs of mean square 1 then have mean 0 and variance 1. The standardisation is part of the
    forward pass, in float32, and gradients flow through it.

    Args:
        filters, kernel_size, strides, padding: as of `keras.layers.Conv2D`, and so is what `kwargs` takes.
        gamma: a constant factor, for networks that keep the gain of their activations here.
        epsilon: added to the variance of a filter: 1e-5 in timm's networks.
        floor: the least that N var can be: 1e-4 in the authors' code.
        gain_initializer: of the learnable gains, one for each filter.

    Weights: kernel `(kh, kw, C / groups, filters)`, bias and gain `(filters,)`. Input and output: as of Conv2D.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=(1, 1),
        padding="valid",
        gamma=1.0,
        epsilon=0.0,
        floor=1e-4,
        gain_initializer="ones",
        **kwargs,
    ):
        super().__init__(filters, kernel_size, strides, padding, **kwargs)
        self.gamma, self.epsilon, self.floor = gamma, epsilon, floor
        self.gain_initializer = keras.initializers.get(gain_initializer)

    def build(self, input_shape):
        super().build(input_shape)
        self.gain = self.add_weight(name="gain", shape=(self.filters,), initializer=self.gain_initializer)

    def add_weight(self, *args, **kwargs):
        # Rounded to half precision, a filter would have another mean.
        return super().add_weight(*args, **{**kwargs, "autocast": kwargs.get("name") == "bias"})

    def standardize(self, kernel):
        """The filters that are convolved with, in the kernel's precision."""
        size = math.prod(kernel.shape[:-1])
        centered = kernel - ops.mean(kernel, (0, 1, 2))
        variance = ops.mean(ops.square(centered), (0, 1, 2))
        scale = ops.rsqrt(ops.maximum(size * (variance + self.epsilon), self.floor))
        return centered * (self.gamma * self.gain * scale)

    def convolution_op(self, inputs, kernel):
        kernel = ops.cast(self.standardize(kernel), self.compute_dtype)
        plain = self.kernel_size == self.strides == (1, 1) and self.groups == 1 and self.data_format == "channels_last"
        return product(inputs, kernel) if plain else super().convolution_op(inputs, kernel)

    def for_inference(self) -> keras.layers.Conv2D:
        """A convolution with the standardised filters (`inference_weights`, not copied)."""
        config = self.get_config()
        for own in ("gamma", "epsilon", "floor", "gain_initializer"):
            del config[own]
        return (keras.layers.Conv2D if self.groups == 1 else GroupedConv2D).from_config(config)

    def inference_weights(self) -> list:
        """The weights of `for_inference()`: standardised filters and, where there is one, the bias."""
        kept = [self.standardize(self.kernel), *([self.bias] if self.use_bias else [])]
        return [ops.convert_to_numpy(value) for value in kept]

    # Keras's convolutions save and load kernel and bias by name, and nothing else.
    def save_own_variables(self, store):
        super().save_own_variables(store)
        if self.built:
            store["gain"] = self.gain

    def load_own_variables(self, store):
        super().load_own_variables(store)
        if self.built:
            self.gain.assign(store["gain"])

    def get_config(self):
        return {
            **super().get_config(),
            "gamma": self.gamma,
            "epsilon": self.epsilon,
            "floor": self.floor,
            "gain_initializer": keras.initializers.serialize(self.gain_initializer),
        }

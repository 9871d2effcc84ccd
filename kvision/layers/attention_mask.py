"""Activations of attention masks: Wang et al., "Residual Attention Network", CVPR 2017, arXiv:1704.06904.

Equation 4, mixed attention, is a sigmoid. Equations 5 and 6 constrain what the mask attends to.
"""

import keras
from keras import ops

EPSILON = 1e-6  # Added to squares: a pixel or a channel without any signal has no direction.


@keras.saving.register_keras_serializable(package="kvision")
class ChannelMask(keras.layers.Layer):
    """Equation 5, channel attention: each pixel's channels are divided by their L2 norm, `x_ic / ||x_i||`.

    Nothing spatial is left in how strong the mask is: each pixel has length 1. Computed in float32 under every policy.

    Input and output: `(B, ..., C)`.
    """

    def call(self, inputs):
        x = ops.cast(inputs, "float32")
        squares = ops.sum(ops.square(x), axis=-1, keepdims=True)
        return ops.cast(x * ops.rsqrt(squares + EPSILON), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="kvision")
class SpatialMask(keras.layers.Layer):
    """Equation 6, spatial attention: `sigmoid((x_ic - mean_c) / std_c)`, over the pixels of each image and channel.

    Nothing of the channel is left in the mask but where it is strong. Computed in float32 under every policy.

    Input and output: `(B, H, W, C)`.
    """

    def call(self, inputs):
        x = ops.cast(inputs, "float32")
        deviations = x - ops.mean(x, axis=(1, 2), keepdims=True)
        variance = ops.mean(ops.square(deviations), axis=(1, 2), keepdims=True)
        return ops.cast(ops.sigmoid(deviations * ops.rsqrt(variance + EPSILON)), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

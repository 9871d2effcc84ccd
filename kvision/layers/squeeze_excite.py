"""Squeeze-and-Excitation: Hu, Shen, Albanie, Sun & Wu, CVPR 2018, arXiv:1709.01507."""

import math

import keras
from keras import ops


def mean(x, axis, keepdims=False):
    """`ops.mean`, summed in float32 under every policy."""
    if keras.backend.backend() == "tensorflow" and keras.backend.standardize_dtype(x.dtype) == "bfloat16":
        import tensorflow as tf

        if not tf.config.list_physical_devices("GPU"):
            return tf.reduce_mean(x, axis, keepdims)  # does so by itself, without Keras's copy in float32
    return ops.mean(x, axis, keepdims)


@keras.saving.register_keras_serializable(package="kvision")
class SqueezeExcite(keras.layers.Layer):
    """A gate for each channel, from the means of all channels: `y_c = x_c sigmoid(W_2 relu(W_1 z + b_1) + b_2)_c`.

    Squeeze: z_c is the mean of channel c over the image (equation 2). Excitation: two dense layers, the first of C /
    ratio units (equation 3). Scale: a product (equation 4). With all weights zero, the signal is halved.

    Args:
        ratio: r, by which the first dense layer narrows the channels; 16 in the paper (section 6.1).

    Input and output: `(B, H, W, C)`. Parameters: 2 C^2 / r + C / r + C.

    Raises:
        ValueError: `ratio` is not positive, or exceeds C.
    """

    def __init__(self, ratio=16, **kwargs):
        super().__init__(**kwargs)
        if ratio <= 0:
            raise ValueError(f"`ratio` is positive. Received: ratio={ratio}")
        self.ratio = ratio

    def build(self, input_shape):
        channels = input_shape[-1]
        hidden = int(channels // self.ratio)
        if hidden < 1:
            raise ValueError(f"A ratio of {self.ratio} leaves nothing of the {channels} channels of {input_shape}")
        policy = self.dtype_policy
        self.fc1 = keras.layers.Dense(hidden, "relu", kernel_initializer="he_normal", dtype=policy, name="fc1")
        self.fc2 = keras.layers.Dense(channels, dtype=policy, name="fc2")
        self.fc1.build((None, channels))
        self.fc2.build((None, hidden))

    def excite(self, z):
        """`W_2 relu(W_1 z + b_1) + b_2`, before the sigmoid: `(B, C)` to `(B, C)`."""
        return self.fc2(self.fc1(z))

    def call(self, inputs):
        gate = ops.sigmoid(self.excite(mean(inputs, (1, 2))))
        return inputs * gate[:, None, None, :]

    def compute_output_shape(self, input_shape):
        return input_shape

    def count_macs(self, input_shape) -> int:
        """Two dense layers on one pixel; means and products are free."""
        return input_shape[0] * sum(math.prod(layer.kernel.shape) for layer in (self.fc1, self.fc2))

    def get_config(self):
        return {**super().get_config(), "ratio": self.ratio}

"""Convolutional Block Attention Module: Woo, Park, Lee & Kweon, ECCV 2018, arXiv:1807.06521.

Which channels matter is `ChannelGate`, where in the image is `SpatialGate`, and one behind the other is `CBAM`.
"""

import math

import keras
from keras import ops

from kvision.layers.batch_normalization import BatchNormalization
from kvision.layers.squeeze_excite import SqueezeExcite, mean

POOLS = {"avg": mean, "max": ops.max}


@keras.saving.register_keras_serializable(package="kvision")
class ChannelGate(SqueezeExcite):
    """A gate for each channel: `y_c = x_c sigmoid(MLP(avg) + MLP(max))_c` (equation 2 and Figure 2).

    The mean and the largest value of each channel go through the same two dense layers, those of `SqueezeExcite`. The
    means alone give that layer.

    Args:
        ratio: r, by which the first dense layer narrows the channels; 16 in the paper.
        pools: what is pooled over the image, of "avg" and "max" (Table 1).

    Input and output: `(B, H, W, C)`. Parameters: 2 C^2 / r + C / r + C.

    Raises:
        ValueError: `ratio` is not positive, or exceeds C; no pools, or others.
    """

    def __init__(self, ratio=16, pools=("avg", "max"), **kwargs):
        super().__init__(ratio, **kwargs)
        if not pools or not set(pools) <= set(POOLS):
            raise ValueError(f"`pools` are of {tuple(POOLS)}, at least one. Received: pools={pools}")
        self.pools = tuple(pools)

    def call(self, inputs):
        gate = ops.sigmoid(sum(self.excite(POOLS[pool](inputs, (1, 2))) for pool in self.pools))
        return inputs * gate[:, None, None, :]

    def count_macs(self, input_shape) -> int:
        """The two dense layers, once for each pool."""
        return len(self.pools) * super().count_macs(input_shape)

    def get_config(self):
        return {**super().get_config(), "pools": self.pools}


@keras.saving.register_keras_serializable(package="kvision")
class SpatialGate(keras.layers.Layer):
    """A gate for each pixel: `y_ij = x_ij sigmoid(f([avg; max]))_ij` (equation 3 and Figure 2).

    The mean and the largest value over the channels are an image of two channels, which one convolution reads. As in
    the authors' code, that has no bias and is followed by a batch normalization whose gamma starts from zero, so that
    at first every pixel is halved. The paper draws neither.

    Args:
        kernel_size: of the convolution, odd; 7 in the paper, which also tries 3 (Table 2).

    Input and output: `(B, H, W, C)`. Parameters: 2 kernel_size^2 + 2.

    Raises:
        ValueError: a kernel size that is not odd and positive.
    """

    def __init__(self, kernel_size=7, **kwargs):
        super().__init__(**kwargs)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"`kernel_size` is odd and positive. Received: kernel_size={kernel_size}")
        self.kernel_size = kernel_size

    def build(self, input_shape):
        policy = self.dtype_policy
        he = keras.initializers.VarianceScaling(2, "fan_out", "untruncated_normal")  # the authors' code
        self.conv = keras.layers.Conv2D(
            1, self.kernel_size, padding="same", use_bias=False, kernel_initializer=he, dtype=policy, name="conv"
        )
        self.norm = BatchNormalization(0.99, 1e-5, gamma_initializer="zeros", dtype=policy, name="bn")
        self.conv.build((*input_shape[:-1], 2))
        self.norm.build((*input_shape[:-1], 1))

    def call(self, inputs, training=None):
        pooled = ops.concatenate([pool(inputs, -1, keepdims=True) for pool in POOLS.values()], -1)
        return inputs * ops.sigmoid(self.norm(self.conv(pooled), training=training))

    def compute_output_shape(self, input_shape):
        return input_shape

    def count_macs(self, input_shape) -> int:
        """One filter on two channels, at every pixel; normalization and product are free."""
        return math.prod(input_shape[:-1]) * 2 * self.kernel_size**2

    def get_config(self):
        return {**super().get_config(), "kernel_size": self.kernel_size}


@keras.saving.register_keras_serializable(package="kvision")
class CBAM(keras.layers.Layer):
    """A `ChannelGate`, and a `SpatialGate` behind it (equation 1 and Figure 1).

    With all weights zero, the signal is a quarter of the input.

    Args:
        ratio: of the channel gate.
        kernel_size: of the spatial gate.
        spatial_first: the other order, which is worse (Table 3). Either gate is a layer of its own, too.

    Input and output: `(B, H, W, C)`. Parameters: 2 C^2 / ratio + C / ratio + C + 2 kernel_size^2 + 2.

    Raises:
        ValueError: as the gates do.
    """

    def __init__(self, ratio=16, kernel_size=7, spatial_first=False, **kwargs):
        super().__init__(**kwargs)
        self.channel = ChannelGate(ratio, dtype=self.dtype_policy, name="channel")
        self.spatial = SpatialGate(kernel_size, dtype=self.dtype_policy, name="spatial")
        self.spatial_first = spatial_first

    def build(self, input_shape):
        self.channel.build(input_shape)
        self.spatial.build(input_shape)

    def call(self, inputs, training=None):
        if self.spatial_first:
            return self.channel(self.spatial(inputs, training=training))
        return self.spatial(self.channel(inputs), training=training)

    def compute_output_shape(self, input_shape):
        return input_shape

    def count_macs(self, input_shape) -> int:
        """Those of both gates."""
        return self.channel.count_macs(input_shape) + self.spatial.count_macs(input_shape)

    def get_config(self):
        arguments = {"ratio": self.channel.ratio, "kernel_size": self.spatial.kernel_size}
        return {**super().get_config(), **arguments, "spatial_first": self.spatial_first}

"""1x1 convolution and average pooling: the transition layer of DenseNet, arXiv:1608.06993, section 3."""

import math

import keras
from keras import ops

from kvision.layers.pointwise_conv2d import product


@keras.saving.register_keras_serializable(package="kvision")
class PooledConv2D(keras.layers.Conv2D):
    """A 1x1 convolution and the average pooling that follows it, computed the other way round.

    They commute: the mean of products with a matrix is the product with the mean. Pooled first, the product and its
    gradients cost a `pool_size^2`-th. The same weights (kernel `(1, 1, C, filters)`), shapes and values as
    `keras.layers.Conv2D(filters, 1)` and then `keras.layers.AveragePooling2D(pool_size)`, whose multiply-adds are the
    ones that are counted.

    Args:
        filters: of the convolution.
        pool_size: height and width of the windows, which do not overlap; incomplete ones are dropped.
        use_bias: whether the convolution has a bias.

    Input `(B, H, W, C)`, output `(B, H // pool_size, W // pool_size, filters)`.

    Raises:
        ValueError: an activation: with one in between, the order would matter. Put it after the pooling.
    """

    def __init__(self, filters, pool_size=2, use_bias=True, activation=None, **kwargs):
        for fixed in ("kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups"):
            kwargs.pop(fixed, None)  # what get_config wrote
        super().__init__(filters, 1, data_format="channels_last", use_bias=use_bias, activation=activation, **kwargs)
        self.pool_size = int(pool_size)
        if self.activation is not keras.activations.linear:
            raise ValueError(
                "PooledConv2D takes no activation, which would stand between the convolution and the pooling. "
                f"Received: activation={activation!r}"
            )

    def convolution_op(self, inputs, kernel):
        means = ops.average_pool(inputs, self.pool_size, self.pool_size, data_format="channels_last")
        return product(means, kernel)

    def compute_output_shape(self, input_shape):
        batch, *sizes, _ = input_shape
        return (batch, *(size and size // self.pool_size for size in sizes), self.filters)

    def count_macs(self, input_shape) -> int:
        return math.prod(input_shape) * self.filters

    def get_config(self):
        return {**super().get_config(), "pool_size": self.pool_size}

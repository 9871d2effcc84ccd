"""1x1 convolution: Lin, Chen & Yan, "Network In Network", ICLR 2014, arXiv:1312.4400, section 3.1."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class PointwiseConv2D(keras.layers.Conv2D):
    """A 1x1 convolution of stride 1, computed as one matrix product over the pixels.

    `Y(i, j) = W X(i, j)`: the same weights (kernel `(1, 1, C, filters)`), shapes and values as
    `keras.layers.Conv2D(filters, 1)`. Its gradients are matrix products too, which is where it wins on a CPU.

    Input `(B, H, W, C)`, output `(B, H, W, filters)`.
    """

    def __init__(self, filters, use_bias=True, activation=None, **kwargs):
        for fixed in ("kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups"):
            kwargs.pop(fixed, None)  # what get_config wrote
        super().__init__(filters, 1, data_format="channels_last", use_bias=use_bias, activation=activation, **kwargs)

    def convolution_op(self, inputs, kernel):
        return product(inputs, kernel)

    def for_inference(self) -> keras.layers.Conv2D:
        """The same as a `Conv2D` (weights not copied): TensorFlow fuses its bias, addition and ReLU when it serves."""
        return keras.layers.Conv2D.from_config(self.get_config())


def product(inputs, kernel):
    """`(B, H, W, C)` and a kernel `(1, 1, C, filters)` to `(B, H, W, filters)`, by one matrix product."""
    pixels = ops.reshape(inputs, (-1, inputs.shape[-1]))
    products = ops.matmul(pixels, ops.reshape(kernel, kernel.shape[-2:]))
    return ops.reshape(products, (*ops.shape(inputs)[:-1], kernel.shape[-1]))

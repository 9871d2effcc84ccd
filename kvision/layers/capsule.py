"""Capsules and routing by agreement: Sabour, Frosst & Hinton, NIPS 2017, arXiv:1710.09829, sections 2 and 4."""

import math

import keras
from keras import ops

from kvision.layers.routing import length, route, squash
from kvision.layers.strided_conv2d import StridedConv2D


def _check_positive(**sizes):
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"`{name}` is at least 1. Received: {name}={size}")


@keras.saving.register_keras_serializable(package="kvision")
class PrimaryCapsules(keras.layers.Layer):
    """The lowest capsules (section 4): a convolution without rectifier, whose channels are vectors, squashed.

    Args:
        capsules: at each place.
        dimensions: of each capsule.
        kernel_size, strides: of the convolution, which has a bias and no padding.
        kernel_initializer: of its kernel.

    Input `(B, H, W, C)`, output `(B, H' W' capsules, dimensions)`: the capsules of a place lie together.

    Raises:
        ValueError: no capsules, or none of their dimensions.
    """

    def __init__(
        self, capsules=32, dimensions=8, kernel_size=9, strides=2, kernel_initializer="glorot_uniform", **kwargs
    ):
        super().__init__(**kwargs)
        _check_positive(capsules=capsules, dimensions=dimensions)
        self.capsules, self.dimensions = int(capsules), int(dimensions)
        self.conv = StridedConv2D(
            self.capsules * self.dimensions,
            kernel_size,
            strides,
            kernel_initializer=kernel_initializer,
            dtype=self.dtype_policy,
            name="conv",
        )

    def build(self, input_shape):
        self.conv.build(input_shape)

    def call(self, inputs):
        x = self.conv(inputs)
        return squash(ops.reshape(x, (-1, *self._shape(x.shape))))

    def _shape(self, conv_shape):
        height, width = conv_shape[1:3]
        known = height is not None and width is not None
        return (height * width * self.capsules if known else -1, self.dimensions)

    def compute_output_shape(self, input_shape):
        places, dimensions = self._shape(self.conv.compute_output_shape(input_shape))
        return (input_shape[0], None if places == -1 else places, dimensions)

    def count_macs(self, input_shape) -> int:
        batch, height, width, filters = self.conv.compute_output_shape(input_shape)
        return batch * height * width * filters * math.prod(self.conv.kernel.shape[:-1])

    def get_config(self):
        return {
            **super().get_config(),
            "capsules": self.capsules,
            "dimensions": self.dimensions,
            "kernel_size": self.conv.kernel_size,
            "strides": self.conv.strides,
            "kernel_initializer": keras.initializers.serialize(self.conv.kernel_initializer),
        }


@keras.saving.register_keras_serializable(package="kvision")
class Capsule(keras.layers.Layer):
    """Capsules that all lower capsules predict, and that listen to those whose predictions agree (Procedure 1).

    Lower capsule i predicts `u_{j|i} = W_ij u_i`. Each iteration couples it to the capsules j by the softmax over j of
    its logits, sums the predictions so weighted, squashes the sums to `v_j`, and adds the agreement `u_{j|i} . v_j` to
    the logits. Logits start from zero: the first iteration weighs all by 1 / capsules. What the last one would add is
    not computed. Softmax and squashing are in float32.

    Args:
        capsules: number of output capsules, J.
        dimensions: of each, D.
        iterations: of the routing; 3 in the paper.
        stop_gradient: whether gradients take the couplings for constants. The value is the same.
        use_bias: whether to add a bias to the sums, as the authors' code does and the paper does not.
        kernel_initializer: of W, `(I, D_in, J, D)`; None for the authors' normal distribution of deviation 0.1,
            truncated.

    Input `(B, I, D_in)` with known I, output `(B, J, D)`. Parameters: I J D_in D, and J D with bias.

    Raises:
        ValueError: no capsules, neither here nor below, or none of their dimensions; no iterations.
    """

    def __init__(
        self,
        capsules,
        dimensions=16,
        iterations=3,
        stop_gradient=False,
        use_bias=False,
        kernel_initializer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check_positive(capsules=capsules, dimensions=dimensions, iterations=iterations)
        self.capsules, self.dimensions, self.iterations = int(capsules), int(dimensions), int(iterations)
        self.stop_gradient, self.use_bias = bool(stop_gradient), bool(use_bias)
        self.kernel_initializer = keras.initializers.get(
            kernel_initializer or keras.initializers.TruncatedNormal(0.0, 0.1)
        )
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def build(self, input_shape):
        _, below, size = input_shape
        if not below or not size:
            raise ValueError(
                "Capsule has weights for every capsule below: their number and dimensions are known and at least 1. "
                f"Received: an input of shape {tuple(input_shape)}"
            )
        shape = (below, size, self.capsules, self.dimensions)
        self.kernel = self.add_weight(shape, initializer=self.kernel_initializer, name="kernel")
        if self.use_bias:
            start = keras.initializers.Constant(0.1)
            self.bias = self.add_weight((self.capsules, self.dimensions), initializer=start, name="bias")

    def call(self, inputs):
        below, size = self.kernel.shape[:2]
        # One product of matrices for each lower capsule, which meets its weights once for the whole batch.
        kernel = ops.reshape(self.kernel, (below, size, -1))
        predictions = ops.matmul(ops.transpose(inputs, (1, 0, 2)), kernel)
        predictions = ops.reshape(predictions, (below, -1, self.capsules, self.dimensions))
        predictions = ops.transpose(predictions, (1, 2, 0, 3))  # (B, J, I, D), so that the routing is products, too

        bias = self.bias if self.use_bias else ops.zeros((self.capsules, self.dimensions))
        return ops.cast(route(predictions, bias, self.iterations, self.stop_gradient), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.capsules, self.dimensions)

    def count_macs(self, input_shape) -> int:
        """The predictions; then, in each iteration after the first, agreements and sums. Adding equally is free."""
        batch, below, size = input_shape
        return batch * below * self.capsules * self.dimensions * (size + 2 * (self.iterations - 1))

    def get_config(self):
        return {
            **super().get_config(),
            "capsules": self.capsules,
            "dimensions": self.dimensions,
            "iterations": self.iterations,
            "stop_gradient": self.stop_gradient,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@keras.saving.register_keras_serializable(package="kvision")
class CapsuleLength(keras.layers.Layer):
    """The length of each capsule, the probability that what it stands for is present: `(B, J, D)` to `(B, J)`.

    Computed in float32; the gradient of a zero capsule is zero.
    """

    def call(self, inputs):
        return ops.cast(length(ops.cast(inputs, "float32")), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape[:-1]

"""Highway layer: Srivastava, Greff & Schmidhuber, "Highway Networks", arXiv:1505.00387, and NIPS 2015."""

import math

import keras


@keras.saving.register_keras_serializable(package="kvision")
class Highway(keras.layers.Layer):
    """A layer that learns how much of its input to transform and how much to carry: `y = H(x) T(x) + x (1 - T(x))`.

    Equation 3 of "Training Very Deep Networks" (arXiv:1507.06228, section 2): `H(x) = activation(W_H x + b_H)`,
    `T(x) = sigmoid(W_T x + b_T)`. Both are dense over the last axis, or convolutions of the same kernel size, stride 1
    and zeros at the border.

    Args:
        kernel_size: of both convolutions, an integer or a pair; None for a dense layer.
        activation: of H.
        transform_bias: what b_T starts from; a negative value, so that the layer carries its input at first (section
            2.2). The deeper the network, the more so: -1 for 10 layers, -2 for 19 in the authors' code.
        kernel_initializer: of W_H and W_T.

    Input and output: `(B, ..., C)`, with a kernel size `(B, H, W, C)`. The width stays; a plain layer changes it.
    """

    def __init__(
        self, kernel_size=None, activation="relu", transform_bias=-1.0, kernel_initializer="glorot_uniform", **kwargs
    ):
        super().__init__(**kwargs)
        self.kernel_size = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        self.activation = keras.activations.get(activation)
        self.transform_bias = float(transform_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        width = input_shape[-1]
        self.plain = self._affine(width, self.activation, 0.0, "plain")
        self.transform = self._affine(width, "sigmoid", self.transform_bias, "transform")
        self.plain.build(input_shape)
        self.transform.build(input_shape)

    def _affine(self, width, activation, bias, name):
        options = dict(
            activation=activation,
            kernel_initializer=self.kernel_initializer.clone(),  # two draws, not one twice
            bias_initializer=keras.initializers.Constant(bias),
            dtype=self.dtype_policy,
            name=name,
        )
        if self.kernel_size is None:
            return keras.layers.Dense(width, **options)
        return keras.layers.Conv2D(width, self.kernel_size, padding="same", **options)

    def call(self, inputs):
        gate = self.transform(inputs)
        return self.plain(inputs) * gate + inputs * (1 - gate)

    def compute_output_shape(self, input_shape):
        return input_shape

    def count_macs(self, input_shape) -> int:
        """Two affine maps of C to C channels at every pixel; the gating is elementwise and free."""
        return 2 * math.prod(input_shape) * input_shape[-1] * math.prod(self.kernel_size or (1,))

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "activation": keras.activations.serialize(self.activation),
            "transform_bias": self.transform_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }

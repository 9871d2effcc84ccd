"""Trainable subsampling: LeCun, Bottou, Bengio & Haffner, Proc. IEEE 86(11), 1998, sections II-A and II-B."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class TrainableSubsampling(keras.layers.Layer):
    """Sums over windows, times one coefficient, plus one bias for each map: a pooling that learns how hard it squashes.

    `y_c = f(a_c * sum(window of x_c) + b_c)`. Windows do not overlap; rows and columns that fill none are left out.

    Args:
        pool_size: height and width of a window; one integer for both.
        activation: f, the squashing function; None for none.
        coefficient_initializer: of a; None for 1 over the values in a window, which makes the sum an average.
        bias_initializer: of b.

    Input `(B, H, W, C)`, output `(B, floor(H / h), floor(W / w), C)`; 2 C parameters.

    Raises:
        ValueError: a window below 1.
    """

    def __init__(self, pool_size=2, activation=None, coefficient_initializer=None, bias_initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.pool_size = (pool_size, pool_size) if isinstance(pool_size, int) else tuple(pool_size)
        if len(self.pool_size) != 2 or min(self.pool_size) < 1:
            raise ValueError(f"`pool_size` is one or two integers of at least 1. Received: pool_size={pool_size}")
        self.activation = keras.activations.get(activation)
        self.coefficient_initializer = keras.initializers.get(coefficient_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape):
        average = keras.initializers.Constant(1 / self._window)
        self.coefficient = self.add_weight(
            (input_shape[-1],), initializer=self.coefficient_initializer or average, name="coefficient"
        )
        self.bias = self.add_weight((input_shape[-1],), initializer=self.bias_initializer, name="bias")

    def call(self, inputs):
        means = ops.average_pool(inputs, self.pool_size, self.pool_size, data_format="channels_last")
        return self.activation(means * (self._window * self.coefficient) + self.bias)

    @property
    def _window(self) -> int:
        return self.pool_size[0] * self.pool_size[1]

    def compute_output_shape(self, input_shape):
        batch, *sizes, channels = input_shape
        sizes = [size and size // pool for size, pool in zip(sizes, self.pool_size, strict=True)]
        return (batch, *sizes, channels)

    def get_config(self):
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "activation": keras.activations.serialize(self.activation),
            "coefficient_initializer": keras.initializers.serialize(self.coefficient_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }

"""Dense layers on tokens: Dosovitskiy et al., ICLR 2021, arXiv:2010.11929, Figure 1."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class TokenDense(keras.layers.Dense):
    """A dense layer computed as one matrix product over all tokens: the same weights and values as Keras's.

    Product, bias and GELU are the operations that TensorFlow makes one of when it serves, which is where it wins on a
    CPU. Training takes GELU (exact, by the error function) in float32 under every policy: bfloat16 has no error
    function of its own.

    Input `(B, ..., C)`, output `(B, ..., units)`.
    """

    def call(self, inputs, training=None):
        x = ops.matmul(ops.reshape(inputs, (-1, inputs.shape[-1])), self.kernel)
        if self.bias is not None:
            x = _add(x, self.bias)
        if self.activation is keras.activations.gelu and training:
            x = ops.cast(self.activation(ops.cast(x, "float32")), x.dtype)
        else:
            x = self.activation(x)
        return ops.reshape(x, (*ops.shape(inputs)[:-1], self.units))


@keras.saving.register_keras_serializable(package="kvision")
def gelu_tanh(x):
    """GELU's approximation by tanh, JAX's default."""
    return ops.gelu(x, approximate=True)


def _add(x, bias):
    """On TensorFlow not by `+`, whose gradient is a slow sum."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.nn.bias_add(x, bias)
    return x + bias

"""Layer Normalization: Ba, Kiros & Hinton, 2016, arXiv:1607.06450."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class LayerNormalization(keras.layers.LayerNormalization):
    """`gamma (x - mean) / sqrt(variance + epsilon) + beta`, of each token over its channels (equation 4).

    The same weights and values as Keras's layer, computed in float32 under every policy. Over the last axis the
    differences from the mean are worked out once, which takes fewer passes over memory on a CPU.

    Args:
        epsilon: 1e-6, as transformers have it; Keras's is 1e-3.
        axis, center, scale, ...: as in `keras.layers.LayerNormalization`.

    Input and output: `(B, ..., C)`.
    """

    def __init__(self, axis=-1, epsilon=1e-6, **kwargs):
        super().__init__(axis=axis, epsilon=epsilon, **kwargs)

    def call(self, inputs):
        if self.rms_scaling or self.axis not in (-1, [-1], len(inputs.shape) - 1, [len(inputs.shape) - 1]):
            return super().call(inputs)
        x = ops.cast(inputs, "float32")
        x = x - ops.mean(x, axis=-1, keepdims=True)
        x = x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + self.epsilon)
        x = x if self.gamma is None else x * ops.cast(self.gamma, "float32")
        x = x if self.beta is None else x + ops.cast(self.beta, "float32")
        return ops.cast(x, self.compute_dtype)

"""Local Response Normalization: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 3.3."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class LRN(keras.layers.Layer):
    """Each value is divided by its neighbours in the channels: `b_i = a_i / (k + alpha sum_j a_j^2)^beta`.

    The sum goes over the `size` channels around channel i that exist. `alpha` is the paper's: Torch and Caffe divide
    theirs by `size`, so that their alpha of 1e-4 is 2e-5 here. Computed in float32 under every policy.

    Args:
        size: the paper's n, odd: how many channels are summed over.
        k, alpha, beta: as in the equation.

    Input and output: `(B, ..., C)`.

    Raises:
        ValueError: a size that is not odd and positive.
    """

    def __init__(self, size=5, k=2.0, alpha=1e-4, beta=0.75, **kwargs):
        super().__init__(**kwargs)
        if size < 1 or size % 2 == 0:
            raise ValueError(f"`size` is odd and positive: as many channels on both sides. Received: {size}")
        self.size, self.k, self.alpha, self.beta = int(size), float(k), float(alpha), float(beta)

    def call(self, inputs):
        x, half = ops.cast(inputs, "float32"), self.size // 2
        if keras.backend.backend() == "tensorflow" and len(inputs.shape) == 4:
            import tensorflow as tf

            y = tf.nn.local_response_normalization(x, half, self.k, self.alpha, self.beta)
        else:
            squares = ops.pad(ops.square(x), [(0, 0)] * (len(x.shape) - 1) + [(half, half)])
            sums = sum(squares[..., shift : shift + x.shape[-1]] for shift in range(self.size))
            y = x * ops.power(self.k + self.alpha * sums, -self.beta)
        return ops.cast(y, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        arguments = {"size": self.size, "k": self.k, "alpha": self.alpha, "beta": self.beta}
        return {**super().get_config(), **arguments}

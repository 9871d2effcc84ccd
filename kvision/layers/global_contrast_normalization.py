"""Global contrast normalization: Coates, Lee & Ng, AISTATS 2011, "An Analysis of Single-Layer Networks in Unsupervised
Feature Learning", section 3.1.1, in the form that maxout networks and Network In Network were trained with on CIFAR."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class GlobalContrastNormalization(keras.layers.Layer):
    """Each image loses its mean and is divided by what remains: `scale (x - mean) / sqrt(bias + sum (x - mean)^2)`.

    Mean and sum are over all pixels and channels of an image. Worked out in float32 under every policy.

    Args:
        scale: the Euclidean length of each result, without a bias. Goodfellow et al. 2013 (arXiv:1302.4389) take 55
            for CIFAR-10.
        bias: added below the root, so that images of little contrast stay so.
        epsilon: where the root is below, an image is not divided: one of a single colour becomes 0.

    Input and output `(B, H, W, C)`; the input in any range.

    Raises:
        ValueError: a scale or epsilon that is not positive, or a negative bias.
    """

    def __init__(self, scale=1.0, bias=0.0, epsilon=1e-8, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.scale, self.bias, self.epsilon = float(scale), float(bias), float(epsilon)
        if self.scale <= 0 or self.bias < 0 or self.epsilon <= 0:
            raise ValueError(
                "`scale` and `epsilon` are positive, and `bias` is not negative. "
                f"Received: scale={scale}, bias={bias}, epsilon={epsilon}"
            )
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, inputs):
        x = ops.cast(inputs, "float32")
        x = x - ops.mean(x, axis=(1, 2, 3), keepdims=True)
        length = ops.sqrt(self.bias + ops.sum(x * x, axis=(1, 2, 3), keepdims=True))
        return ops.cast(self.scale * x / ops.where(length < self.epsilon, 1.0, length), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "scale": self.scale, "bias": self.bias, "epsilon": self.epsilon}

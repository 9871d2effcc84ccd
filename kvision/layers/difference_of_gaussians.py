"""Difference of Gaussians: "Conorm" in Cireşan, Meier, Masci & Schmidhuber, IJCNN 2011."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class DifferenceOfGaussians(keras.layers.Layer):
    """What a narrow blur keeps and a wide one loses: edges. Each channel is filtered for itself.

    Both Gaussians sum to one, and the border is mirrored: a constant image becomes 0, and a range of width r lies
    within [-r, r]. In float32 under every policy.

    Args:
        size: of the filter, odd; the paper's is 5.
        sigma, surround: standard deviations of the narrow and the wide Gaussian, in pixels. The paper does not give
            them.

    Input and output: `(B, H, W, C)`.

    Raises:
        ValueError: a size that is not odd and positive, or a surround not wider than the centre.
    """

    def __init__(self, size=5, sigma=0.5, surround=1.0, **kwargs):
        super().__init__(autocast=False, **kwargs)
        if size < 1 or size % 2 == 0 or not 0 < sigma < surround:
            raise ValueError(
                "`size` is odd and positive, and `surround` wider than `sigma`, which is positive. "
                f"Received: size={size}, sigma={sigma}, surround={surround}"
            )
        self.size, self.sigma, self.surround = size, float(sigma), float(surround)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, inputs):
        half = self.size // 2
        x = ops.cast(inputs, "float32")
        x = ops.pad(x, ((0, 0), (half, half), (half, half), (0, 0)), mode="symmetric")
        kernel = _gaussian(self.size, self.sigma) - _gaussian(self.size, self.surround)
        kernel = np.tile(kernel[..., None, None], (1, 1, x.shape[-1], 1)).astype("float32")
        return ops.cast(ops.depthwise_conv(x, kernel, data_format="channels_last"), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "size": self.size, "sigma": self.sigma, "surround": self.surround}


def _gaussian(size, sigma):
    """A filter `(size, size)` that sums to one."""
    line = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * sigma**2))
    return np.outer(line, line) / line.sum() ** 2

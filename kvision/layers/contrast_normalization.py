"""Contrast normalization across maps: Zeiler & Fergus, ECCV 2014, arXiv:1311.2901, Figure 3."""

import keras
from keras import ops

from kvision.layers.lrn import LRN


@keras.saving.register_keras_serializable(package="kvision")
class ContrastNormalization(LRN):
    """LRN of deviations: `b_i = a_i / (k + alpha sum_j (a_j - m_i)^2)^beta`, where m_i is the mean of the same a_j.

    Both go over the `size` channels around channel i that exist: where they all agree, nothing stands out, however
    large they are. `alpha` multiplies the sum, as in `LRN`, whose constants these are. Computed in float32 under every
    policy.

    The paper says "contrast normalized across feature maps" and prints neither a formula nor constants. This is the
    `cnorm` of Krizhevsky's cuda-convnet, over channels where that goes over the pixels of one map, and with one mean
    for each sum, where that takes every neighbour's deviation from the mean around the neighbour.

    Args:
        size: odd: how many channels are summed over.
        k, alpha, beta: as in the equation.

    Input and output: `(B, ..., C)`.

    Raises:
        ValueError: a size that is not odd and positive.
    """

    def call(self, inputs):
        x = ops.cast(inputs, "float32")
        values, exist = self._neighbours(x), self._neighbours(ops.ones(x.shape[-1:]))
        means = sum(values) / sum(exist)
        # Not by the sum of squares minus the square of the sum: where neighbours agree, the difference loses digits.
        sums = sum(exists * ops.square(value - means) for value, exists in zip(values, exist, strict=True))
        return ops.cast(x * ops.power(self.k + self.alpha * sums, -self.beta), self.compute_dtype)

    def _neighbours(self, x) -> list:
        """For each place in the window, the value that each channel has there; 0 beyond the first and last channel."""
        half = self.size // 2
        padded = ops.pad(x, [(0, 0)] * (len(x.shape) - 1) + [(half, half)])
        return [padded[..., shift : shift + x.shape[-1]] for shift in range(self.size)]

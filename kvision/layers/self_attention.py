"""Self-attention: Vaswani et al., NIPS 2017, arXiv:1706.03762, as in Dosovitskiy et al., arXiv:2010.11929."""

import math

import keras
from keras import ops

from kvision.layers.token_dense import TokenDense


@keras.saving.register_keras_serializable(package="kvision")
class MultiHeadSelfAttention(keras.layers.Layer):
    """Every token becomes, in each head, a weighted mean of all (appendix A of arXiv:2010.11929, equations 5 to 8).

    `[q, k, v] = z U_qkv` are `heads` parts of width D / heads each; `A = softmax(q k^T / sqrt(D / heads))`, in float32
    under every policy; the means `A v` of all heads, side by side, times `U_msa` are the output. Both products have
    biases, and U_qkv is one matrix: the dense layers `qkv` and `proj`.

    Each of U_q, U_k, U_v and U_msa starts from Xavier's uniform distribution, as in the authors' code, biases from 0.

    Args:
        heads: their number, the paper's k. It divides D.

    Input and output: `(B, N, D)`. Called with `attention=True` it gives A instead, `(B, heads, N, N)` in float32, whose
    rows sum to 1. Parameters: 4 D (D + 1).

    Raises:
        ValueError: heads that do not divide D.
    """

    def __init__(self, heads, **kwargs):
        super().__init__(**kwargs)
        self.heads = int(heads)
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def build(self, input_shape):
        width = input_shape[-1]
        if self.heads < 1 or width % self.heads:
            raise ValueError(f"The heads divide the width of the tokens. Received: heads={self.heads}, width {width}")
        # sqrt(3 / D), the limit of each of the three matrices; Xavier's for all of U_qkv would be smaller.
        each = keras.initializers.VarianceScaling(1.0, "fan_in", "uniform")
        self.qkv = TokenDense(3 * width, kernel_initializer=each, dtype=self.dtype_policy, name="qkv")
        self.proj = TokenDense(width, dtype=self.dtype_policy, name="proj")
        self.qkv.build(input_shape)
        self.proj.build(input_shape)

    def call(self, inputs, attention=False):
        size = self.qkv.units // 3 // self.heads
        # Three pieces and not slices of one tensor: the gradient of slices is slow.
        q, k, v = (
            ops.reshape(part, (-1, ops.shape(inputs)[1], self.heads, size))
            for part in ops.split(self.qkv(inputs), 3, axis=-1)
        )
        q, k, v = ops.transpose(q, (0, 2, 1, 3)), ops.transpose(k, (0, 2, 3, 1)), ops.transpose(v, (0, 2, 1, 3))
        scores = ops.softmax(ops.cast(ops.matmul(q * (1 / math.sqrt(size)), k), "float32"), axis=-1)
        if attention:
            return scores
        means = ops.transpose(ops.matmul(ops.cast(scores, v.dtype), v), (0, 2, 1, 3))  # (B, N, heads, size)
        return self.proj(ops.reshape(means, ops.shape(inputs)))

    def compute_output_spec(self, inputs, attention=False):
        batch, tokens, _ = inputs.shape
        if attention:
            return keras.KerasTensor((batch, self.heads, tokens, tokens), dtype="float32")
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def count_macs(self, input_shape) -> int:
        """The projections, and the products `q k^T` and `A v` of all heads."""
        batch, tokens, width = input_shape
        return batch * tokens * width * (4 * width + 2 * tokens)

    def get_config(self):
        return {**super().get_config(), "heads": self.heads}

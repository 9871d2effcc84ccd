import keras
import numpy as np
import pytest

from kvision.evaluation import count_macs
from kvision.layers import MultiHeadSelfAttention

RANDOM = np.random.default_rng(0)


def tokens(*shape) -> np.ndarray:
    return RANDOM.normal(size=shape).astype("float32")


def by_hand(z, heads, u_qkv, b_qkv, u_msa, b_msa):
    """Equations 5 to 8, one head after the other, and the attention of each."""
    width = z.shape[-1]
    size, found, maps = width // heads, [], []
    for head in range(heads):
        q, k, v = (
            z @ u_qkv[:, start : start + size] + b_qkv[start : start + size]
            for start in (part * width + head * size for part in range(3))
        )
        exponentials = np.exp(q @ k.transpose(0, 2, 1) / np.sqrt(size))
        maps.append(exponentials / exponentials.sum(-1, keepdims=True))
        found.append(maps[-1] @ v)
    return np.concatenate(found, -1) @ u_msa + b_msa, np.stack(maps, 1)


def test_each_head_by_hand():
    layer, z = MultiHeadSelfAttention(3), tokens(2, 5, 12)
    layer.build(z.shape)
    weights = [tokens(*variable.shape) for variable in layer.weights]
    layer.set_weights(weights)
    outputs, maps = by_hand(z, 3, *weights)
    np.testing.assert_allclose(layer(z), outputs, atol=1e-4)
    np.testing.assert_allclose(layer(z, attention=True), maps, atol=1e-5)
    assert layer.count_params() == 4 * 12 * 13


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_rows_of_attention_sum_to_one(policy):
    """In float32 under every policy, also where one token takes all."""
    keras.config.set_dtype_policy(policy)
    attention = MultiHeadSelfAttention(2)(100 * tokens(2, 50, 8), attention=True)
    assert attention.shape == (2, 2, 50, 50) and attention.dtype == "float32"
    np.testing.assert_allclose(np.sum(attention, -1), 1, atol=1e-6)


def test_permuted_tokens_give_permuted_outputs():
    layer, z, order = MultiHeadSelfAttention(2), tokens(2, 6, 4), RANDOM.permutation(6)
    np.testing.assert_allclose(layer(z[:, order]), np.array(layer(z))[:, order], atol=1e-6)


def test_queries_keys_and_values_start_from_xaviers_limit_each():
    layer = MultiHeadSelfAttention(4)
    layer.build((None, 5, 64))
    limit = np.sqrt(6 / (64 + 64))
    for kernel in (*np.split(np.array(layer.qkv.kernel), 3, axis=1), np.array(layer.proj.kernel)):
        assert 0.98 * limit < np.abs(kernel).max() <= limit


def test_both_products_of_attention_are_counted():
    inputs = keras.Input((5, 12))
    projections, products = 5 * 12 * 4 * 12, 2 * 5 * 5 * 12
    assert count_macs(keras.Model(inputs, MultiHeadSelfAttention(3)(inputs))) == projections + products


def test_heads_that_do_not_divide_the_width():
    with pytest.raises(ValueError, match="heads=5, width 12"):
        MultiHeadSelfAttention(5)(tokens(1, 2, 12))

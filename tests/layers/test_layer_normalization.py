import keras
import numpy as np
import pytest

from kvision.layers import LayerNormalization

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("arguments", [{}, dict(axis=(1, 2)), dict(center=False), dict(scale=False)])
def test_equals_kerass(arguments):
    x = RANDOM.normal(1, 2, (2, 5, 8)).astype("float32")
    mine, other = LayerNormalization(**arguments), keras.layers.LayerNormalization(epsilon=1e-6, **arguments)
    mine.build(x.shape)
    other.build(x.shape)
    weights = [RANDOM.normal(size=variable.shape) for variable in mine.weights]
    mine.set_weights(weights)
    other.set_weights(weights)
    np.testing.assert_allclose(mine(x), other(x), atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_statistics_are_float32_under_mixed_precision(policy):
    """1000 squared is beyond float16: tokens of two values become -1 and 1."""
    keras.config.set_dtype_policy(policy)
    x = np.float32([[[-1000, 1000, -1000, 1000], [1, 3, 1, 3]]])
    np.testing.assert_allclose(np.float32(LayerNormalization()(x)), [[[-1, 1, -1, 1]] * 2], atol=1e-2)

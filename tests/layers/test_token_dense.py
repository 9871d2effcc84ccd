import math

import keras
import numpy as np
import pytest

from kvision.layers import TokenDense

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(3, 4), (2, 5, 4), (2, 3, 5, 4)])
@pytest.mark.parametrize("arguments", [dict(activation="gelu"), dict(use_bias=False, activation="relu")])
def test_equals_kerass(shape, arguments):
    mine, other = TokenDense(6, **arguments), keras.layers.Dense(6, **arguments)
    x = RANDOM.normal(size=shape).astype("float32")
    mine.build(shape)
    other.build(shape)
    weights = [RANDOM.normal(size=variable.shape) for variable in mine.weights]
    mine.set_weights(weights)
    other.set_weights(weights)
    for training in (False, True):
        np.testing.assert_allclose(mine(x, training=training), other(x), atol=1e-5)


def normal_distribution(x):
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


@pytest.mark.parametrize("training", [False, True])
def test_gelu_is_exact(training):
    """x Phi(x), whose approximation by tanh is off by up to 5e-4."""
    layer = TokenDense(1, "gelu", kernel_initializer="ones")
    x = np.float32([[-3], [-1], [0], [0.5], [2.3]])
    expected = [[v * normal_distribution(v)] for v in x[:, 0]]
    np.testing.assert_allclose(layer(x, training=training), expected, atol=1e-6)


def test_training_in_bfloat16_takes_gelu_in_float32():
    """Every answer is the one nearest to the exact value."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    layer = TokenDense(1, "gelu", kernel_initializer="ones")
    x = np.arange(-384, 384, dtype="float32")[:, None] / 128  # bfloat16 holds them exactly
    x = np.array(keras.ops.cast(keras.ops.cast(x, "bfloat16"), "float32"))
    expected = keras.ops.cast(np.float32([[v * normal_distribution(v)] for v in x[:, 0]]), "bfloat16")
    np.testing.assert_allclose(np.float32(layer(x, training=True)), np.float32(expected), rtol=2**-7, atol=1e-6)

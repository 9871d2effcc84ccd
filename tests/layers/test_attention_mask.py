import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.layers import ChannelMask, SpatialMask

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(2.0, 3.0, size=(2, 4, 5, 6)).astype("float32")


def test_equation_5():
    """Each pixel is divided by its length, and so has length 1 afterwards, however strong it was."""
    y = np.array(ChannelMask()(X))
    np.testing.assert_allclose(y, X / np.linalg.norm(X, axis=-1, keepdims=True), atol=1e-6)
    strength = RANDOM.uniform(0.5, 2, size=(2, 4, 5, 1)).astype("float32")
    np.testing.assert_allclose(ChannelMask()(X * strength), y, atol=1e-6)
    np.testing.assert_allclose(ChannelMask()(np.array([[3.0, -4.0]])), [[0.6, -0.8]], atol=1e-6)


def test_equation_6():
    """Each channel of each image is standardized before the sigmoid: its scale and offset do not matter."""
    y = np.array(SpatialMask()(X))
    z = (X - X.mean((1, 2), keepdims=True)) / X.std((1, 2), keepdims=True)
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-z)), atol=1e-6)
    scale, offset = RANDOM.uniform(0.5, 2, size=(2, 1, 1, 6)), RANDOM.normal(size=(2, 1, 1, 6))
    np.testing.assert_allclose(SpatialMask()((X * scale + offset).astype("float32")), y, atol=1e-5)
    two = np.array([-7.0, 1.0]).reshape(1, 1, 2, 1)  # whichever two values: one deviation below the mean, one above
    np.testing.assert_allclose(np.ravel(SpatialMask()(two)), 1 / (1 + np.exp([1, -1])), atol=1e-6)


@pytest.mark.parametrize(("layer", "silent"), [(ChannelMask, 0.0), (SpatialMask, 0.5)])
def test_nothing_to_attend_to(layer, silent):
    """Without any signal there is a value, and a finite gradient."""
    x = tf.zeros((1, 3, 3, 2))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer()(x)
    np.testing.assert_array_equal(y, np.full((1, 3, 3, 2), silent))
    assert np.isfinite(tape.gradient(y, x)).all()


@pytest.mark.parametrize("layer", [ChannelMask, SpatialMask])
def test_squares_do_not_overflow(layer):
    """1,000 squared is beyond float16."""
    keras.config.set_dtype_policy("mixed_float16")
    y = layer()(1000 * X)
    assert y.dtype == "float16"
    np.testing.assert_allclose(np.float32(y), layer(dtype="float32")(X), atol=2e-3)

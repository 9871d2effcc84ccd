"""Dropout: Srivastava et al., JMLR 15, 2014, whose p is the probability to keep; Keras's rate is 1 - p."""

import itertools

import keras
import numpy as np
import pytest

from kvision.blocks.head import dense_relu, pool


@pytest.mark.parametrize("p", [0.5, 0.8, 1.0])
def test_dropout_in_linear_regression_is_ridge_regression(p):
    """Section 9.1: E|y - (M*X)w|^2 = |y - p Xw|^2 + p (1 - p) |Gamma w|^2, over all 64 masks of a 3x2 design."""
    X = np.array([[1.0, -2.0], [0.5, 3.0], [-1.5, 0.25]])
    y, w = np.array([1.0, -1.0, 2.0]), np.array([0.7, -0.4])
    expected = 0.0
    for bits in itertools.product((0, 1), repeat=X.size):
        mask = np.reshape(bits, X.shape)
        probability = p ** mask.sum() * (1 - p) ** (X.size - mask.sum())
        expected += probability * np.sum((y - (mask * X) @ w) ** 2)
    gamma = np.diag(np.sqrt(np.diag(X.T @ X)))
    ridge = np.sum((y - p * X @ w) ** 2) + p * (1 - p) * np.sum((gamma @ w) ** 2)
    assert ridge == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("p", [0.5, 0.8])
def test_keras_dropout_is_the_mask_over_p(p):
    """In training 0 or x / p, the latter with probability p; nothing in inference, where the paper scales by p."""
    x = np.linspace(1, 2, 10_000, dtype="float32").reshape(100, 100)
    layer = keras.layers.Dropout(1 - p, seed=7)
    y = np.array(layer(x, training=True))
    kept = y != 0
    np.testing.assert_allclose(y[kept], x[kept] / p, rtol=1e-6)
    assert abs(kept.sum() - p * x.size) < 4 * np.sqrt(p * (1 - p) * x.size)  # four deviations of a binomial
    np.testing.assert_array_equal(layer(x, training=False), x)


def test_dense_relu_takes_the_share_that_is_dropped():
    inputs = keras.Input((20,))
    model = keras.Model(inputs, dense_relu(inputs, 1000, name="fc", dropout=0.2, bias=1.0))
    assert [layer.name for layer in model.layers[1:]] == ["fc", "fc.drop"] and model.layers[-1].rate == 0.2
    x = np.random.default_rng(0).normal(size=(1, 20)).astype("float32")
    kernel = np.array(model.get_layer("fc").kernel)
    assert (np.array(model.get_layer("fc").bias) == 1).all()
    hidden = np.maximum(x @ kernel + 1, 0)
    np.testing.assert_allclose(model(x), hidden, rtol=1e-5)
    trained = np.array(model(x, training=True))
    kept = trained != 0
    np.testing.assert_allclose(trained[kept], hidden[kept] / 0.8, rtol=1e-5)
    assert 0.7 < kept.mean() < 0.9


@pytest.mark.parametrize("shape", [(2, 6, 4), (2, 2, 3, 4)])
def test_pools_pixels_and_tokens(shape):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    inputs = keras.Input(shape[1:])
    model = keras.Model(inputs, [pool(inputs, "avg"), pool(inputs, "max")])
    mean, maximum = model(x)
    np.testing.assert_allclose(mean, x.reshape(2, 6, 4).mean(axis=1), atol=1e-6)
    np.testing.assert_array_equal(maximum, x.reshape(2, 6, 4).max(axis=1))

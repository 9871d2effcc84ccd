import keras
import numpy as np
import pytest

from kvision.evaluation import count_macs
from kvision.layers import Highway

X = np.random.default_rng(0).normal(size=(2, 5, 7, 4)).astype("float32")


def built(**arguments):
    layer = Highway(**arguments)
    layer.build(X.shape)
    return layer


@pytest.mark.parametrize("kernel_size", [None, 3])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_gate_mixes_input_and_transform(kernel_size, activation):
    layer = built(kernel_size=kernel_size, activation=activation)
    plain = np.asarray(layer.plain(X))
    for bias, expected in [(-1e9, X), (1e9, plain)]:
        layer.transform.bias.assign(np.full(4, bias))
        np.testing.assert_array_equal(layer(X), expected)
    layer.transform.bias.assign(np.zeros(4))
    layer.transform.kernel.assign(np.zeros(layer.transform.kernel.shape))
    np.testing.assert_allclose(layer(X), (plain + X) / 2, atol=1e-6)


def test_values_by_hand():
    """H = relu(2 - 2 + 1) = 1 and relu(0 + 6) = 6; T = sigmoid(0) = 1/2 and sigmoid(ln 3) = 3/4."""
    layer = Highway()
    layer.build((1, 2))
    layer.plain.kernel.assign([[2.0, 0.0], [-1.0, 3.0]])
    layer.plain.bias.assign([1.0, 0.0])
    layer.transform.kernel.assign(np.zeros((2, 2)))
    layer.transform.bias.assign([0.0, np.log(3)])
    np.testing.assert_allclose(layer(np.array([[1.0, 2.0]])), [[0.5 * 1 + 0.5 * 1, 0.75 * 6 + 0.25 * 2]], rtol=1e-6)


def test_a_convolution_of_size_1_is_the_dense_layer():
    dense, conv = built(), built(kernel_size=1)
    conv.set_weights([w.reshape(v.shape) for w, v in zip(dense.get_weights(), conv.weights, strict=True)])
    np.testing.assert_allclose(conv(X), dense(X), atol=1e-6)


def test_starts_from_the_bias_and_two_kernels():
    layer = built(kernel_size=3, transform_bias=-2)
    np.testing.assert_array_equal(layer.transform.bias, np.full(4, -2.0))
    assert not np.asarray(layer.plain.bias).any()
    assert not np.array_equal(layer.plain.kernel, layer.transform.kernel)


@pytest.mark.parametrize(("kernel_size", "shape", "macs"), [(None, (4,), 32), (3, (5, 7, 4), 2 * 35 * 9 * 16)])
def test_macs_are_two_affine_maps(kernel_size, shape, macs):
    inputs = keras.Input(shape)
    assert count_macs(keras.Model(inputs, Highway(kernel_size)(inputs))) == macs

import keras
import numpy as np
import pytest

from kvision.evaluation import count_macs
from kvision.layers import SqueezeExcite
from kvision.layers.squeeze_excite import mean

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 3, 5, 8)).astype("float32")


def test_equations_2_to_4_by_hand():
    layer = SqueezeExcite(ratio=4)
    layer.build(X.shape)
    for weight in layer.weights:
        weight.assign(RANDOM.normal(size=weight.shape))
    w1, b1, w2, b2 = layer.get_weights()
    z = X.mean((1, 2))
    s = 1 / (1 + np.exp(-(np.maximum(z @ w1 + b1, 0) @ w2 + b2)))
    np.testing.assert_allclose(layer(X), X * s[:, None, None, :], atol=1e-6)
    assert (w1.shape, w2.shape) == ((8, 2), (2, 8))


def test_zero_weights_halve_the_signal():
    layer = SqueezeExcite(ratio=4)
    layer.build(X.shape)
    layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    np.testing.assert_array_equal(layer(X), X / 2)


def test_a_gate_sees_the_whole_image_and_no_other():
    layer = SqueezeExcite(ratio=4)
    gates = np.array(layer(X)) / X
    np.testing.assert_allclose(gates, np.broadcast_to(gates[:, :1, :1], gates.shape), rtol=1e-4)
    other = X.copy()
    other[0, 2, 4] += 1
    changed = np.array(layer(other)) / other
    assert np.abs(changed[0] - gates[0]).max() > 1e-3
    np.testing.assert_allclose(changed[1], gates[1], rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_means_are_summed_in_float32(dtype):
    """Sums of ones end at 256 in bfloat16, and at 2048 in float16."""
    x = keras.ops.ones((2, 64, 64, 3), dtype)
    means = mean(x, (1, 2))
    assert keras.backend.standardize_dtype(means.dtype) == dtype
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(keras.ops.cast(means, "float32")), 1)


def test_counts():
    model = keras.Sequential([keras.Input((14, 14, 256)), SqueezeExcite(name="gate")])
    assert model.count_params() == 2 * 256 * 16 + 16 + 256
    assert count_macs(model) == 2 * 256 * 16


@pytest.mark.parametrize(("ratio", "message"), [(0, "positive"), (16, "leaves nothing of the 8 channels")])
def test_errors(ratio, message):
    with pytest.raises(ValueError, match=message):
        SqueezeExcite(ratio=ratio)(X)

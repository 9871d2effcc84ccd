import keras
import numpy as np
import pytest

from kvision.evaluation import count_macs
from kvision.layers import DropConnect

V = np.array([[1.0, 2.0]], "float32")


def built(**arguments):
    layer = DropConnect(1, **arguments)
    layer.build((None, 2))
    layer.kernel.assign([[3.0], [-1.0]])
    layer.bias.assign([1.0])
    return layer


def outcomes(rate):
    """All eight masks of (3 * 1, -1 * 2, bias 1): values and probabilities."""
    masks = np.array(np.meshgrid(*[[0, 1]] * 3)).reshape(3, -1)
    kept = masks.sum(0)
    return np.array([3.0, -2.0, 1.0]) @ masks, (1 - rate) ** kept * rate ** (3 - kept)


@pytest.mark.parametrize("rate", [0.5, 0.2])
def test_training_draws_a_mask_for_every_example(rate):
    layer = built(rate=rate, activation=None, seed=0)
    y = np.asarray(layer(np.repeat(V, 20_000, 0), training=True))
    values, probabilities = outcomes(rate)
    for value in np.unique(values):
        assert np.mean(y == value) == pytest.approx(probabilities[values == value].sum(), abs=0.015)


@pytest.mark.parametrize("rate", [0.5, 0.2])
def test_inference_has_the_moments_of_the_masked_sum(rate):
    """Enumerated over all masks: the mean, and the mean of the rectified Gaussian of the same variance."""
    values, probabilities = outcomes(rate)
    mean = values @ probabilities
    deviation = np.sqrt(values**2 @ probabilities - mean**2)
    np.testing.assert_allclose(built(rate=rate, activation=None)(V), [[mean]], rtol=1e-5)
    draws = np.maximum(np.random.default_rng(0).normal(mean, deviation, 1_000_000), 0).mean()
    np.testing.assert_allclose(built(rate=rate)(V), [[draws]], atol=0.01)


def test_rectified_mean_by_hand():
    """rate 1/2: mean (3 - 2 + 1) / 2 = 1, variance (9 + 4 + 1) / 4 = 3.5; Phi(0.5345) = 0.70350, phi = 0.34584."""
    np.testing.assert_allclose(built()(V), [[1 * 0.70350 + np.sqrt(3.5) * 0.34584]], atol=1e-4)


def test_rate_0_is_a_dense_layer():
    layer = DropConnect(5, rate=0.0)
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    layer.build(x.shape)
    dense = keras.layers.Dense(5, "relu")
    dense.build(x.shape)
    dense.set_weights(layer.get_weights())
    for training in (False, True):
        np.testing.assert_allclose(layer(x, training=training), dense(x), atol=1e-5)


def test_macs_are_those_of_two_moments():
    inputs = keras.Input((4,))
    for activation, macs in (("relu", 40), (None, 20)):
        assert count_macs(keras.Model(inputs, DropConnect(5, activation=activation)(inputs))) == macs


def test_bad_arguments_are_errors():
    with pytest.raises(ValueError, match="probability in"):
        DropConnect(3, rate=1.0)
    with pytest.raises(ValueError, match="'relu' or None"):
        DropConnect(3, activation="tanh")
    with pytest.raises(ValueError, match=r"shape \(B, C\)"):
        DropConnect(3)(np.zeros((1, 2, 3)))

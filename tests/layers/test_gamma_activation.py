import numpy as np
import pytest

from kvision.layers import GammaActivation
from kvision.layers.gamma_activation import FUNCTIONS, GAMMAS


def test_the_gamma_of_relu_by_hand():
    """E relu(x)^2 = 1/2, and E relu(x) = 1 / sqrt(2 pi): the variance is (1 - 1 / pi) / 2."""
    assert GAMMAS["relu"] == pytest.approx((1 / 2 - 1 / (2 * np.pi)) ** -0.5) == pytest.approx(1.7128586, abs=1e-7)


@pytest.mark.parametrize("activation", FUNCTIONS)
def test_gammas_make_the_variance_1(activation):
    """By quadrature over N(0, 1); the authors' constants are Monte Carlo's, within 1e-3."""
    x = np.linspace(-12, 12, 200_001)
    weights = np.exp(-(x**2) / 2)
    y = np.array(GammaActivation(activation)(x.astype("float32"))).astype("float64")
    mean = np.average(y, weights=weights)
    assert np.average((y - mean) ** 2, weights=weights) ** -0.5 == pytest.approx(1, rel=1e-3)


def test_the_approximation_is_close_to_gelu():
    x = np.linspace(-5, 5, 101).astype("float32")
    exact, approximate = (np.array(GammaActivation(name, 1.0)(x)) for name in ("gelu", "gelu_tanh"))
    assert 1e-4 < np.abs(exact - approximate).max() < 1e-3


def test_another_factor():
    np.testing.assert_allclose(GammaActivation("relu", 0.5)(np.float32([-2, 4])), [0, 2])


def test_unknown_activations_are_an_error():
    with pytest.raises(ValueError, match="`activation` is one of relu, gelu, gelu_tanh, silu. Received: .*'tanh'"):
        GammaActivation("tanh")

"""Initialization of rectifiers: He et al., arXiv:1502.01852, section 2.2, and what it says of Xavier's."""

import itertools

import keras
import numpy as np
import pytest

from kvision.blocks.bind import bind
from kvision.blocks.conv import he

DEPTH = 30


def test_gaussian_of_the_papers_deviation():
    """sqrt(2 / (9 * 64)), and not cut off at two deviations as Keras's HeNormal."""
    kernel = np.array(he("fan_in")((3, 3, 64, 128)))
    assert np.std(kernel) == pytest.approx(0.0589256, rel=0.01)
    assert np.abs(kernel).max() > 3.5 * 0.0589256


@pytest.mark.parametrize("slope", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("fan", ["fan_in", "fan_out"])
def test_every_layers_factor_is_1(fan, slope):
    """Equations 10, 14 and 15: (1 + a^2) n Var[w] / 2 = 1, with n = k^2 inputs forward and k^2 filters backward."""
    for kernel, inputs, filters in [(3, 16, 64), (5, 32, 16), (1, 64, 128)]:
        n = kernel**2 * (inputs if fan == "fan_in" else filters)
        variance = np.var(he(fan, slope)((kernel, kernel, inputs, filters)))
        assert (1 + slope**2) * n * variance / 2 == pytest.approx(1, rel=0.07)


def growth(initializer, widths, slope=0.0, networks=40):
    """How the second moments of responses y and of gradients dE/dy change from end to end, mean of some networks.

    A single network strays: the logarithm of its factor has a variance of about 5 / width for each layer.
    """
    random, factors = np.random.default_rng(0), []
    for _ in range(networks):
        kernels = [np.array(initializer()(shape)) for shape in itertools.pairwise(widths)]
        responses = [random.normal(size=(8, widths[0]))]
        for kernel in kernels:
            y = responses[-1]
            responses.append(np.where(y > 0, y, slope * y) @ kernel)
        top = gradient = random.normal(size=(8, widths[-1]))
        for kernel, y in zip(reversed(kernels), reversed(responses[:-1]), strict=True):
            gradient = gradient @ kernel.T * np.where(y > 0, 1, slope)
        moments = [np.mean(x**2) for x in (responses[-1], responses[0], gradient, top)]
        factors.append((moments[0] / moments[1], moments[2] / moments[3]))
    return np.mean(factors, 0)


@pytest.mark.parametrize("slope", [0.0, 0.25])
@pytest.mark.parametrize(("fan", "forward", "backward"), [("fan_in", 1, 1 / 4), ("fan_out", 4, 1)])
def test_thirty_layers_keep_the_variance(fan, slope, forward, backward):
    """Each form keeps the variance in its own direction; in the other, only the end widths matter: c_2 / d_L."""
    widths = np.linspace(256, 64, DEPTH + 1).astype(int)
    measured = growth(bind(he, fan=fan, slope=slope), widths, slope)
    assert (np.abs(np.log2(measured / [forward, backward])) < 1).all()


def test_xaviers_variance_halves_in_every_layer():
    """Derived for linear units: the 30 layers of Figure 3 do not learn from it."""
    measured = growth(keras.initializers.GlorotUniform, (128,) * (DEPTH + 1))
    assert (np.abs(np.log2(measured) + DEPTH) < 1).all()

import math

import numpy as np
import pytest

from kvision.layers import DifferenceOfGaussians


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_constant_becomes_0_up_to_the_border(size):
    y = np.asarray(DifferenceOfGaussians(size)(np.full((1, 6, 7, 3), 200.0, "float32")))
    np.testing.assert_allclose(y, 0, atol=1e-4)


def test_a_point_by_hand():
    """Each Gaussian is exp(-d^2 / 2 sigma^2), over the square of its line's sum."""
    x = np.zeros((1, 9, 9, 1), "float32")
    x[0, 4, 4] = 1
    y = np.asarray(DifferenceOfGaussians(5, 1.0, 2.0)(x))[0, :, :, 0]
    narrow = 1 + 2 * math.exp(-1 / 2) + 2 * math.exp(-2)
    wide = 1 + 2 * math.exp(-1 / 8) + 2 * math.exp(-1 / 2)
    assert y[4, 4] == pytest.approx(narrow**-2 - wide**-2, rel=1e-4)
    assert y[4, 6] == y[2, 4] == pytest.approx(math.exp(-2) / narrow**2 - math.exp(-1 / 2) / wide**2, rel=1e-4)
    assert not y[:2].any() and not y[:, 7:].any() and abs(y.sum()) < 1e-6


def test_an_edge_is_enhanced_and_flat_parts_are_not():
    x = np.zeros((1, 12, 12, 2), "float32")
    x[:, :, 6:, 0] = 1
    y = np.asarray(DifferenceOfGaussians()(x))[0]
    np.testing.assert_allclose(y[:, [0, 1, 2, 3, 8, 9, 10, 11]], 0, atol=1e-6)
    assert (y[:, 6, 0] > 0.05).all() and (y[:, 5, 0] < -0.05).all() and not y[..., 1].any()


@pytest.mark.parametrize("arguments", [dict(size=4), dict(size=-1), dict(sigma=2.0), dict(sigma=0)])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match="`size` is odd and positive"):
        DifferenceOfGaussians(**arguments)

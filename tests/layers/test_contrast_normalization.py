import keras
import numpy as np
import pytest

from kvision.layers import LRN, ContrastNormalization


def test_by_hand():
    """Channels 1, 4, 7, each with its neighbours: means 2.5, 4, 5.5; squared deviations add up to 4.5, 18, 4.5."""
    x = np.array([[1, 4, 7]], "float32")
    layer = ContrastNormalization(size=3, k=0.5, alpha=1.0, beta=1.0)
    np.testing.assert_allclose(layer(x), [[1 / 5, 4 / 18.5, 7 / 5]], rtol=1e-6)
    # All five places see all three channels, two of them none else: mean 4 everywhere.
    wide = ContrastNormalization(k=0.5, alpha=1.0, beta=0.5)
    np.testing.assert_allclose(wide(x), x / 18.5**0.5, rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 300.0, 1e6])
def test_where_the_maps_agree_nothing_is_normalized(value):
    """LRN would make large values small; here they have no deviation, at the first and last channels neither."""
    y = ContrastNormalization(alpha=1.0)(np.full((1, 2, 2, 8), value, "float32"))
    np.testing.assert_allclose(y, np.full((1, 2, 2, 8), value / 2**0.75), rtol=1e-6)


def test_a_common_shift_leaves_the_divisor():
    """Deviations do not see what is added to all maps."""
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 8)).astype("float32")
    layer = ContrastNormalization(alpha=0.5)
    np.testing.assert_allclose((x + 7) / layer(x + 7), x / layer(x), rtol=1e-5)


def test_is_lrn_where_the_means_are_zero():
    """Windows of three over the period (-1, 0, 1) add up to 0, but for the two cut off at the ends."""
    x = np.tile(np.array([-1, 0, 1], "float32"), 4)[None]
    arguments = dict(size=3, k=1.0, alpha=0.5, beta=0.75)
    ours, lrn = (np.array(layer(**arguments)(x)) for layer in (ContrastNormalization, LRN))
    np.testing.assert_allclose(ours[:, 1:-1], lrn[:, 1:-1], rtol=1e-6)
    # Without deviations, in windows of one channel, or without alpha, only the constant is left.
    for layer in (ContrastNormalization(size=1, alpha=1.0), ContrastNormalization(alpha=0.0)):
        np.testing.assert_allclose(layer(x), x / 2**0.75, rtol=1e-6)


def test_as_written_in_the_docstring():
    x = np.random.default_rng(0).normal(2, 3, size=(2, 3, 9))
    expected = np.empty_like(x)
    for i in range(9):
        window = x[..., max(i - 2, 0) : i + 3]
        deviations = ((window - window.mean(-1, keepdims=True)) ** 2).sum(-1)
        expected[..., i] = x[..., i] / (2 + 0.3 * deviations) ** 0.75
    np.testing.assert_allclose(ContrastNormalization(alpha=0.3)(x.astype("float32")), expected, rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_squares_are_float32_under_mixed_precision(policy):
    """The mean of the window is 1200, whose square is beyond float16."""
    keras.config.set_dtype_policy(policy)
    x = np.array([[3000, 0, 3000, 0, 0]], "float32")
    y = np.float32(ContrastNormalization(alpha=1e-4)(x))[0, 2]
    assert y == pytest.approx(3000 / (2 + 1e-4 * (2 * 1800**2 + 3 * 1200**2)) ** 0.75, rel=1e-2)


@pytest.mark.parametrize("size", [0, 4])
def test_bad_size(size):
    with pytest.raises(ValueError, match="`size` is odd and positive"):
        ContrastNormalization(size)

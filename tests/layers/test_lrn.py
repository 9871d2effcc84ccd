import keras
import numpy as np
import pytest

from kvision.layers import LRN


@pytest.mark.parametrize("shape", [(1, 1, 1, 8), (1, 8)], ids=["TensorFlow's kernel", "keras.ops"])
def test_by_hand(shape):
    ones = np.array(LRN()(np.ones(shape, "float32"))).ravel()
    np.testing.assert_allclose(ones[:3], [0.5945367, 0.5945144, 0.5944921], atol=1e-7)
    counts = np.array(LRN(alpha=1.0)(np.arange(1, 9, dtype="float32").reshape(shape))).ravel()
    expected = [0.125, 0.1486509, 0.1446156, 0.1346540, 0.1248618, 0.1163256, 0.1448650, 0.1857194]
    np.testing.assert_allclose(counts, expected, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_squares_are_float32_under_mixed_precision(policy):
    """300 squared is beyond float16."""
    keras.config.set_dtype_policy(policy)
    x = np.full((1, 2, 2, 8), 300.0, "float32")
    expected = 300 / (2 + 1e-4 * 5 * 300**2) ** 0.75
    assert np.float32(LRN()(x))[0, 0, 0, 4] == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("size", [0, 4])
def test_bad_size(size):
    with pytest.raises(ValueError, match="`size` is odd and positive"):
        LRN(size)

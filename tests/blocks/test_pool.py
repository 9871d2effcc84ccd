import keras
import numpy as np
import pytest

from kvision.blocks.pool import max_pool


@pytest.mark.parametrize("length", [5, 6, 7, 8, 13, 27, 55, 56])
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("ceil", [False, True])
def test_caffes_windows(length, size, ceil):
    """Window n covers n stride to n stride + size, cut off at the border."""
    x = np.random.default_rng(0).uniform(0, 1, (1, length, length, 2)).astype("float32")
    inputs = keras.Input(x.shape[1:])
    y = np.array(keras.Model(inputs, max_pool(inputs, size, 2, name="pool", ceil=ceil))(x))[0]
    count = (-(-(length - size) // 2) if ceil else (length - size) // 2) + 1
    starts = [2 * i for i in range(count)]
    expected = [[x[0, i : i + size, j : j + size].max((0, 1)) for j in starts] for i in starts]
    np.testing.assert_array_equal(y, expected)

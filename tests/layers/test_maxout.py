import keras
import numpy as np
import pytest

from kvision.layers import Maxout


def test_is_the_maximum_of_consecutive_channels():
    x = np.array([[1.0, 5.0, -3.0, -2.0, 0.0, 4.0]], "float32")
    np.testing.assert_array_equal(Maxout(2)(x), [[5, -2, 4]])
    np.testing.assert_array_equal(Maxout(3)(x), [[5, 4]])
    np.testing.assert_array_equal(Maxout(1)(x), x)


def test_pieces_x_and_minus_x_give_the_absolute_value():
    """Figure 1 of the paper: maxout units make the rectifier and the absolute value."""
    dense = keras.layers.Dense(4, use_bias=False)
    dense.build((None, 1))
    dense.kernel.assign([[1.0, -1.0, 1.0, 0.0]])
    x = np.array([[-2.0], [3.0]], "float32")
    np.testing.assert_array_equal(Maxout(2)(dense(x)), [[2, 0], [3, 3]])


def test_bad_pieces_are_errors():
    with pytest.raises(ValueError, match="at least 1"):
        Maxout(0)
    with pytest.raises(ValueError, match="3 `pieces` do not divide the 4 channels"):
        Maxout(3)(np.zeros((1, 4)))

import keras
import numpy as np
import pytest

from kvision.layers import TrainableSubsampling

X = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype("float32")


def test_by_hand():
    """Four inputs are added, multiplied by the map's coefficient, added to its bias, and squashed."""
    layer = TrainableSubsampling(activation="tanh")
    layer.build((None, 4, 4, 2))
    layer.set_weights([np.array([0.5, -0.1]), np.array([0.25, 1.0])])
    x = np.arange(32, dtype="float32").reshape(1, 4, 4, 2) / 32
    y = np.array(layer(x))
    assert y.shape == (1, 2, 2, 2)
    # The first window of map 0 has 0, 2, 8 and 10 (of 32): 0.5 * 20 / 32 + 0.25; of map 1, 1, 3, 9 and 11.
    np.testing.assert_allclose(y[0, 0, 0], np.tanh([0.5625, 1 - 0.1 * 24 / 32]), rtol=1e-6)
    np.testing.assert_allclose(y[0, 1, 1], np.tanh([0.5 * 100 / 32 + 0.25, 1 - 0.1 * 104 / 32]), rtol=1e-6)


def test_starts_as_average_pooling():
    for size in (2, (2, 3)):
        np.testing.assert_allclose(TrainableSubsampling(size)(X), keras.layers.AveragePooling2D(size)(X), atol=1e-6)


def test_two_parameters_a_map():
    layer = TrainableSubsampling()
    layer.build((None, None, None, 6))
    assert layer.count_params() == 12


@pytest.mark.parametrize("size", [0, (2, 0), (2, 2, 2)])
def test_bad_windows_are_an_error(size):
    with pytest.raises(ValueError, match="`pool_size` is one or two integers of at least 1"):
        TrainableSubsampling(size)

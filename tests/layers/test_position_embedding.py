import keras
import numpy as np
import pytest

from kvision.layers import ClassToken, PositionEmbedding

RANDOM = np.random.default_rng(0)


def built(grid, tokens, width=2):
    layer = PositionEmbedding(grid)
    layer.build((None, tokens, width))
    return layer


def test_the_class_token_comes_first():
    layer, x = ClassToken(), RANDOM.normal(size=(3, 4, 5)).astype("float32")
    y = np.array(layer(x))
    assert not y[:, 0].any()
    np.testing.assert_array_equal(y[:, 1:], x)
    layer.set_weights([np.arange(5.0).reshape(1, 1, 5)])
    np.testing.assert_array_equal(np.array(layer(x))[:, 0], [[0, 1, 2, 3, 4]] * 3)


def test_every_place_has_its_vector():
    layer, x = built((2, 3), 7), RANDOM.normal(size=(3, 7, 2)).astype("float32")
    np.testing.assert_allclose(np.array(layer(x)) - x, np.repeat(layer.embedding, 3, 0), atol=1e-6)


def test_resampled_by_hand():
    """2x2 to 3x3 and to 1 + 2x3: corners stay, others lie between; the class token's vector stays."""
    values = np.array([[0, 2], [4, 10]], "float32")
    array = np.stack([values, -values], -1).reshape(1, 4, 2)
    found = built((3, 3), 9).resampled(array)
    np.testing.assert_allclose(found[0, :, 0].reshape(3, 3), [[0, 1, 2], [2, 4, 6], [4, 7, 10]])
    np.testing.assert_array_equal(found[..., 1], -found[..., 0])
    found = built((2, 3), 7).resampled(np.concatenate([[[[7, 8]]], array], axis=1))
    np.testing.assert_allclose(found[0, :, 0], [7, 0, 1, 2, 4, 7, 10])


def test_the_same_grid_and_a_constant_one_stay():
    layer, array = built((4, 4), 17), RANDOM.normal(size=(1, 17, 2))
    np.testing.assert_allclose(layer.resampled(array), array)
    np.testing.assert_allclose(built((7, 5), 36).resampled(np.full((1, 17, 2), 3.0)), np.full((1, 36, 2), 3.0))


@pytest.mark.parametrize("shape", [(1, 8, 2), (1, 1, 2), (1, 10, 3), (10, 2)])
def test_what_is_no_square_grid_is_given_back(shape):
    array = np.zeros(shape)
    assert built((2, 2), 5).resampled(array) is array


@pytest.mark.parametrize("tokens", [None, 3])
def test_too_few_tokens(tokens):
    with pytest.raises(ValueError, match="known and at least that of the 2 x 2 places"):
        PositionEmbedding((2, 2))(keras.Input((tokens, 4)))

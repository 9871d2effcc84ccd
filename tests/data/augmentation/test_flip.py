import numpy as np
import pytest

from kvision.data import RandomFlip

BATCH = np.random.default_rng(0).integers(0, 256, (9, 8, 10, 3))


def test_flip_mirrors_each_image_with_the_probability():
    np.testing.assert_array_equal(RandomFlip(0)(BATCH, seed=(0, 0)), BATCH)
    np.testing.assert_array_equal(RandomFlip(1)(BATCH, seed=(0, 0)), BATCH[:, :, ::-1])
    many = np.tile([[[0], [1]]], (4000, 1, 1, 1))
    for probability in (0.5, 0.2):
        flipped = np.mean(RandomFlip(probability)(many, seed=(0, 1))[:, 0, 0] == 1)
        assert abs(flipped - probability) < 4 * np.sqrt(probability * (1 - probability) / 4000)
    mixed = RandomFlip()(BATCH, seed=(0, 2)).numpy()
    which = (mixed == BATCH[:, :, ::-1]).all((1, 2, 3))
    assert 0 < which.sum() < len(BATCH)
    np.testing.assert_array_equal(mixed[~which], BATCH[~which])


def test_a_probability_is_one():
    with pytest.raises(ValueError, match=r"probability must be in \[0, 1\], got 1.5"):
        RandomFlip(1.5)

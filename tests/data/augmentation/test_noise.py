import math

import numpy as np
import pytest

from kvision.data import VicinityNoise


def test_noise_is_normal_and_every_value_has_its_own():
    shape, deviation = (500, 20, 20, 3), 2.0
    noise = VicinityNoise(deviation)(np.zeros(shape, "float32"), seed=(0, 0)).numpy() / deviation
    values, count = np.sort(noise.ravel()), noise.size
    assert abs(values.mean()) < 4 / np.sqrt(count)
    assert abs(values.var() - 1) < 4 * np.sqrt(2 / count)
    for limit in (1.0, 2.0, 3.0, 4.0):
        beyond = math.erfc(limit / math.sqrt(2))
        assert abs(np.mean(np.abs(values) > limit) - beyond) < 4 * np.sqrt(beyond / count)
    for axis in range(4):
        neighbours = np.mean(noise * np.roll(noise, 1, axis))
        assert abs(neighbours) < 4 / np.sqrt(count)


def test_integers_are_rounded_and_clipped():
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3))
    floats = VicinityNoise(20.0)(images.astype("float32"), seed=(0, 1)).numpy()
    integers = VicinityNoise(20.0)(images.astype("uint8"), seed=(0, 1)).numpy()
    assert floats.min() < -1 and floats.max() > 256
    np.testing.assert_array_equal(integers, np.clip(np.round(floats), 0, 255))


def test_without_deviation_nothing_changes():
    images = np.random.default_rng(0).uniform(0, 255, (2, 3, 4, 1)).astype("float32")
    np.testing.assert_array_equal(VicinityNoise(0.0)(images, seed=(0, 0)), images)


def test_a_negative_deviation_is_named():
    with pytest.raises(ValueError, match="deviation must be 0 or more, got -1"):
        VicinityNoise(-1)

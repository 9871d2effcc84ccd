import math

import numpy as np
import pytest
import tensorflow as tf

from kvision.data import RandomElastic

SEED = tf.constant([3, 5], tf.int64)


@pytest.mark.parametrize(("alpha", "sigma"), [(34.0, 4.0), (10.0, 2.0)])
def test_shifts_are_normal_smooth_and_the_same_everywhere(alpha, sigma):
    """Deviation alpha / (2 sqrt(3 pi) sigma); the correlation at a distance d is exp(-d^2 / (4 sigma^2))."""
    count = 3000
    fields = np.stack(RandomElastic(alpha, sigma).draw(tf.zeros((count, 9, 12, 1)), SEED))
    assert fields.shape == (2, count, 9, 12)
    deviation = alpha / (2 * math.sqrt(3 * math.pi) * sigma)
    for row, column in [(0, 0), (0, 6), (4, 5), (8, 11)]:
        here = fields[:, :, row, column]
        assert np.abs(here.mean(1)).max() < 4 * deviation / math.sqrt(count)
        assert np.abs(here.std(1) / deviation - 1).max() < 4 / math.sqrt(2 * count)
        assert abs((np.abs(here) < deviation).mean() - 0.6827) < 4 * math.sqrt(0.22 / (2 * count))
    for other, distance in [((0, 4), 4), ((3, 4), 5), ((8, 0), 8)]:
        found = np.corrcoef(fields[:, :, 0, 0].ravel(), fields[(slice(None), slice(None), *other)].ravel())[0, 1]
        expected = math.exp(-(distance**2) / (4 * sigma**2))
        assert abs(found - expected) < 4 * (1 - expected**2) / math.sqrt(2 * count) + 1e-3
    assert abs(np.corrcoef(fields[0].ravel(), fields[1].ravel())[0, 1]) < 4 / math.sqrt(count)


def test_pixels_come_from_where_the_field_says():
    layer = RandomElastic(20, 3)
    ramps = np.stack(np.mgrid[:29, :29], -1)[None].repeat(4, 0).astype("float32")  # row and column
    right, down = layer.draw(tf.constant(ramps), SEED)
    shown = layer(ramps, seed=SEED).numpy()
    inside = (slice(None), slice(8, 21), slice(8, 21))
    np.testing.assert_allclose((shown - ramps)[..., 0][inside], down.numpy()[inside], atol=1e-3)
    np.testing.assert_allclose((shown - ramps)[..., 1][inside], right.numpy()[inside], atol=1e-3)
    assert np.abs(right.numpy()[inside]).max() > 1


def test_outside_is_zero():
    shown = RandomElastic(20, 3)(np.full((20, 29, 29, 1), 255, "uint8"), seed=SEED).numpy()
    assert np.all(shown[:, 10:-10, 10:-10] == 255) and shown[:, 0].min() == 0 and shown[:, -1].min() == 0


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_without_alpha_it_is_the_identity(dtype):
    images = np.random.default_rng(0).integers(0, 256, (3, 9, 12, 2))
    np.testing.assert_array_equal(RandomElastic(0)(images.astype(dtype), seed=SEED), images)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomElastic(-1), "alpha must be 0 or more pixels, got -1"),
        (lambda: RandomElastic(34, 0), "sigma must be more than 0 pixels, got 0"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()

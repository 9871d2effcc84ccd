import numpy as np
import pytest

from kvision.data import load, pixel_statistics

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 6, 5, 3)).astype("uint8")
IMAGES[..., 2] = 51


def test_by_hand():
    """Per channel, of pixels in [0, 1]; a constant channel has deviation 1, so that dividing by it is harmless."""
    mean, std = pixel_statistics(load((IMAGES, np.zeros(30, int)), validation=0, test=0))
    assert mean == pytest.approx((IMAGES / 255).mean((0, 1, 2)).tolist(), abs=1e-9)
    assert std[:2] == pytest.approx((IMAGES / 255).std((0, 1, 2))[:2].tolist(), abs=1e-9) and std[2] == 1.0


def test_looks_at_a_limited_sample_of_resized_images():
    split = load((IMAGES, np.zeros(30, int)), validation=0, test=0)
    assert pixel_statistics(split, limit=3) != pixel_statistics(split)
    assert pixel_statistics(split, (3, 3))[1][0] < pixel_statistics(split)[1][0]

import numpy as np
import pytest

from kvision.layers import GlobalContrastNormalization

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 4, 5, 3)).astype("float32")


def test_results_have_no_mean_and_one_length():
    y = np.array(GlobalContrastNormalization(scale=55)(IMAGES)).reshape(3, -1)
    np.testing.assert_allclose(y.mean(1), 0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(y, axis=1), 55, rtol=1e-5)


def test_brightness_and_contrast_are_gone():
    layer = GlobalContrastNormalization()
    np.testing.assert_allclose(layer(0.3 * IMAGES + 20), layer(IMAGES), atol=1e-5)


def test_the_bias_keeps_faint_images_faint_and_one_colour_becomes_nothing():
    pixels = np.array([1.0, -1.0, 2.0, -2.0], "float32").reshape(1, 2, 2, 1)  # the squares add up to 10
    np.testing.assert_allclose(GlobalContrastNormalization(bias=6)(pixels), pixels / 4, rtol=1e-6)
    np.testing.assert_array_equal(GlobalContrastNormalization()(np.full((1, 4, 4, 3), 7.0)), np.zeros((1, 4, 4, 3)))


@pytest.mark.parametrize("arguments", [dict(scale=0), dict(bias=-1), dict(epsilon=0)])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match="are positive, and `bias` is not negative"):
        GlobalContrastNormalization(**arguments)

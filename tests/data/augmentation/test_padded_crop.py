import numpy as np
import pytest

from kvision.data import RandomCropWithPadding


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_crop_is_a_window_of_the_padded_image_and_every_window_occurs(mode):
    padding, (height, width) = 2, (5, 6)
    image = 1 + np.arange(height * width).reshape(height, width, 1)
    padded = np.pad(image, [(padding, padding), (padding, padding), (0, 0)], mode)
    windows = {
        padded[top : top + height, left : left + width].tobytes(): (top, left)
        for top in range(2 * padding + 1)
        for left in range(2 * padding + 1)
    }
    crops = RandomCropWithPadding(padding, mode)(np.tile(image, (500, 1, 1, 1)), seed=(0, 0)).numpy()
    found = {windows[crop.tobytes()] for crop in crops}
    assert len(found) == (2 * padding + 1) ** 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomCropWithPadding(-1), "padding must be 0 or more pixels, got -1"),
        (lambda: RandomCropWithPadding(mode="symmetric"), 'mode must be "constant" or "reflect", got \'symmetric\''),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()

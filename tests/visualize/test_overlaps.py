import numpy as np
import pytest
from matplotlib.colors import to_rgb

from kvision import visualize
from kvision.visualize.figure import BLUE, ORANGE

RANDOM = np.random.default_rng(0)


def test_each_image_stands_above_its_two_colours(tmp_path):
    images, reconstructions = RANDOM.random((3, 5, 6, 1)), np.zeros((3, 2, 5, 6, 1))
    reconstructions[:, 0, 0, 0] = 1
    reconstructions[:, 1, 0, 1] = 0.5
    reconstructions[:, :, 0, 2] = 1
    figure = visualize.overlaps(images, reconstructions, ["1 2", "3 4", "5 6 read as 5 8"])
    assert [axes.get_title() for axes in figure.axes] == ["1 2", "3 4", "5 6 read as 5 8", "", "", ""]
    assert [axes.get_ylabel() for axes in figure.axes] == ["input", "", "", "seen", "", ""]
    pictures = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    np.testing.assert_array_equal(pictures[:3], images[..., 0])
    orange, blue = np.array(to_rgb(ORANGE)), np.array(to_rgb(BLUE))
    for picture in pictures[3:]:
        expected = [orange, blue / 2, np.minimum(orange + blue, 1), np.zeros(3)]
        np.testing.assert_allclose(picture[0, :4], expected)
    visualize.save(figure, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("images", "reconstructions", "captions"),
    [
        ((2, 5, 6, 3), (2, 2, 5, 6, 3), 2),
        ((2, 5, 6, 1), (2, 1, 5, 6, 1), 2),
        ((2, 5, 6, 1), (2, 2, 5, 6, 1), 3),
        ((5, 6, 1), (5, 2, 6, 1), 5),
    ],
)
def test_other_shapes_are_errors(images, reconstructions, captions):
    with pytest.raises(ValueError, match="Images are"):
        visualize.overlaps(np.zeros(images), np.zeros(reconstructions), ["1 2"] * captions)

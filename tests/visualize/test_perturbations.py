import numpy as np
import pytest

from kvision import visualize

VALUES = (-0.25, 0.0, 0.25)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_has_its_place(channels, tmp_path):
    images = np.random.default_rng(0).random((4, 3, 5, 6, channels))
    figure = visualize.perturbations(images, VALUES)
    (axes,) = figure.axes
    sheet = np.asarray(axes.images[0].get_array()).reshape(4 * 6, 3 * 7, channels)
    for dimension in range(4):
        for column in range(3):
            place = sheet[dimension * 6 + 1 : dimension * 6 + 6, column * 7 + 1 : column * 7 + 7]
            np.testing.assert_array_equal(place, images[dimension, column])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["-0.25", "+0.00", "+0.25"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "1", "2", "3"]
    visualize.save(figure, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


@pytest.mark.parametrize("shape", [(4, 2, 5, 6, 1), (4, 3, 5, 6, 2), (3, 5, 6, 1)])
def test_other_shapes_are_errors(shape):
    with pytest.raises(ValueError, match="Perturbed images are"):
        visualize.perturbations(np.zeros(shape), VALUES)

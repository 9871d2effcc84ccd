import numpy as np
import pytest

from kvision import visualize
from kvision.visualize.gallery import GAP, GAP_FOR_OUTLINES


def images(count, height, width, channels):
    return np.random.default_rng(0).random((count, height, width, channels))


def test_every_image_has_its_place(tmp_path):
    rows = {"colour": images(3, 4, 4, 3), "grey": images(3, 10, 5, 1)}
    figure = visualize.gallery(rows, columns=range(3), title="Two rows")
    (axes,) = figure.axes
    shown = iter(axes.images)
    for row, top, height in (("colour", 0, 1), ("grey", 1 + GAP, 2)):
        for column in range(3):
            image, left = next(shown), (1 + GAP) * column
            np.testing.assert_array_equal(np.asarray(image.get_array()), rows[row][column].squeeze())
            np.testing.assert_allclose(image.get_extent(), (left, left + 1, top + height, top))
    assert not list(shown) and not axes.lines
    np.testing.assert_allclose(axes.get_yticks(), (0.5, 1 + GAP + 1))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["colour", "grey"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "2"]
    visualize.save(figure, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_outlines_lie_on_the_pixels():
    """Corner pixels of images of 4x4: their centres are an eighth of the width from the border."""
    corners = np.array([[[0, 0], [3, 0], [3, 3], [0, 3]]] * 2)
    figure = visualize.gallery({"first": images(2, 4, 4, 1), "second": images(2, 4, 4, 1)}, {"second": corners})
    _, line = figure.axes[0].lines
    x = [1 + GAP_FOR_OUTLINES + place for place in (1 / 8, 7 / 8, 7 / 8, 1 / 8, 1 / 8)]
    y = [1 + GAP_FOR_OUTLINES + place for place in (1 / 8, 1 / 8, 7 / 8, 7 / 8, 1 / 8)]
    np.testing.assert_allclose(line.get_xydata(), np.stack([x, y], axis=1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(rows={}), "Every row"),
        (dict(rows={"a": np.zeros((0, 4, 4, 1))}), "Every row"),
        (dict(rows={"a": np.zeros((2, 4, 4, 2))}), "Every row"),
        (dict(rows={"a": np.zeros((2, 4, 4, 1)), "b": np.zeros((3, 4, 4, 1))}), "Every row"),
        (dict(rows={"a": np.zeros((2, 4, 4, 1))}, outlines={"b": np.zeros((2, 4, 2))}), "Outlines are"),
        (dict(rows={"a": np.zeros((2, 4, 4, 1))}, outlines={"a": np.zeros((2, 2))}), "Outlines are"),
        (dict(rows={"a": np.zeros((2, 4, 4, 1))}, columns="abc"), "There are 2 columns"),
    ],
)
def test_what_does_not_fit_is_an_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        visualize.gallery(**arguments)

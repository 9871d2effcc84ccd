import numpy as np
import pytest

from kvision.visualize import mistakes

NAMES = ["cat", "dog $1", "a rather long class name"]


def test_titles_and_order():
    images = [np.zeros((4, 6)), np.zeros((8, 8, 1)), np.zeros((5, 5, 3))]
    figure = mistakes(images, [0, 1, 0], [1, 2, 2], [0.987, 0.5, 12], NAMES)
    assert [axes.get_title("left") for axes in figure.axes] == [
        "cat\n→ dog $1 0.99",
        "dog $1\n→ a rather long cla… 0.50",
        "cat\n→ a rather long cla… 12.00",
    ]
    assert [axes.images[0].get_array().shape for axes in figure.axes] == [(4, 6), (8, 8), (5, 5, 3)]
    assert figure.get_suptitle() == "Mistakes (3)"
    figure.canvas.draw()


@pytest.mark.parametrize(
    ("image", "shown"),
    [
        (np.array([[0, 255]], "uint8"), [[0, 1]]),
        (np.array([[51, 102]], "int32"), [[0.2, 0.4]]),
        (np.array([[0.2, 0.6]]), [[0.2, 0.6]]),  # a float image, as it is
        (np.array([[-2, 0, 2]], "float32"), [[0, 0.5, 1]]),  # a normalized one, stretched
        (np.array([[0, 51.0, 255]]), [[0, 0.2, 1]]),
        (np.array([[7.0, 7.0]]), [[0, 0]]),
    ],
)
def test_any_range_of_pixels(image, shown):
    (axes,) = mistakes([image], [0], [1], [1.0], NAMES).axes
    np.testing.assert_allclose(axes.images[0].get_array(), shown)
    assert axes.images[0].get_clim() == (0, 1)


@pytest.mark.parametrize(("count", "limit", "shown"), [(40, 36, 36), (3, 2, 2), (1, 36, 1)])
def test_limit(count, limit, shown):
    figure = mistakes(np.zeros((count, 4, 4, 3)), [0] * count, [1] * count, [1.0] * count, NAMES, limit)
    assert len(figure.axes) == shown
    assert figure.get_suptitle() == (f"Mistakes ({count})" if shown == count else f"Mistakes ({shown} of {count})")


def test_none():
    figure = mistakes([], [], [], [], NAMES)
    assert not figure.axes and "There were no mistakes." in [text.get_text() for text in figure.texts]


@pytest.mark.parametrize(
    ("images", "truths", "limit", "message"),
    [
        ([np.zeros((4, 4))], [0, 1], 36, r"\[1, 2, 1, 1\]"),
        ([np.zeros((4, 4))], [0], 0, "Received: 0"),
        ([np.zeros((4, 4, 2))], [0], 36, r"\(4, 4, 2\)"),
        ([np.zeros(4)], [0], 36, r"\(4,\)"),
    ],
)
def test_what_it_refuses(images, truths, limit, message):
    with pytest.raises(ValueError, match=message):
        mistakes(images, truths, [1], [0.5], NAMES, limit)

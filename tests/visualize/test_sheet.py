import numpy as np
import pytest

from kvision import visualize
from kvision.visualize.figure import BLUE, INK

IMAGES = [np.random.default_rng(0).random(shape) for shape in ((4, 6, 3), (9, 5), (3, 3, 1), (8, 8, 3))]
CAPTIONS = ["one", "two\nlines", "$three", "<four>"]


def test_every_image_has_its_caption(tmp_path):
    figure = visualize.sheet(IMAGES, CAPTIONS, title="Four", marked=[1], note="A note")
    titles = [axes._left_title for axes in figure.axes]
    assert [title.get_text() for title in titles] == ["\none", "two\nlines", "\n$three", "\n<four>"]
    assert [title.get_color() for title in titles] == [INK, BLUE, INK, INK]
    for axes, image in zip(figure.axes, IMAGES, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), image.squeeze())
        assert axes.images[0].get_clim() == (0, 1)
    assert (figure.get_suptitle(), figure.get_supxlabel()) == ("Four", "A note")
    visualize.save(figure, tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 5000


@pytest.mark.parametrize("count", [1, 2, 5, 24, 40])
def test_nothing_overlaps(count):
    figure = visualize.sheet([IMAGES[0]] * count, ["a caption of one line\nand another"] * count, note="note")
    figure.canvas.draw()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    boxes += [text.get_window_extent() for text in (figure._suptitle, figure._supxlabel)]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    width, height = figure.canvas.get_width_height()
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes)


@pytest.mark.parametrize(
    ("images", "captions", "message"),
    [
        ([], [], "0 images, 0 captions"),
        (IMAGES, CAPTIONS[:3], "4 images, 3 captions"),
        ([np.zeros((4, 4, 2))], ["one"], r"Received: \(4, 4, 2\)"),
    ],
)
def test_what_does_not_fit_is_an_error(images, captions, message):
    with pytest.raises(ValueError, match=message):
        visualize.sheet(images, captions)

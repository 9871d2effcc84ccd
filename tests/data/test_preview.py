import numpy as np
import pytest
import tensorflow as tf

from kvision.data import Mixup, load, preview, training_batches
from kvision.visualize.figure import BLUE, INK

IMAGES = np.random.default_rng(0).integers(1, 255, (4, 6, 5, 3), np.uint8)
NAMES = ["cat", "dog", "a bird with a rather long name"]


def captions(figure):
    return [axes.title.get_text() or axes.get_title(loc="left") for axes in figure.axes]


def shown(figure):
    return np.stack([np.asarray(axes.images[0].get_array()) for axes in figure.axes])


def test_class_ids_read_as_names():
    figure = preview((IMAGES, np.array([0, 1, 2, 1])), NAMES)
    assert [caption.strip() for caption in captions(figure)] == ["cat", "dog", "a bird with a rather lo…", "dog"]
    assert [caption.strip() for caption in captions(preview((IMAGES, [3, 1, 2, 0])))] == ["3", "1", "2", "0"]
    np.testing.assert_allclose(shown(figure), IMAGES / 255, rtol=1e-6)


def test_mixed_labels_read_as_their_parts():
    labels = [[0.7, 0.3, 0], [0, 0.999, 0.001], [0.02, 0.4, 0.58], [1, 1, 0]]
    figure = preview((IMAGES, tf.constant(labels)), NAMES)
    assert [caption.strip() for caption in captions(figure)] == [
        "cat 0.7 + dog 0.3",
        "dog",
        "a bird with a ra… 0.58\n+ dog 0.4",
        "cat + dog",
    ]
    colors = [axes._left_title.get_color() for axes in figure.axes]
    assert colors == [BLUE, INK, BLUE, BLUE]


@pytest.mark.parametrize(
    ("images", "expected", "note"),
    [
        (IMAGES.astype("float32"), IMAGES / 255, ""),
        (IMAGES / 255, IMAGES / 255, ""),
        (IMAGES // 200, IMAGES // 200 / 255, ""),  # integers are never of 0...1
        (tf.cast(IMAGES // 64, tf.bfloat16), IMAGES // 64 / 255, ""),
        (IMAGES / 100 - 1.0, (IMAGES - 1.0) / 253, "stretched: black is -0.99, white 1.54"),
        (np.full((4, 6, 5, 3), -1.0), np.zeros((4, 6, 5, 3)), "stretched: black is -1, white -1"),
    ],
)
def test_scales(images, expected, note):
    figure = preview((images, [0] * 4), NAMES)
    np.testing.assert_allclose(shown(figure), expected, atol=1e-6)
    assert figure.get_supxlabel() == note


def test_the_first_batch_of_a_dataset_and_no_more_than_count():
    batches = training_batches(load("digits"), 8, augment=[Mixup(1.0, classes=10)])
    figure = preview(batches, count=5, title="Digits")
    assert figure.get_suptitle() == "Digits"
    images, _ = next(iter(batches))
    np.testing.assert_allclose(shown(figure), images[:5, ..., 0] / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("batch", "options", "message"),
    [
        ((IMAGES[0], [0]), {}, r"images must be \(B, H, W, C\).* got \(6, 5, 3\)"),
        ((IMAGES[..., :2], [0] * 4), {}, r"C 1 or 3, got \(4, 6, 5, 2\)"),
        ((IMAGES, [0] * 3), {}, r"as many as the 4 images, got \(3,\)"),
        ((IMAGES, [0.5] * 4), {}, r"got \(4,\) of float64"),
        ((IMAGES, [0, 1, 2, 3]), {"class_names": NAMES}, "got 3 names for 4 classes"),
        ((IMAGES, [0] * 4), {"count": 0}, "count must be 1 or more, got 0"),
    ],
)
def test_what_does_not_fit_is_an_error(batch, options, message):
    with pytest.raises(ValueError, match=message):
        preview(batch, **options)

import numpy as np
import pytest
from sklearn.datasets import load_digits

from kvision.data import load

IMAGES = np.arange(20 * 4 * 5 * 3, dtype=np.uint8).reshape(20, 4, 5, 3)
LABELS = np.arange(20) % 2


def contents(dataset):
    images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.stack(images), np.stack(labels)


def test_digits_are_all_there_once_in_stratified_splits():
    splits = [load("digits", name) for name in ("train", "validation", "test")]
    assert [split.size for split in splits] == [1439, 179, 179]
    parts = [contents(split.dataset) for split in splits]
    for split, (images, labels) in zip(splits, parts, strict=True):
        assert (split.image_shape, images.dtype, labels.dtype) == ((8, 8, 1), np.uint8, np.int32)
        assert split.class_names == tuple("0123456789")
        assert np.bincount(labels).min() >= 0.09 * split.size
    truth = load_digits()
    ours = np.concatenate([images for images, _ in parts])
    assert ours.min() == 0 and ours.max() == 255
    rows = sorted(map(bytes, ours))
    assert rows == sorted(map(bytes, np.round(truth.images * 255 / 16).astype(np.uint8)))


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64"])
def test_arrays_come_back_as_they_were(dtype):
    images = IMAGES.astype(dtype)
    split = load((images, LABELS), validation=0, test=0, class_names=["cat", "dog"])
    assert (split.class_names, split.size, split.image_shape) == (("cat", "dog"), 20, (4, 5, 3))
    ours, labels = contents(split.dataset)
    assert ours.dtype == dtype
    np.testing.assert_array_equal(ours, images)
    np.testing.assert_array_equal(labels, LABELS)


def test_shuffled_is_the_same_examples_in_an_order_of_the_seed():
    split = load((IMAGES, LABELS))
    images, labels = contents(split.shuffled((0, 1)))
    np.testing.assert_array_equal(contents(split.shuffled((0, 1)))[0], images)
    fixed = contents(split.dataset)[0]
    assert not np.array_equal(images, fixed) and not np.array_equal(images, contents(split.shuffled((0, 2)))[0])
    np.testing.assert_array_equal(np.sort(images, axis=0), np.sort(fixed, axis=0))
    which = [np.flatnonzero((image == IMAGES).all((1, 2, 3)))[0] for image in images]
    np.testing.assert_array_equal(LABELS[which], labels)


def test_grey_images_gain_a_channel_and_names_default_to_numbers():
    split = load((IMAGES[..., 0], LABELS + 1))
    assert (split.image_shape, split.class_names) == ((4, 5, 1), ("0", "1", "2"))


@pytest.mark.parametrize(
    ("source", "class_names", "message"),
    [
        ((IMAGES[0, ..., 0], LABELS), None, r"images must be \(N, H, W, C\).*got \(4, 5\)"),
        ((IMAGES.astype(int), LABELS), None, "uint8 or float, got .* of int64"),
        (([IMAGES[0], IMAGES[1, :2]], LABELS[:2]), None, "images must be one array, got parts of different shapes"),
        ((IMAGES, [[0], [0, 1]] * 10), None, "labels must be one array, got parts of different shapes"),
        ((np.moveaxis(np.tile(IMAGES, (1, 2, 1, 1)), 3, 1), LABELS), None, r"which looks like \(N, C, H, W\)"),
        ((IMAGES, LABELS == 1), None, "labels must be integers .* of bool"),
        ((IMAGES, LABELS.astype(float)), None, "labels must be integers .* of float64"),
        ((IMAGES, LABELS[:, None]), None, r"labels must be integers of the shape \(N,\), got \(20, 1\)"),
        ((IMAGES, LABELS[:-1]), None, "as many and at least 1, got 20 and 19"),
        ((IMAGES[:0], LABELS[:0]), None, "as many and at least 1, got 0 and 0"),
        ((IMAGES, LABELS - 1), None, "class ids from 0 on, got -1"),
        ((IMAGES, LABELS), ["cat"], "labels must be below 1, the number of class_names, got 1"),
    ],
)
def test_arrays_that_do_not_fit_are_named(source, class_names, message):
    with pytest.raises(ValueError, match=message):
        load(source, class_names=class_names)


def test_the_same_pixels_come_into_one_split():
    images, labels = np.concatenate([IMAGES] * 3), np.concatenate([LABELS, 1 - LABELS, LABELS])
    parts = [load((images, labels), name, seed=3) for name in ("train", "validation", "test")]
    assert sum(part.size for part in parts) == 60
    shown = [{image.tobytes() for image, _ in part.dataset.as_numpy_iterator()} for part in parts]
    assert all(shown) and sum(map(len, shown)) == 20

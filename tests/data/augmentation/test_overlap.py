import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.data import OverlappingPairs

LABELS = np.array([0, 1, 2, 0, 1, 2])


def squares(dtype="float32", ink=255):
    """3x3 images all ink."""
    return np.full((6, 3, 3, 1), ink, dtype)


@pytest.mark.parametrize(("dtype", "ink", "limit"), [("uint8", 255, 255), ("float32", 255, 255), ("float32", 0.75, 1)])
def test_two_digits_are_added_and_clipped(dtype, ink, limit):
    pairs = OverlappingPairs(3, shift=2, limit=limit)
    overlaps = set()
    for number in range(20):
        images, labels = pairs(squares(dtype, ink), LABELS, seed=(0, number))
        images = np.array(images)
        assert images.shape == (6, 7, 7, 1) and images.dtype == dtype
        for image in images[..., 0]:
            once, twice = (image == ink).sum(), (image == min(2 * ink, limit)).sum()
            if ink == 0.75:
                assert once + 2 * twice == 18  # no ink is lost at the border
                overlaps.add(twice)
            assert set(np.unique(image)) <= {0, ink, min(2 * ink, limit)}
        assert labels.dtype == "float32" and np.all(np.array(labels).sum(1) == 2)
        assert np.all(np.array(labels)[np.arange(6), LABELS] == 1)
    assert ink != 0.75 or {0, 9} <= overlaps  # from apart to one upon the other


def test_partners_are_of_another_class_and_all_are_drawn():
    """Each image a value of its own: the sum tells the partner."""
    values = np.array([1, 2, 4, 8, 16, 32], "float32")
    pairs, drawn = OverlappingPairs(3, shift=0), [set() for _ in values]
    for number in range(60):
        images, labels = pairs(values.reshape(6, 1, 1, 1), LABELS, seed=(1, number))
        for place, total in enumerate(np.array(images).ravel()):
            (partner,) = np.flatnonzero(values == total - values[place])
            drawn[place].add(int(partner))
            np.testing.assert_array_equal(np.flatnonzero(labels[place]), sorted(LABELS[[place, partner]]))
    assert drawn == [{int(i) for i in np.flatnonzero(label != LABELS)} for label in LABELS]


def test_the_seed_decides():
    pairs = OverlappingPairs(3)
    dataset = tf.data.Dataset.from_tensors((squares(), LABELS)).repeat(3).enumerate()
    first, again = (
        list(dataset.map(lambda number, batch: pairs(*batch, seed=(7, number)), tf.data.AUTOTUNE)) for _ in range(2)
    )
    for (images, labels), (same_images, same_labels) in zip(first, again, strict=True):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(labels, same_labels)
    assert (first[0][0] != first[1][0]).numpy().any()
    assert first[0][0].shape == (6, 11, 11, 1)


def test_config_and_errors():
    pairs = OverlappingPairs(5, shift=1, limit=1.0)
    assert OverlappingPairs.from_config(pairs.get_config()).get_config() == pairs.get_config()
    with pytest.raises(ValueError, match="Pairs are of two classes or more"):
        OverlappingPairs(classes=1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="two classes or more"):
        pairs(squares(), np.zeros(6, "int32"), seed=(0, 0))
    assert keras.saving.get_registered_object("kvision>OverlappingPairs") is OverlappingPairs

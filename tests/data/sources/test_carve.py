import numpy as np
import pytest

from kvision.data.sources.carve import carve
from kvision.data.sources.split import SPLITS


@pytest.mark.parametrize(
    ("size", "validation", "test", "counts"),
    [
        (100, 0.1, 0.1, (80, 10, 10)),
        (100, 0.25, 0, (75, 25, 0)),
        (7, 0.1, 0.1, (5, 1, 1)),  # every class in every split where it has enough images
        (3, 0.1, 0.1, (1, 1, 1)),
        (2, 0.1, 0.1, (1, 1, 0)),
        (1, 0.1, 0.1, (1, 0, 0)),
        (4, 0, 0.9, (1, 0, 3)),
    ],
)
def test_carve_divides_a_class_in_proportion(size, validation, test, counts):
    labels = np.array([0, 1] * max(size, 4))[: 2 * size]
    for name, count in zip(SPLITS, counts, strict=True):
        if count:
            np.testing.assert_array_equal(np.bincount(labels[carve(labels, name, validation, test, 0)]), [count] * 2)
        else:
            with pytest.raises(ValueError, match=f"the {name} split is empty"):
                carve(labels, name, validation, test, 0)


def test_carved_splits_are_disjoint_and_complete_and_depend_on_the_seed():
    labels = np.random.default_rng(0).integers(0, 5, 200)
    parts = [carve(labels, name, 0.2, 0.1, 3) for name in SPLITS]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(200))
    np.testing.assert_array_equal(carve(labels, "test", 0.2, 0.1, 3), parts[2])
    assert not np.array_equal(carve(labels, "test", 0.2, 0.1, 4), parts[2])


def test_the_splits_of_a_seed_stay_as_they_were():
    """Figures were measured with these."""
    labels = np.arange(60) % 3
    np.testing.assert_array_equal(carve(labels, "validation", 0.1, 0.1, 0), [12, 23, 34, 35, 49, 57])
    np.testing.assert_array_equal(carve(labels, "test", 0.1, 0.1, 0), [6, 13, 18, 22, 32, 59])


@pytest.mark.parametrize("seed", range(20))
def test_identical_images_come_into_one_split_and_the_proportions_stay(seed):
    """Up to four copies of an image; one in ten has copies under another label."""
    random = np.random.default_rng(seed)
    same = np.sort(random.integers(0, 200, 500))
    same = np.searchsorted(same, same)  # the first of each
    labels = same % 4
    labels[random.random(500) < 0.05] = 0
    parts = [carve(labels, name, 0.2, 0.1, seed, same) for name in SPLITS]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(500))
    homes = [set(same[part]) for part in parts]
    assert not (homes[0] & homes[1] or homes[0] & homes[2] or homes[1] & homes[2])
    counts = np.array([np.bincount(labels[part], minlength=4) for part in parts])
    assert np.abs(counts[1:] - np.outer([0.2, 0.1], np.bincount(labels))).max() <= 3


@pytest.mark.parametrize(
    ("same", "counts"),
    [
        ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0], (10, 0, 0)),  # one image
        ([0, 0, 0, 0, 0, 5, 5, 5, 5, 5], (10, 0, 0)),  # five for a split that wants one
        ([0, 0, 2, 2, 4, 4, 6, 6, 8, 8], (6, 2, 2)),  # two rather than none
        ([0, 0, 0, 0, 0, 0, 6, 6, 8, 9], (8, 1, 1)),  # the pair stays, for there are single ones
        ([0, 0, 0, 0, 4, 4, 4, 4, 8, 8], (8, 2, 0)),  # the next would be four
    ],
)
def test_groups_that_do_not_fit(same, counts):
    labels = np.repeat([0, 1], [10, 30])
    same = np.concatenate([same, np.arange(10, 40)])
    found = [np.sum(labels[carve(labels, name, 0.1, 0.1, 0, same)] == 0) for name in SPLITS]
    assert tuple(found) == counts


def test_a_class_keeps_an_image_for_training_whatever_its_copies_do():
    """The only image of class 1 is an image of class 0, too: both stay in training."""
    labels = np.array([0] * 9 + [1])
    same = np.arange(10)
    same[9] = 3
    for seed in range(20):
        assert 9 in carve(labels, "train", 0.4, 0.4, seed, same)

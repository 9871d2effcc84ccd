import numpy as np
import pytest
import tensorflow as tf

from kvision.data.carve import carve
from kvision.data.split import SPLITS, order


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


def test_order_is_a_permutation_of_the_seed_alone():
    first = order(50, (1, 2)).numpy()
    np.testing.assert_array_equal(np.sort(first), order(50, None))
    tf.random.set_seed(7)
    np.testing.assert_array_equal(tf.function(lambda seed: order(50, seed))(tf.constant([1, 2])), first)
    assert not np.array_equal(order(50, (1, 3)), first)

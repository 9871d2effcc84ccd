import numpy as np
import tensorflow as tf

from kvision.data.sources.split import order


def test_order_is_a_permutation_of_the_seed_alone():
    first = order(50, (1, 2)).numpy()
    np.testing.assert_array_equal(np.sort(first), order(50, None))
    tf.random.set_seed(7)
    np.testing.assert_array_equal(tf.function(lambda seed: order(50, seed))(tf.constant([1, 2])), first)
    assert not np.array_equal(order(50, (1, 3)), first)

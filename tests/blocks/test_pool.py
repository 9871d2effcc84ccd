import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.blocks.head import pool
from kvision.blocks.pool import max_pool


@pytest.mark.parametrize("length", [5, 6, 7, 8, 13, 27, 55, 56])
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("ceil", [False, True])
def test_caffes_windows(length, size, ceil):
    """Window n covers n stride to n stride + size, cut off at the border."""
    x = np.random.default_rng(0).uniform(0, 1, (1, length, length, 2)).astype("float32")
    inputs = keras.Input(x.shape[1:])
    y = np.array(keras.Model(inputs, max_pool(inputs, size, 2, name="pool", ceil=ceil))(x))[0]
    count = (-(-(length - size) // 2) if ceil else (length - size) // 2) + 1
    starts = [2 * i for i in range(count)]
    expected = [[x[0, i : i + size, j : j + size].max((0, 1)) for j in starts] for i in starts]
    np.testing.assert_array_equal(y, expected)


def test_the_maximums_gradient_goes_to_where_it_was_found():
    """Windows overlap: a value that is the maximum of several gets the sum of their gradients."""
    random = np.random.default_rng(0)
    x = tf.constant(random.permutation(49).reshape(1, 7, 7, 1).astype("float32"))
    upstream = random.normal(size=(1, 3, 3, 1)).astype("float32")
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(max_pool(x, name="pool") * upstream)
    expected = np.zeros((7, 7), "float32")
    for i, j in np.ndindex(3, 3):
        window = x.numpy()[0, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3, 0]
        row, column = np.unravel_index(window.argmax(), (3, 3))
        expected[2 * i + row, 2 * j + column] += upstream[0, i, j, 0]
    np.testing.assert_allclose(tape.gradient(loss, x)[0, ..., 0], expected, atol=1e-6)


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_global_pooling_and_its_gradient(pooling):
    """The mean gives every pixel the same share, the maximum gives one pixel all."""
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = pool(x, pooling)
    pixels = x.numpy().reshape(2, 15, 4)
    shares = np.full_like(pixels, 1 / 15) if pooling == "avg" else pixels == pixels.max(1, keepdims=True)
    np.testing.assert_allclose(y, (pixels * shares).sum(1), atol=1e-6)
    np.testing.assert_allclose(tape.gradient(y, x), shares.reshape(x.shape), atol=1e-6)

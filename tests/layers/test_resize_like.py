import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.evaluation import count_macs
from kvision.layers import ResizeLike

RANDOM = np.random.default_rng(0)
SIZES = [((4, 6), (7, 12)), ((7, 5), (3, 2)), ((2, 2), (61, 45)), ((3, 1), (5, 4)), ((5, 4), (1, 9))]


def resize(x, size):
    return np.array(ResizeLike()([x, np.zeros((len(x), *size, 2), "float32")]))


def along(x, size, axis):
    """Torch's formula for `align_corners=True`, in float64."""
    count = x.shape[axis]
    position = np.arange(size) * ((count - 1) / (size - 1) if size > 1 else 0)
    lower = np.minimum(position.astype(int), count - 1)
    upper = np.minimum(lower + 1, count - 1)
    weight = np.moveaxis((position - lower).reshape(-1, *[1] * (x.ndim - 1)), 0, axis)
    return np.take(x, lower, axis) * (1 - weight) + np.take(x, upper, axis) * weight


@pytest.mark.parametrize(("start", "end"), SIZES)
def test_is_the_formula_with_aligned_corners(start, end):
    x = RANDOM.normal(size=(2, *start, 3)).astype("float32")
    y = resize(x, end)
    np.testing.assert_allclose(y, along(along(x.astype("float64"), end[0], 1), end[1], 2), atol=5e-6)
    assert y.shape == (2, *end, 3)


@pytest.mark.parametrize(
    ("start", "end"), [((4, 6), (7, 12)), ((7, 5), (3, 2)), ((14, 7), (28, 14)), ((7, 7), (61, 45))]
)
def test_corners_lie_on_corners(start, end):
    """Exactly, in spite of rounding."""
    x = RANDOM.normal(size=(1, *start, 3)).astype("float32")
    y = resize(x, end)
    for row, column in itertools.product((0, -1), repeat=2):
        np.testing.assert_array_equal(y[0, row, column], x[0, row, column])


def ramp(size):
    rows, columns = (np.linspace(0, 1, count) for count in size)
    return (3 * rows[:, None] - 2 * columns)[None, ..., None].astype("float32")


@pytest.mark.parametrize(("start", "end"), SIZES[:3])
def test_a_plane_stays_a_plane(start, end):
    np.testing.assert_allclose(resize(ramp(start), end), ramp(end), atol=2e-6)


def test_one_pixel_becomes_a_constant_and_the_same_size_the_same_image():
    x = RANDOM.normal(size=(2, 1, 1, 3)).astype("float32")
    np.testing.assert_array_equal(resize(x, (4, 5)), np.broadcast_to(x, (2, 4, 5, 3)))
    x = RANDOM.normal(size=(2, 14, 7, 3)).astype("float32")
    np.testing.assert_array_equal(resize(x, (14, 7)), x)


@pytest.mark.parametrize("jit", [False, True])
def test_the_gradient_is_the_transpose(jit):
    """<g, R x> = <R' g, x>, and each pixel counts as much as it weighs in the output."""
    layer, like = ResizeLike(), tf.zeros((1, 5, 7, 1))
    x, g = (tf.constant(RANDOM.normal(size=(1, *size, 2)), "float32") for size in ((3, 4), (5, 7)))

    @tf.function(jit_compile=jit)
    def both(x, g):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer([x, like])
        return y, tape.gradient(y, x, g)

    y, back = both(x, g)
    np.testing.assert_allclose(np.sum(g * y), np.sum(back * x), rtol=1e-5)
    np.testing.assert_allclose(np.sum(both(x, tf.ones_like(g))[1]), 2 * 5 * 7, rtol=1e-5)


def test_the_other_tensor_gives_only_its_size():
    x = RANDOM.normal(size=(2, 3, 4, 3)).astype("float32")
    other = np.full((2, 5, 7, 1), np.nan, "float32")
    np.testing.assert_array_equal(ResizeLike()([x, other]), resize(x, (5, 7)))


def test_counts_as_other_interpolation():
    inputs = keras.Input((3, 4, 2)), keras.Input((5, 7, 1))
    assert count_macs(keras.Model(inputs, ResizeLike()(list(inputs)))) == 0

"""Bounding boxes by hand: where they land, what is interpolated, and what is left alone."""

import keras
import numpy as np
import pytest

from kvision.layers import WidthNormalization


def digit(columns, left=3, size=(6, 12)):
    """An image with these values in two rows from `left` on, `(1, H, W, 1)`."""
    image = np.zeros((1, *size, 1), "float32")
    image[0, 1:3, left : left + len(columns), 0] = columns
    return image


def box(image):
    rows, columns = np.nonzero(np.asarray(image)[0, :, :, 0])
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (4, [1, 2, 3, 4]),
        (8, [1, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4]),
        # Centres at 0.5 and 2.5, a triangle of half-width 2: (0.75 * 1 + 0.75 * 2 + 0.25 * 3) / 1.75 = 12 / 7.
        (2, [12 / 7, 5 - 12 / 7]),
        (1, [2.5]),
    ],
)
def test_columns_by_hand(width, expected):
    y = np.asarray(WidthNormalization(width, (6, 12))(digit([1, 2, 3, 4])))[0, :, :, 0]
    left = (12 - width) // 2
    np.testing.assert_allclose(y[2:4, left : left + width], [expected] * 2, rtol=1e-5)
    assert box(y[None, ..., None]) == (2, 4, left, left + width)  # two rows high, in the middle of six


@pytest.mark.parametrize("width", [10, 12, 14, 16, 18, 20])
@pytest.mark.parametrize("found", [1, 7, 20, 28])
def test_every_box_becomes_as_wide_as_asked(width, found):
    """28x28 to 29x29; a box of two rows starts at row 13, half a pixel above the centre."""
    y = WidthNormalization(width)(digit(np.ones(found), 0, (28, 28)))
    left = (29 - width) // 2
    assert y.shape == (1, 29, 29, 1) and box(y) == (13, 15, left, left + width)
    np.testing.assert_allclose(np.asarray(y).sum(), 2 * width, rtol=1e-5)


def test_where_the_digit_stood_does_not_matter():
    layer = WidthNormalization(5, (6, 12))
    a, b = layer(digit([1, 2, 3], left=0)), layer(digit([1, 2, 3], left=9))
    np.testing.assert_allclose(a, b, atol=1e-6)
    np.testing.assert_allclose(layer(b), b, atol=1e-6)  # once is enough


def test_each_image_is_for_itself_and_an_empty_one_stays_empty():
    layer = WidthNormalization(5, (6, 12))
    x = np.concatenate([digit([1, 2, 3]), np.zeros((1, 6, 12, 1)), digit([4, 4])])
    y = np.asarray(layer(x))
    np.testing.assert_array_equal(y[1], 0)
    np.testing.assert_array_equal(y[2], np.asarray(layer(x[2:]))[0])


def test_any_range_linear_and_below_the_threshold_nothing():
    x = digit([10, 200, 40])
    np.testing.assert_allclose(
        WidthNormalization(6, (6, 12))(x), 255 * np.asarray(WidthNormalization(6, (6, 12))(x / 255)), rtol=1e-5
    )
    y = np.asarray(WidthNormalization(2, (6, 12), threshold=30)(x))[0, 2, :, 0]
    np.testing.assert_allclose(y, [0] * 5 + [200, 40] + [0] * 5)  # 10 is background, and goes


def test_what_does_not_fit_is_cut_off_on_both_sides():
    y = np.asarray(WidthNormalization(8, (1, 4))(digit(np.arange(1, 9))))
    np.testing.assert_allclose(y[0, 0, :, 0], [3, 4, 5, 6], rtol=1e-6)


def test_inside_xla_with_a_gradient():
    inputs = keras.Input((6, 12, 1))
    model = keras.Model(inputs, WidthNormalization(5, (6, 12))(keras.layers.Conv2D(1, 1)(inputs)))
    model.get_layer(index=1).set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=True)
    x = digit([1, 2, 3])
    losses = [model.train_on_batch(x, np.zeros((1, 6, 12, 1), "float32")) for _ in range(2)]
    assert 0 < losses[1] < losses[0]


@pytest.mark.parametrize("arguments", [dict(width=0), dict(width=4, size=(0, 3)), dict(width=4, size=(3,))])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match="`width` is at least 1"):
        WidthNormalization(**arguments)

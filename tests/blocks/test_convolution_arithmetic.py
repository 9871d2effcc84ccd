"""Worked examples and identities of convolution, with weights set by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.lib.stride_tricks import sliding_window_view

from kvision.blocks.conv import conv
from kvision.evaluation import count_macs

RANDOM = np.random.default_rng(0)


def normal(*shape):
    return RANDOM.normal(size=shape).astype("float32")


def convolution(shape, kernel, stride=1, pad=0, groups=1, bias=0.0):
    """`conv` as a model for images of a shape `(H, W, C)`, with a given kernel and biases."""
    inputs, (size, filters) = keras.Input(shape), (kernel.shape[0], kernel.shape[-1])
    model = keras.Model(inputs, conv(inputs, filters, size, stride, pad=pad, groups=groups, bias=0.0, name="conv"))
    model.get_layer("conv").set_weights([kernel, np.broadcast_to(bias, filters)])
    return model


@pytest.mark.parametrize(
    ("stride", "expected"), [(1, [[4, 3, 4], [2, 4, 3], [2, 3, 4]]), (2, [[4, 4], [2, 4]])], ids=["1", "2"]
)
def test_a_binary_image(stride, expected):
    """The filter is an x, and counts how many of its five points are set under it."""
    rows = [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]]
    image, cross = np.array(rows, "float32"), np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]], "float32")
    y = convolution((5, 5, 1), cross[..., None, None], stride)(image[None, ..., None])
    np.testing.assert_array_equal(y[0, ..., 0], expected)


# The animated example of Stanford's course CS231n: an image of 5x5x3 with a border of zeros, by channels.
# A printed copy lost three of the filters' minus signs: with no fewer changes do its outputs come out.
VOLUME = [
    [[0, 1, 2, 2, 2], [2, 0, 1, 0, 2], [0, 0, 1, 1, 2], [1, 0, 2, 2, 0], [2, 1, 2, 1, 0]],
    [[0, 1, 0, 2, 2], [0, 1, 0, 2, 0], [2, 1, 1, 2, 0], [1, 0, 0, 0, 0], [0, 2, 1, 0, 0]],
    [[0, 1, 2, 1, 2], [2, 0, 1, 0, 1], [1, 1, 2, 1, 0], [1, 0, 2, 1, 0], [2, 0, 0, 2, 2]],
]
FILTERS = [
    [
        [[0, 0, 1], [1, -1, -1], [1, 1, 0]],
        [[0, 1, -1], [0, 1, 0], [0, 0, 0]],
        [[1, 0, -1], [0, -1, 1], [-1, 1, 0]],
    ],
    [
        [[-1, 1, 0], [1, 1, -1], [0, -1, -1]],
        [[1, 1, -1], [1, 1, 1], [0, -1, 1]],
        [[1, 1, -1], [-1, 0, 1], [-1, 1, -1]],
    ],
]


def test_a_volume_and_two_filters_with_stride_2():
    """Correlation, not flipped; summed over the channels; biases 1 and 0; zeros on all sides, also with a stride."""
    image = np.transpose(VOLUME, (1, 2, 0)).astype("float32")
    kernel = np.transpose(FILTERS, (2, 3, 1, 0)).astype("float32")
    y = np.array(convolution((5, 5, 3), kernel, 2, pad=1, bias=[1, 0])(image[None]))[0]
    np.testing.assert_array_equal(y[..., 0], [[5, -1, 4], [4, 1, 1], [-3, 3, 1]])
    np.testing.assert_array_equal(y[..., 1], [[2, 6, 6], [6, 2, 8], [6, 10, -2]])


def test_weights_and_sizes():
    """K (F^2 C + 1) parameters; floor((N - F + 2 P) / S) + 1 positions: with stride 3, (7 - 3) / 3 does not fit."""
    for stride, size in [(1, 5), (2, 3), (3, 2)]:
        model = convolution((7, 7, 3), normal(3, 3, 3, 6), stride)
        assert model.count_params() == 162 + 6 and model.output_shape == (None, size, size, 6)
        assert count_macs(model) == size**2 * 162


def test_three_3x3_convolutions_see_what_one_7x7_sees_for_less():
    """VGG, section 2.3: two see 5x5 and three 7x7; three cost 27 K^2, one 7x7 costs 49 K^2."""
    width, macs = 4, {}
    for kernel, count, field in [(3, 2, 5), (3, 3, 7), (7, 1, 7)]:
        x = inputs = keras.Input((15, 15, width))
        for place in range(count):
            x = conv(x, width, kernel, initializer=keras.initializers.Ones, name=f"conv{place}")
        model, image = keras.Model(inputs, x), tf.ones((1, 15, 15, width))
        with tf.GradientTape() as tape:
            tape.watch(image)
            centre = model(image)[0, 7, 7, 0]
        seen = np.array(tape.gradient(centre, image))[0, ..., 0] != 0
        half = field // 2
        assert seen.sum() == field**2 and seen[7 - half : 8 + half, 7 - half : 8 + half].all()
        macs[kernel, count] = model.count_params()
        assert count_macs(model) == 15 * 15 * model.count_params()
    assert macs[3, 3] == 27 * width**2 and macs[7, 1] == 49 * width**2


@pytest.mark.parametrize("size", [1, 3])
def test_a_matrix_product_of_its_windows(size):
    """im2col: one row for each position, which holds the window under the filter."""
    x, kernel = normal(2, 5, 6, 3), normal(size, size, 3, 4)
    windows = sliding_window_view(x, (size, size), (1, 2)).transpose(0, 1, 2, 4, 5, 3)
    rows = windows.reshape(*windows.shape[:3], -1)
    np.testing.assert_allclose(convolution(x.shape[1:], kernel)(x), rows @ kernel.reshape(-1, 4), atol=1e-5)


def test_backward_is_two_convolutions():
    """dE/dw_ij = sum_kl dE/dz_kl x_{k+i, l+j}; dE/dx is dE/dz, bordered, under the kernel turned by 180 degrees."""
    x, kernel, upstream = tf.constant(normal(2, 6, 7, 3)), normal(3, 3, 3, 4), normal(2, 4, 5, 4)
    model = convolution(x.shape[1:], kernel)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(model(x) * upstream)
    of_x, of_kernel, of_bias = tape.gradient(loss, [x, *model.trainable_weights])
    expected = np.zeros_like(kernel)
    for i, j in np.ndindex(3, 3):
        expected[i, j] = np.einsum("bklc,bklf->cf", x[:, i : i + 4, j : j + 5], upstream)
    np.testing.assert_allclose(of_kernel, expected, atol=1e-4)
    np.testing.assert_allclose(of_bias, upstream.sum((0, 1, 2)), atol=1e-4)
    turned = kernel[::-1, ::-1].swapaxes(2, 3)  # and back from filters to channels
    np.testing.assert_allclose(of_x, convolution((4, 5, 4), turned, pad=2)(upstream), atol=1e-4)


def test_three_forms_of_aggregated_transformations():
    """ResNeXt, arXiv:1611.05431, Figure 3: a sum of paths, the paths' maps concatenated, a grouped convolution."""
    paths, width, channels = 4, 2, 6
    x, shape = normal(2, 5, 5, channels), (5, 5, channels)
    into, spatial, out = (
        [normal(*kernel) for _ in range(paths)]
        for kernel in [(1, 1, channels, width), (3, 3, width, width), (1, 1, width, channels)]
    )

    def relu(model, x):
        return np.maximum(model(x), 0)

    maps = [relu(convolution(shape, kernel), x) for kernel in into]
    maps = [relu(convolution((5, 5, width), kernel, pad=1), y) for kernel, y in zip(spatial, maps, strict=True)]
    a = sum(convolution((5, 5, width), kernel)(y) for kernel, y in zip(out, maps, strict=True))

    wide, last = (5, 5, paths * width), np.concatenate(out, 2)
    b = convolution(wide, last)(np.concatenate(maps, -1))

    grouped = convolution(wide, np.concatenate(spatial, -1), pad=1, groups=paths)
    c = convolution(wide, last)(relu(grouped, relu(convolution(shape, np.concatenate(into, -1)), x)))
    np.testing.assert_allclose(a, b, atol=1e-4)
    np.testing.assert_allclose(a, c, atol=1e-4)

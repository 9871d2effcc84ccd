import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.layers.bilinear_sampler import sample

each_way = pytest.mark.parametrize("compiled", [False, True])


def hats(points, size):
    """max(0, 1 - |x - m|) for every pixel m: `(..., size)`."""
    return np.maximum(0, 1 - np.abs(points[..., None] - np.arange(size)))


def slopes(points, size):
    """The cases of equation 7."""
    m = np.arange(size)
    x = points[..., None]
    return np.where(np.abs(m - x) >= 1, 0, np.where(m >= x, 1, -1))


def gradients(images, x, y, upstream, compiled):
    tensors = [tf.convert_to_tensor(value, "float32") for value in (images, x, y)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs = sample(*tensors, compiled=compiled)
    return outputs, *tape.gradient(outputs, tensors, upstream)


def images_and_points(grid: float | None = None):
    """Images 4 x 5 and points in and around them; on multiples of `grid`, if given."""
    random = np.random.default_rng(0)
    images, upstream = random.normal(size=(2, 4, 5, 3)), random.normal(size=(2, 6, 7, 3))
    x, y = random.uniform(-2, 6, (2, 6, 7)), random.uniform(-2, 5, (2, 6, 7))
    if grid:
        x, y = np.round(x / grid) * grid, np.round(y / grid) * grid
    return [value.astype("float32") for value in (images, x, y, upstream)]


@each_way
@pytest.mark.parametrize("grid", [None, 1, 0.5], ids=["anywhere", "pixels", "halves"])
def test_equations_5_to_7(grid, compiled):
    """Written out over all pixels; the cases of equation 7 at integers, too."""
    images, x, y, upstream = images_and_points(grid)
    outputs, by_image, by_x, by_y = gradients(images, x, y, upstream, compiled)
    wx, wy, sx, sy = hats(x, 5), hats(y, 4), slopes(x, 5), slopes(y, 4)
    np.testing.assert_allclose(outputs, np.einsum("bnmc,bijm,bijn->bijc", images, wx, wy), atol=1e-5)
    np.testing.assert_allclose(by_image, np.einsum("bijc,bijm,bijn->bnmc", upstream, wx, wy), atol=1e-5)
    np.testing.assert_allclose(by_x, np.einsum("bijc,bnmc,bijm,bijn->bij", upstream, images, sx, wy), atol=1e-5)
    np.testing.assert_allclose(by_y, np.einsum("bijc,bnmc,bijm,bijn->bij", upstream, images, wx, sy), atol=1e-5)


@each_way
def test_gradients_are_finite_differences(compiled):
    images, x, y, upstream = images_and_points()
    _, _, by_x, by_y = gradients(images, x, y, upstream, compiled)

    def total(x, y):
        wx, wy = hats(x, 5), hats(y, 4)
        return np.einsum("bijc,bnmc,bijm,bijn->bij", upstream.astype("float64"), images, wx, wy)

    x, y, step = x.astype("float64"), y.astype("float64"), 1e-6
    np.testing.assert_allclose(by_x, (total(x + step, y) - total(x - step, y)) / (2 * step), atol=1e-4)
    np.testing.assert_allclose(by_y, (total(x, y + step) - total(x, y - step)) / (2 * step), atol=1e-4)


def test_by_hand():
    image = np.array([[1.0, 2.0, 4.0], [3.0, 5.0, 9.0]], "float32")[None, :, :, None]
    x = np.array([[[0, 1.5, 2.5, -1, -0.25, 1, 1e30]]], "float32")
    y = np.array([[[0, 0.5, 0, 0, 1, 3, 0]]], "float32")
    # The second: the mean of 2, 4, 5 and 9. The third: half of 4, half of the zeros outside. The fifth: 0.75 of 3.
    np.testing.assert_allclose(np.ravel(sample(image, x, y)), [1, 5, 2, 0, 2.25, 0, 0])


@each_way
def test_infinite_points_are_outside_and_have_no_slope(compiled):
    images, x, y, upstream = images_and_points()
    x[0], y[1] = np.inf, -np.inf
    outputs, *found = gradients(images, x, y, upstream, compiled)
    assert not np.any(outputs)
    for gradient in found:
        assert not np.any(gradient)


@each_way
def test_what_is_not_a_number_stays_so(compiled):
    """And reads no memory outside of the images."""
    images, x, y, _ = images_and_points()
    x[0, 0, 0] = np.nan
    outputs = np.array(sample(images, x, y, compiled))
    assert np.isnan(outputs[0, 0, 0]).all() and np.isnan(outputs).sum() == 3


@each_way
def test_unknown_sizes(compiled):
    specs = [tf.TensorSpec(shape) for shape in ((None, None, None, 3), (None,) * 3, (None,) * 3, (None, None, None, 3))]
    graph = tf.function(lambda *tensors: gradients(*tensors, compiled), input_signature=specs)
    values = images_and_points()
    for found, expected in zip(graph(*values), gradients(*values, compiled), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_keeps_the_points(dtype):
    """Column 1000.25 is none in either type: they would round it to 1000."""
    images = keras.ops.cast(np.arange(1100)[None, None, :, None] % 8, dtype)
    x = np.array([[[1000.25]]], "float32")
    values = sample(images, x, np.zeros_like(x))
    assert keras.backend.standardize_dtype(values.dtype) == dtype and float(values[0, 0, 0, 0]) == 0.25


@each_way
def test_xla_only_where_asked_for(compiled):
    images, x, y, _ = images_and_points()
    graph = tf.function(functools.partial(sample, compiled=compiled)).get_concrete_function(images, x, y).graph
    functions = graph.as_graph_def().library.function
    assert any("_XlaMustCompile" in function.attr for function in functions) == compiled

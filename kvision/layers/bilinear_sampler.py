"""Bilinear sampling: section 3.3 of "Spatial Transformer Networks", Jaderberg, Simonyan, Zisserman & Kavukcuoglu.

NIPS 2015, arXiv:1506.02025.
"""

import functools

import keras
from keras import ops


def sample(images, x, y, compiled: bool = False):
    """The images at points between their pixels, with zeros outside: equation 5.

    `V_i = sum_nm U_nm max(0, 1 - |x_i - m|) max(0, 1 - |y_i - n|)`. The gradients are those of equations 6 and 7. Where
    a coordinate is an integer k, V has a kink, and equation 7 takes `U_k` for its slope (each hat is given the slope 1
    at its top and 0 at its feet): neither `U_k+1 - U_k` nor `U_k - U_k-1`. After the first step of training hardly any
    coordinate is an integer.

    Args:
        images: U, `(B, H, W, C)`.
        x, y: columns and rows in pixels, `(B, H', W')`: (0, 0) is the centre of the first pixel. Float32, under every
            policy: float16 cannot tell neighbouring pixels apart.
        compiled: whether TensorFlow runs it through XLA, three times faster on a CPU. For training: a graph that is
            exported must do without.

    Returns:
        `(B, H', W', C)`, of the images' type, computed in float32. Coordinates that are not numbers give values that
        are not.
    """
    xla = _compile if compiled and keras.backend.backend() == "tensorflow" else lambda function: function

    @ops.custom_gradient
    def run(images, x, y):
        def gradient(upstream):
            arguments = (images, x, y, upstream)
            # Apart from each other, so that a graph drops what nobody asks for: the images' takes the longest.
            return xla(_image_gradient)(*arguments), *xla(_point_gradients)(*arguments)

        return xla(_interpolate)(images, x, y), gradient

    points = ops.convert_to_tensor(x, "float32"), ops.convert_to_tensor(y, "float32")
    return ops.cast(run(ops.cast(images, "float32"), *points), keras.backend.standardize_dtype(images.dtype))


@functools.cache
def _compile(function):
    import tensorflow as tf

    return tf.function(function, jit_compile=True)


def _place(images, x, y):
    """Of the four pixels around each point: the first one's row in a table of all pixels, and the way to the others.

    The table holds the images with a border of zeros, on which all points beyond it are put.
    """
    batch, height, width, _ = ops.shape(images)
    x, y = ops.clip(x, -1.0, ops.cast(width, "float32")), ops.clip(y, -1.0, ops.cast(height, "float32"))
    # Clipped as integers: what is not a number becomes any.
    column = ops.clip(ops.cast(ops.floor(x), "int32"), -1, width - 1)
    row = ops.clip(ops.cast(ops.floor(y), "int32"), -1, height - 1)
    image = ops.arange(batch, dtype="int32")[:, None, None]
    index = (image * (height + 2) + row + 1) * (width + 2) + column + 1
    return index, x - ops.cast(column, "float32"), y - ops.cast(row, "float32")


def _corners(images, index):
    """The four pixels around each point, `(B, H', W', C)` each."""
    width, channels = ops.shape(images)[2], images.shape[-1]
    table = ops.reshape(ops.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)]), (-1, channels))
    return [ops.take(table, index + step, axis=0) for step in (0, 1, width + 2, width + 3)]


def _weights(right, down):
    return (1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down


def _interpolate(images, x, y):
    index, right, down = _place(images, x, y)
    weights = _weights(right, down)
    return sum(weight[..., None] * pixel for weight, pixel in zip(weights, _corners(images, index), strict=True))


def _image_gradient(images, x, y, upstream):
    """Equation 6: one sum over all points for the four pixels at once, which are then put where they belong."""
    index, right, down = _place(images, x, y)
    batch, height, width, _ = ops.shape(images)
    channels = images.shape[-1]
    shares = ops.concatenate([upstream * weight[..., None] for weight in _weights(right, down)], axis=-1)
    shares = ops.reshape(shares, (-1, 4 * channels))
    sums = ops.segment_sum(shares, ops.reshape(index, (-1,)), batch * (height + 2) * (width + 2))
    sums = ops.reshape(sums, (batch, height + 2, width + 2, 4, channels))
    here, left = slice(1, -1), slice(0, -2)
    places = [(here, here), (here, left), (left, here), (left, left)]
    return sum(sums[:, rows, columns, corner] for corner, (rows, columns) in enumerate(places))


def _point_gradients(images, x, y, upstream):
    """Equation 7 and its like for y."""
    _, height, width, _ = ops.shape(images)
    index, right, down = _place(images, x, y)
    first, second, third, fourth = [ops.sum(pixel * upstream, axis=-1) for pixel in _corners(images, index)]
    minus, plus = _slopes(x, right, width)
    by_x = (1 - down) * (minus * first + plus * second) + down * (minus * third + plus * fourth)
    minus, plus = _slopes(y, down, height)
    by_y = (1 - right) * (minus * first + plus * third) + right * (minus * second + plus * fourth)
    return by_x, by_y


def _slopes(points, fraction, size):
    """How the weights of the two pixels around a coordinate grow with it: -1 and 1; 1 and 0 on a pixel; 0 outside."""
    inside = ops.cast((points > -1) & (points < ops.cast(size, "float32")), "float32")
    on = ops.cast(fraction == 0, "float32")
    return inside * (2 * on - 1), inside * (1 - on)

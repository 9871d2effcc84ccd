"""Bilinear interpolation to the size of another tensor, corners upon corners, as Caffe's Interp layer and Torch's
`align_corners=True` do it."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class ResizeLike(keras.layers.Layer):
    """Interpolates between the pixels of an image, whose corners come to lie on the corners of the other.

    Of `size` pixels, the i-th lies at `i (count - 1) / (size - 1)` among the `count` that there are (the only one at
    0), and is the mean of its two neighbours, weighted by their nearness. Rows and columns are resized one after the
    other, each as a product with a sparse matrix: the gradient is the product with its transpose.

    Inputs: a list of the image `(B, H, W, C)` and a tensor `(B, H', W', ...)`, of which only the size matters. Output
    `(B, H', W', C)`.
    """

    def call(self, inputs):
        x, like = inputs
        (batch, height, width, channels), (_, rows, columns) = ops.shape(x), ops.shape(like)[:3]
        x = ops.reshape(x, (batch, height, -1))
        x = ops.matmul(ops.cast(_interpolation(rows, height), self.compute_dtype), x)
        x = ops.reshape(x, (batch, rows, width, channels))
        return ops.matmul(ops.cast(_interpolation(columns, width), self.compute_dtype), x)

    def compute_output_shape(self, input_shape):
        (batch, *_, channels), like = input_shape
        return (batch, *like[1:3], channels)


def _interpolation(size, count):
    """The weights `(size, count)` of `count` pixels in each of `size`, in float32."""
    # The product first: whole numbers, so that the last pixel lies exactly upon the last.
    last = ops.cast(ops.maximum(size - 1, 1), "float32")
    position = ops.cast(ops.arange(size), "float32") * ops.cast(count - 1, "float32") / last
    return ops.maximum(1 - ops.abs(position[:, None] - ops.cast(ops.arange(count), "float32")), 0)

"""Pooling as Caffe does it."""

import keras


def max_pool(x, size=3, stride=2, *, name, ceil=False):
    """Maximum over windows of rectified (not negative) values: `(B, H, W, C)` to `(B, H', W', C)`.

    Args:
        ceil: whether a last window may hang over the border, as Caffe's do: H' = ceil((H - size) / stride) + 1, else
            floor. The zeros beyond the border are no larger than any rectified value.
    """
    if ceil and stride > 1:
        x = keras.layers.ZeroPadding2D(((0, stride - 1), (0, stride - 1)), name=f"{name}.pad")(x)
    return keras.layers.MaxPooling2D(size, stride, name=name)(x)


def average_pool(x, size=3, stride=1, *, name, count_border=False):
    """Means over windows that may hang over the border: `(B, H, W, C)` to `(B, ceil(H / stride), ceil(W / stride), C)`.

    Args:
        count_border: whether a mean counts the zeros beyond the border, as Caffe's and Torch's do, or only what lies
            in the image, as TensorFlow's. With it, the size is odd and the zeros are as many on every side.
    """
    if not count_border:
        return keras.layers.AveragePooling2D(size, stride, padding="same", name=name)(x)
    x = keras.layers.ZeroPadding2D((size - 1) // 2, name=f"{name}.pad")(x)
    return keras.layers.AveragePooling2D(size, stride, name=name)(x)

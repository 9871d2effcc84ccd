"""Convolution, normalization, rectifier: which layer computes them is decided here, once for every family."""

from typing import NamedTuple

import keras

from kvision.layers import BatchNormalization, GroupedConv2D, PointwiseConv2D


def he_fan_out() -> keras.initializers.Initializer:
    """N(0, 2 / (k^2 filters)): He et al., arXiv:1502.01852, equation 14; not truncated, as the ResNet code draws it."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


class At(NamedTuple):
    """Where a convolution, its normalization and its rectifier stand: their layer names, the checkpoint's paths."""

    conv: str
    norm: str
    relu: str


def conv(x, filters, kernel=1, stride=1, *, name, groups=1, bias=False, initializer=he_fan_out):
    """Convolution with `(kernel - 1) // 2` zeros on every side, as Caffe and Torch pad: `(B, H, W, C)` to
    `(B, ceil(H / stride), ceil(W / stride), filters)` for odd kernels.

    With a stride, Keras's `same` would pad more at the bottom and right, and every output would sit elsewhere.
    """
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    options = dict(use_bias=bias, kernel_initializer=initializer(), name=name)
    if kernel == (1, 1) and stride == 1 and groups == 1:
        return PointwiseConv2D(filters, **options)(x)
    if stride > 1 and max(kernel) > 1:
        x = keras.layers.ZeroPadding2D([(k - 1) // 2 for k in kernel], name=f"{name}.pad")(x)
        options["padding"] = "valid"
    else:
        options["padding"] = "same"
    if groups > 1:
        return GroupedConv2D(filters, kernel, stride, groups=groups, **options)(x)
    return keras.layers.Conv2D(filters, kernel, stride, **options)(x)


def norm(x, *, name, gamma="ones", epsilon=1e-5, momentum=0.9):
    """Batch normalization with Caffe's and Torch's constants (Keras's are 1e-3 and 0.99)."""
    return BatchNormalization(momentum, epsilon, gamma_initializer=gamma, name=name)(x)


def relu(x, *, name):
    return keras.layers.Activation("relu", name=name)(x)


def conv_norm(x, filters, kernel=1, stride=1, *, at: At, groups=1, gamma="ones"):
    return norm(conv(x, filters, kernel, stride, groups=groups, name=at.conv), gamma=gamma, name=at.norm)


def conv_norm_relu(x, filters, kernel=1, stride=1, *, at: At, groups=1):
    return relu(conv_norm(x, filters, kernel, stride, groups=groups, at=at), name=at.relu)


def conv3x3(x, filters, stride=1, *, at: At, groups=1):
    """The spatial convolution of a residual branch, with its normalization and rectifier."""
    return conv_norm_relu(x, filters, 3, stride, at=at, groups=groups)

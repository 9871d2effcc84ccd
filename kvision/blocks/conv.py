"""Convolution, normalization, rectifier: which layer computes them is decided here, once for every family."""

from typing import NamedTuple

import keras

from kvision.layers import BatchNormalization, GroupedConv2D, PointwiseConv2D, PReLU


def he(fan="fan_out", slope=0.0) -> keras.initializers.Initializer:
    """N(0, 2 / ((1 + slope^2) n)): He et al., arXiv:1502.01852, section 2.2.

    Not truncated, as the ResNet code draws it.

    Args:
        fan: n. "fan_in" is k^2 inputs, which keeps the variance of the activations from layer to layer (equation 10);
            "fan_out" is k^2 filters, which keeps that of the gradients (equation 14). Either suffices, says the paper.
        slope: of the rectifiers below zero: 0 for ReLU, what PReLU starts from (equation 15).
    """
    return keras.initializers.VarianceScaling(2 / (1 + slope**2), fan, "untruncated_normal")


def he_fan_out() -> keras.initializers.Initializer:
    """`he` for gradients and ReLU: what ResNet's authors and most after them start from."""
    return he("fan_out")


class At(NamedTuple):
    """Where a convolution, its normalization and its rectifier stand: their layer names, the checkpoint's paths."""

    conv: str
    norm: str
    relu: str


def conv(x, filters, kernel=1, stride=1, *, name, pad=None, groups=1, bias=None, initializer=he_fan_out):
    """Convolution with as many zeros on every side, as Caffe and Torch pad: `(B, H, W, C)` to `(B, H', W', filters)`.

    With a stride, Keras's `same` would pad more at the bottom and right, and every output would sit elsewhere.

    Args:
        pad: zeros on each side; None for `(kernel - 1) // 2`, which an odd kernel needs for H' = ceil(H / stride).
        bias: the value that the bias starts from; None for no bias.
        initializer: makes the initializer of the kernel.
    """
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    half = tuple((size - 1) // 2 for size in kernel)
    pads = half if pad is None else (pad, pad)
    same = stride == 1 and pads == half and all(size % 2 for size in kernel)
    if any(pads) and not same:
        x = keras.layers.ZeroPadding2D(pads, name=f"{name}.pad")(x)
    padding = "same" if same else "valid"
    return conv_layer(filters, kernel, stride, padding, name=name, groups=groups, bias=bias, initializer=initializer)(x)


def conv_layer(
    filters, kernel=1, stride=1, padding="same", *, name, groups=1, bias=None, initializer=he_fan_out
) -> keras.layers.Layer:
    """The layer that computes a convolution, for networks that call it more than once. Arguments as `conv` has them.

    `padding` is "valid" (none) or, with a stride of 1 and an odd kernel, "same".
    """
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    options = dict(use_bias=bias is not None, kernel_initializer=initializer(), name=name)
    if bias:
        options["bias_initializer"] = keras.initializers.Constant(bias)
    if kernel == (1, 1) and stride == 1 and groups == 1:
        return PointwiseConv2D(filters, **options)
    if groups > 1:
        return GroupedConv2D(filters, kernel, stride, padding=padding, groups=groups, **options)
    return keras.layers.Conv2D(filters, kernel, stride, padding=padding, **options)


def norm(x, *, name, gamma="ones", epsilon=1e-5, momentum=0.9):
    """Batch normalization with Caffe's and Torch's constants (Keras's are 1e-3 and 0.99)."""
    return BatchNormalization(momentum, epsilon, gamma_initializer=gamma, name=name)(x)


def relu(x, *, name):
    return keras.layers.Activation("relu", name=name)(x)


def prelu(x, *, name, shared=False):
    """The rectifier with learned slopes, one for each channel or, `shared`, one for all."""
    return PReLU(shared, name=name)(x)


def conv_norm(x, filters, kernel=1, stride=1, *, at: At, pad=None, groups=1, gamma="ones", epsilon=1e-5):
    x = conv(x, filters, kernel, stride, pad=pad, groups=groups, name=at.conv)
    return norm(x, gamma=gamma, epsilon=epsilon, name=at.norm)


def conv_norm_relu(x, filters, kernel=1, stride=1, *, at: At, pad=None, groups=1, epsilon=1e-5):
    x = conv_norm(x, filters, kernel, stride, pad=pad, groups=groups, epsilon=epsilon, at=at)
    return relu(x, name=at.relu)


def conv_relu(x, filters, kernel=1, stride=1, *, name, pad=None, groups=1, bias=0.0, initializer=he_fan_out):
    """Convolution with bias, and rectifier: as networks were before batch normalization."""
    x = conv(x, filters, kernel, stride, name=name, pad=pad, groups=groups, bias=bias, initializer=initializer)
    return relu(x, name=f"{name}.relu")


def conv3x3(x, filters, stride=1, *, at: At, groups=1):
    """The spatial convolution of a residual branch, with its normalization and rectifier."""
    return conv_norm_relu(x, filters, 3, stride, at=at, groups=groups)

"""CIE L*a*b* of sRGB pixels, for a D65 white point: IEC 61966-2-1 and CIE 15."""

import numpy as np
from keras import ops

TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
# Divided by the white point, which is where r = g = b = 1 lies: greys have a = b = 0.
TO_WHITE = TO_XYZ / TO_XYZ.sum(axis=1, keepdims=True)
DELTA = 6 / 29
OPPONENTS = np.array([[0, 1.16, 0], [5, -5, 0], [0, 2, -2]])


def lab(rgb):
    """L, a and b over 100, L in [0, 1], of pixels `(..., 3)` in [0, 1]."""
    linear = ops.where(rgb > 0.04045, _power((rgb + 0.055) / 1.055, 2.4), rgb / 12.92)
    t = ops.matmul(linear, TO_WHITE.T.astype("float32"))
    f = ops.where(t > DELTA**3, _power(t, 1 / 3), t / (3 * DELTA**2) + 4 / 29)
    return ops.matmul(f, OPPONENTS.T.astype("float32")) - np.array([0.16, 0, 0], "float32")


def rgb(lab):
    """The inverse of `lab`; colours that no screen shows are clipped to [0, 1]."""
    f = ops.matmul(lab + np.array([0.16, 0, 0], "float32"), np.linalg.inv(OPPONENTS).T.astype("float32"))
    t = ops.where(f > DELTA, f * f * f, 3 * DELTA**2 * (f - 4 / 29))
    linear = ops.matmul(t, np.linalg.inv(TO_WHITE).T.astype("float32"))
    return ops.clip(ops.where(linear > 0.0031308, 1.055 * _power(linear, 1 / 2.4) - 0.055, 12.92 * linear), 0, 1)


def _power(x, exponent):
    """Of values that count only where they are positive: elsewhere finite, and so is the gradient."""
    return ops.power(ops.maximum(x, 1e-4), exponent)

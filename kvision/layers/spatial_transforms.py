"""Grid generators: section 3.2 of "Spatial Transformer Networks", Jaderberg, Simonyan, Zisserman & Kavukcuoglu.

NIPS 2015, arXiv:1506.02025. A transform takes a point of the output, x to the right and y down, to the point of the
input that is shown there. Both images reach from -1 to 1, from the centre of their first pixel to that of their last.
"""

import functools
import math
from dataclasses import asdict, dataclass

import keras
import numpy as np
from keras import ops


@dataclass(frozen=True)
class Transform:
    """Base of the transforms: a subclass has `identity`, the parameters that change nothing, and `displacement`.

    How far a point moves is computed, not where it ends: so the identity is exact at every size.
    """

    identity = ()

    @property
    def parameters(self) -> int:
        return len(self.identity)

    def displacement(self, theta, x, y):
        """How far points move, in x and in y, to be broadcast to `(B, H', W')`.

        Args:
            theta: the parameters, `(B, parameters)`.
            x, y: the points in [-1, 1], `(1, 1, W')` and `(1, H', 1)`.
        """
        raise NotImplementedError

    def grid(self, theta, height, width, source=(3, 3)):
        """The points of the input that an output of `(height, width)` shows: x and y, `(B, H', W')`, float32.

        Args:
            theta: the parameters, `(B, parameters)`.
            source: height and width of the input, for points in its pixels, from 0 to size - 1. By default from 0 to 2,
                which are the paper's normalized coordinates plus 1.
        """
        theta, (rows, columns) = ops.cast(theta, "float32"), source
        x, y = _spread(width, 3)[None, None, :] - 1, _spread(height, 3)[None, :, None] - 1
        right, down = self.displacement(theta, x, y)
        x = _spread(width, columns)[None, None, :] + right * _half(columns)
        y = _spread(height, rows)[None, :, None] + down * _half(rows)
        shape = (ops.shape(theta)[0], height, width)
        return ops.broadcast_to(x, shape), ops.broadcast_to(y, shape)

    def get_config(self):
        return asdict(self)

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _half(size):
    return (ops.cast(size, "float32") - 1) / 2


def _spread(count, size):
    """`count` points over `size` pixels, from the centre of the first to that of the last; one in the middle."""
    steps = ops.cast(count, "float32") - 1
    first = ops.where(steps > 0, 0.0, _half(size))
    return first + ops.arange(count, dtype="float32") * (2 * _half(size) / ops.maximum(steps, 1.0))


def _each(theta):
    """The parameters one by one, `(B, 1, 1)`."""
    return [theta[:, place, None, None] for place in range(theta.shape[1])]


@keras.saving.register_keras_serializable(package="kvision")
@dataclass(frozen=True)
class Affine(Transform):
    """Equation 1: `[x'; y'] = [a b c; d e f] [x; y; 1]`."""

    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

    def displacement(self, theta, x, y):
        a, b, c, d, e, f = _each(theta)
        return (a - 1) * x + b * y + c, d * x + (e - 1) * y + f


@keras.saving.register_keras_serializable(package="kvision")
@dataclass(frozen=True)
class Attention(Transform):
    """Equation 2: `[x'; y'] = [s 0 tx; 0 s ty] [x; y; 1]`, a crop. Parameters: s, tx, ty."""

    identity = (1.0, 0.0, 0.0)

    def displacement(self, theta, x, y):
        s, right, down = _each(theta)
        return (s - 1) * x + right, (s - 1) * y + down


@keras.saving.register_keras_serializable(package="kvision")
@dataclass(frozen=True)
class Translation(Transform):
    """Attention of a fixed scale, as for the birds of section 4.3: with 0.5 the crops have half the image's sides.

    Parameters: tx, ty. Without any translation the crop is that of the centre.
    """

    scale: float = 1.0
    identity = (0.0, 0.0)

    def displacement(self, theta, x, y):
        right, down = _each(theta)
        return (self.scale - 1) * x + right, (self.scale - 1) * y + down


@keras.saving.register_keras_serializable(package="kvision")
@dataclass(frozen=True)
class Projective(Transform):
    """`[x'; y'] = [a b c; d e f] [x; y; 1] / (g x + h y + 1)`.

    Where the denominator is within 1e-6 of zero, it is taken as 1e-6 away: far outside of the image, and finite.
    """

    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)

    def displacement(self, theta, x, y):
        a, b, c, d, e, f, g, h = _each(theta)
        depth = g * x + h * y + 1
        depth = ops.where(ops.abs(depth) < 1e-6, ops.where(depth < 0, -1e-6, 1e-6), depth)
        right, down = a * x + b * y + c - x * depth, d * x + e * y + f - y * depth
        return right / depth, down / depth


@keras.saving.register_keras_serializable(package="kvision")
@dataclass(frozen=True)
class ThinPlateSpline(Transform):
    """The smoothest warp that takes each of a grid of control points of the output to its place in the input.

    Args:
        points: how many, a square number; 16 in the paper, 4 x 4 over the whole image.

    Parameters: the places, first x of all control points, row by row, then y of all.

    Raises:
        ValueError: the number is no square, or less than 4.
    """

    points: int = 16

    def __post_init__(self):
        if self.points < 4 or math.isqrt(self.points) ** 2 != self.points:
            raise ValueError(f"`points` is a square number of at least 4, such as 16. Received: {self.points}")

    @property
    def identity(self):
        return tuple(float(value) for value in _control_points(self.points).T.ravel())

    def displacement(self, theta, x, y):
        places = ops.reshape(theta - ops.convert_to_tensor(self.identity, "float32"), (-1, 2, self.points))
        basis = [ops.ones_like(x * y), x + 0 * y, y + 0 * x]
        basis += [_radial((x - float(p)) ** 2 + (y - float(q)) ** 2) for p, q in _control_points(self.points)]
        shares = ops.matmul(ops.stack(basis, axis=-1)[0], _spline(self.points))  # (H', W', points)
        moved = ops.einsum("bkn,hwn->bkhw", places, shares)
        return moved[:, 0], moved[:, 1]


def _control_points(count: int) -> np.ndarray:
    """A regular grid over [-1, 1] x [-1, 1], row by row: `(count, 2)` of x and y."""
    line = np.linspace(-1, 1, math.isqrt(count))
    return np.stack(np.meshgrid(line, line), axis=-1).reshape(count, 2)


def _radial(squares):
    """`r^2 log r^2`, and 0 at 0, from r^2."""
    return squares * ops.log(ops.maximum(squares, 1e-12))


@functools.cache
def _spline(count: int) -> np.ndarray:
    """From displacements of the control points to coefficients of 1, x, y and the radial functions: `(3 + n, n)`.

    The spline passes through the control points, and its radial part neither shifts nor shears (Bookstein 1989).
    """
    points = _control_points(count)
    squares = ((points[:, None] - points[None]) ** 2).sum(-1)
    plane = np.concatenate([np.ones((count, 1)), points], axis=1)
    radial = squares * np.log(np.maximum(squares, 1e-12))
    system = np.block([[plane, radial], [np.zeros((3, 3)), plane.T]])
    return np.linalg.inv(system)[:, :count].astype("float32")

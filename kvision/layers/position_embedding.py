"""Class token and positions: Dosovitskiy et al., ICLR 2021, arXiv:2010.11929, sections 3.1 and 3.2."""

import math

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class ClassToken(keras.layers.Layer):
    """Puts a learned token before the others (x_class of equation 1): `(B, N, D)` to `(B, N + 1, D)`.

    It starts from zero, as in the authors' code.
    """

    def build(self, input_shape):
        self.token = self.add_weight((1, 1, input_shape[-1]), initializer="zeros", name="token")

    def call(self, inputs):
        token = ops.cast(self.token, inputs.dtype)
        return ops.concatenate([ops.repeat(token, ops.shape(inputs)[0], axis=0), inputs], axis=1)

    def compute_output_shape(self, input_shape):
        batch, tokens, width = input_shape
        return (batch, tokens and tokens + 1, width)

    def count_macs(self, input_shape) -> int:
        return 0

    def get_config(self):
        return super().get_config()


@keras.saving.register_keras_serializable(package="kvision")
class PositionEmbedding(keras.layers.Layer):
    """Adds a learned vector to the token of each place (E_pos of equation 1).

    Weights of another grid are resampled when they are loaded (section 3.2): see `resampled`.

    Args:
        grid: rows and columns of the patches. Tokens before them, such as a class token, have a vector each, too.
        initializer: of the vectors; None for N(0, 0.02), as in the authors' code.

    Input and output: `(B, N, D)`, with a known N of at least rows times columns.

    Raises:
        ValueError: N is unknown or smaller.
    """

    def __init__(self, grid, initializer=None, **kwargs):
        super().__init__(**kwargs)
        self.grid = tuple(int(size) for size in grid)
        self.initializer = keras.initializers.get(initializer or keras.initializers.RandomNormal(0.0, 0.02))

    def build(self, input_shape):
        _, tokens, width = input_shape
        if tokens is None or tokens < math.prod(self.grid):
            raise ValueError(
                f"There is a vector for each token: their number is known and at least that of the {self.grid[0]} x "
                f"{self.grid[1]} places. Received: an input of shape {tuple(input_shape)}"
            )
        self.embedding = self.add_weight((1, tokens, width), initializer=self.initializer, name="embedding")

    def call(self, inputs):
        return inputs + ops.cast(self.embedding, inputs.dtype)

    def resampled(self, array: np.ndarray) -> np.ndarray:
        """The vectors `(1, N', D)` of another, square grid at the places of this one: `(1, N, D)`.

        Bilinear, with the outermost places on one another, as the authors' code does it. Those before the patches stay
        as they are. An array that belongs to no square grid is given back.
        """
        before = self.embedding.shape[1] - math.prod(self.grid)
        places = array.shape[1] - before if array.ndim == 3 else 0
        side = math.isqrt(max(places, 0))
        if side == 0 or side**2 != places or array.shape[2] != self.embedding.shape[2]:
            return array
        vectors = array[0, before:].reshape(side, side, -1)
        for axis, size in enumerate(self.grid):
            vectors = _stretched(vectors, size, axis)
        return np.concatenate([array[0, :before], vectors.reshape(math.prod(self.grid), -1)])[None]

    def compute_output_shape(self, input_shape):
        return input_shape

    def count_macs(self, input_shape) -> int:
        return 0

    def get_config(self):
        initializer = keras.initializers.serialize(self.initializer)
        return {**super().get_config(), "grid": self.grid, "initializer": initializer}


def _stretched(array: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Linear between neighbours along an axis, from its first element to its last in `size` steps."""
    places = np.linspace(0, array.shape[axis] - 1, size)
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, array.shape[axis] - 1)
    shape = [-1 if number == axis else 1 for number in range(array.ndim)]
    share = (places - low).reshape(shape)
    return np.take(array, low, axis) * (1 - share) + np.take(array, high, axis) * share

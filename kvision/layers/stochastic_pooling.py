"""Stochastic pooling: Zeiler & Fergus, "Stochastic Pooling for Regularization of Deep Networks", arXiv:1301.3557."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class StochasticPooling2D(keras.layers.Layer):
    """Pools each window by chance in training, by the expected value in inference (ICLR 2013, section 3).

    A window of activations a has probabilities `p_i = a_i / sum a` (equation 4). Training picks `a_l` with `l ~ p`
    (equation 5), for each image, window and channel anew; inference gives `sum p_i a_i` (equation 6). A window of zeros
    gives 0. Activations are meant to be rectified; negative ones count as 0. Zeros padded at the border are never
    picked and weigh nothing, so `keras.layers.ZeroPadding2D` in front lets windows hang over it.

    Args:
        pool_size: height and width of a window, an integer or a pair.
        strides: an integer or a pair; None for the pool size.
        seed: of the choices.

    Input `(B, H, W, C)`, output `(B, H', W', C)` with H' = floor((H - size) / stride) + 1, and W' likewise.
    """

    def __init__(self, pool_size=3, strides=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = (pool_size, pool_size) if isinstance(pool_size, int) else tuple(pool_size)
        strides = self.pool_size if strides is None else strides
        self.strides = (strides, strides) if isinstance(strides, int) else tuple(strides)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=None):
        windows = self._windows(ops.relu(ops.cast(inputs, "float32")))
        if training:
            # Of exponential times E_i at rates a_i, the first is l with probability p_l: argmin E_i / a_i.
            times = -ops.log(keras.random.uniform(ops.shape(windows), 1e-7, 1.0, seed=self.seed_generator))
            first = ops.argmax(windows / times, axis=0)
            picked = ops.one_hot(first, windows.shape[0], axis=0, dtype="float32")
            outputs = ops.sum(windows * picked, axis=0)
        else:
            total = ops.sum(windows, axis=0)
            outputs = ops.sum(ops.square(windows), axis=0) / ops.where(total > 0, total, 1.0)
        return ops.cast(outputs, self.compute_dtype)

    def _windows(self, x):
        """The values of each window, by their place in it: `(height * width of a window, B, H', W', C)`."""
        (height, width), (down, right) = self.pool_size, self.strides
        places = [(i, j) for i in range(height) for j in range(width)]
        return ops.stack(
            [x[:, i : (i - height + 1) or None : down, j : (j - width + 1) or None : right] for i, j in places]
        )

    def compute_output_shape(self, input_shape):
        sizes = zip(input_shape[1:3], self.pool_size, self.strides, strict=True)
        pooled = [None if size is None else (size - window) // stride + 1 for size, window, stride in sizes]
        return (input_shape[0], *pooled, input_shape[3])

    def get_config(self):
        config = {"pool_size": self.pool_size, "strides": self.strides, "seed": self.seed}
        return {**super().get_config(), **config}

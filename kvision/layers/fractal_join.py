"""Drop-path: Larsson, Maire & Shakhnarovich, "FractalNet", arXiv:1605.07648, section 3."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class GlobalDropPath(keras.layers.Layer):
    """Decides once for all joins of a network which single column lives, if one does (section 3, "Global").

    Training draws anew for each batch, as the paper presents "a different active subnetwork to each mini-batch": with
    probability `share` one column, all equally likely; else none, and every `FractalJoin` drops by itself ("Local").
    Inference picks none.

    Args:
        columns: how many the network has.
        share: of the batches that see a single column, in [0, 1].
        seed: of the draws.

    Input: any tensor, whose values do not matter; it gives the layer a place in the network. Output `(columns,)`,
    without batch: 1 for the column that lives and 0 for the others, or all 0.

    Raises:
        ValueError: fewer than one column, or a share out of its range.
    """

    def __init__(self, columns, share=0.5, seed=None, **kwargs):
        super().__init__(**kwargs)
        if columns < 1 or not 0 <= share <= 1:
            raise ValueError(
                f"`columns` is at least 1, and `share` is a probability. Received: columns={columns} and share={share}"
            )
        self.columns = columns
        self.share = share
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=None):
        if not (training and self.share):
            return ops.zeros((self.columns,), self.compute_dtype)
        # `columns` of these `columns / share` unit intervals are the columns, the rest are none.
        draw = keras.random.uniform((), 0, self.columns / self.share, dtype="float32", seed=self.seed_generator)
        return ops.cast(ops.equal(ops.floor(draw), ops.arange(self.columns, dtype="float32")), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (self.columns,)

    def get_config(self):
        return {**super().get_config(), "columns": self.columns, "share": self.share, "seed": self.seed}


@keras.saving.register_keras_serializable(package="kvision")
class FractalJoin(keras.layers.Layer):
    """Joins columns: the elementwise mean of those that are alive (section 2).

    Training drops each input with probability `rate`, for the whole batch; where that leaves none, one survives, each
    with the same probability (section 3, "Local"). Inference drops none. A column that `GlobalDropPath` picked goes
    before both: it alone lives. A join that this column does not pass goes on as if none was picked: the joins behind
    it drop what it gives.

    What is dropped has weight 0 in the mean, and passes no gradient. It is computed nevertheless.

    Args:
        rate: the probability to drop an input, in [0, 1].
        seed: of the draws.

    Inputs: a list of `(B, ..., C)` of one shape, the columns that end here, the shallowest first; and, if there is one,
    the `(columns,)` of `GlobalDropPath`. The inputs are the last of these columns. Output `(B, ..., C)`.

    Raises:
        ValueError: a rate out of its range, inputs of different shapes, or more inputs than columns.
    """

    def __init__(self, rate=0.15, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate <= 1:
            raise ValueError(f"`rate` is a probability. Received: rate={rate}")
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, inputs_shape, column_shape=None):
        shapes = [tuple(shape) for shape in inputs_shape]
        if len(set(shapes)) > 1:
            raise ValueError(f"A join takes inputs of one shape. Received: {shapes}")
        if column_shape is not None and column_shape[0] < len(shapes):
            raise ValueError(f"{len(shapes)} inputs cannot be the last of {column_shape[0]} columns.")

    def call(self, inputs, column=None, training=None):
        count = len(inputs)
        if training and self.rate:
            # An input lives if its draw reaches the rate; the largest draw always does. It is anyone's.
            draws = keras.random.uniform((count,), dtype="float32", seed=self.seed_generator)
            alive = ops.cast(draws >= ops.minimum(self.rate, ops.max(draws)), self.compute_dtype)
        else:
            alive = ops.ones((count,), self.compute_dtype)
        if column is not None:
            picked = ops.cast(column, self.compute_dtype)[-count:]
            alive = ops.where(ops.any(picked > 0), picked, alive)
        return sum(x * alive[place] for place, x in enumerate(inputs)) / ops.sum(alive)

    def compute_output_shape(self, inputs_shape, column_shape=None):
        return tuple(inputs_shape[0])

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}

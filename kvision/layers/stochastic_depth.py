"""Stochastic depth: Huang, Sun, Liu, Sedra & Weinberger, ECCV 2016, arXiv:1603.09382."""

import keras
from keras import ops

from kvision.layers.nested import Nested


@keras.saving.register_keras_serializable(package="kvision")
class StochasticDepth(keras.layers.Layer):
    """The gate of a residual branch: open with probability `survival` in training, `survival` times it in inference.

    `b f(x)` with b of Bernoulli(p) (equation 2), and `p f(x)` (equation 5). Kept branches are not scaled up. The branch
    itself is computed, and its batch norms see the batch, whether the gate is open or not; see `SkippedBranch`.

    Args:
        survival: the paper's p_l, in (0, 1].
        per: "batch", one gate for all examples of a batch, as published, or "sample", one for each.
        seed: of the gates.
        rescale: inference multiplies by `survival`, as published; False leaves the branch as it is.

    Input and output: `(B, ..., C)`.

    Raises:
        ValueError: an argument out of its range.
    """

    def __init__(self, survival, per="batch", seed=None, rescale=True, **kwargs):
        super().__init__(**kwargs)
        self.survival = _probability(survival)
        self.rescale = rescale
        if per not in ("batch", "sample"):
            raise ValueError(f"`per` is 'batch' or 'sample'. Received: per={per!r}")
        self.per = per
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=None):
        if not training:
            return inputs * self.survival if self.rescale else inputs
        shape = () if self.per == "batch" else (ops.shape(inputs)[0], *[1] * (len(inputs.shape) - 1))
        is_open = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator) < self.survival
        return inputs * ops.cast(is_open, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        own = {"survival": self.survival, "per": self.per, "seed": self.seed, "rescale": self.rescale}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="kvision")
class SkippedBranch(Nested):
    """A residual branch that is not computed where its gate is closed: what makes training shorter (section 3).

    Training gives `shortcut + f(x)` with probability `survival`, else the shortcut: a closed gate costs neither the
    forward nor the backward pass, gives zero gradients, and leaves the moving statistics as they are, as in the
    authors' code. Inference gives `shortcut + survival f(x)`. There is one gate for a batch.

    Args:
        model: the branch f, a built Functional model with one input and one output.
        survival: the paper's p_l, in (0, 1].
        seed: of the gates. The same draws as `StochasticDepth(per="batch")` with this seed.

    Input `[shortcut, x]`, output like the shortcut.

    Raises:
        ValueError: a probability out of its range, or no Functional model.
    """

    def __init__(self, model, survival, seed=None, **kwargs):
        super().__init__(model, **kwargs)
        self.survival = _probability(survival)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=None):
        shortcut, x = (ops.cast(tensor, self.compute_dtype) for tensor in inputs)
        if not training:
            return shortcut + self.survival * self.model(x, training=False)
        trainable, state = self.values()

        def computed():  # without side effects: what it would assign comes out of the condition
            y, new_state = self.model.stateless_call(trainable, state, x, training=True)
            return shortcut + y, new_state

        is_open = keras.random.uniform((), dtype="float32", seed=self.seed_generator) < self.survival
        y, state = ops.cond(is_open, computed, lambda: (shortcut, state))
        self.keep(state)
        return y

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def for_inference(self) -> keras.Model:
        """`shortcut + survival f(x)` as a plain model."""
        x = self.model.inputs[0]
        shortcut, x = keras.Input(self.model.output.shape[1:], dtype=x.dtype), keras.Input(x.shape[1:], dtype=x.dtype)
        y = keras.layers.Rescaling(self.survival, dtype=self.dtype_policy)(self.model(x))
        return keras.Model([shortcut, x], keras.layers.Add(dtype=self.dtype_policy)([shortcut, y]), name=self.name)

    def get_config(self):
        return {**super().get_config(), "survival": self.survival, "seed": self.seed}


def _probability(survival) -> float:
    if not 0 < survival <= 1:
        raise ValueError(f"`survival` is a probability in (0, 1]. Received: survival={survival}")
    return float(survival)

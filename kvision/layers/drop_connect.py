"""DropConnect: Wan, Zeiler, Zhang, LeCun & Fergus, "Regularization of Neural Networks using DropConnect", ICML 2013."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class DropConnect(keras.layers.Dense):
    """A dense layer that drops its weights in training: `r = a((M * W) v)`, M of Bernoulli(1 - rate) (section 3).

    Every example draws its own mask, and biases are masked too, as in the paper; kept weights are not scaled up. A
    training step thus holds `B C units` masked weights.

    Inference does not average the weights (that is dropout's way) but the activations, which the paper approximates by
    those of a Gaussian `u` with the moments of `(M * W) v` (section 3.2, Algorithm 2), p = 1 - rate:

        mean = p W v,    variance = p (1 - p) (W * W) (v * v)

    The paper samples u; here the mean of a(u) is taken in closed form, so that inference is deterministic. For the
    rectifier it is `mean Phi(mean / s) + s phi(mean / s)`, with s the standard deviation, and Phi and phi the normal
    distribution and density; without activation it is the mean.

    Args:
        units: width of the output.
        rate: the probability to drop a weight, in [0, 1): the paper's 1 - p.
        activation: "relu" or None.
        seed: of the masks.
        use_bias, kernel_initializer, ...: as in `keras.layers.Dense`.

    Input `(B, C)`, output `(B, units)`.

    Raises:
        ValueError: a rate out of its range, or an activation without the closed form.
    """

    def __init__(self, units, rate=0.5, activation="relu", seed=None, **kwargs):
        super().__init__(units, activation=activation, **kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` is a probability in [0, 1). Received: rate={rate}")
        if self.activation not in (keras.activations.relu, keras.activations.linear):
            raise ValueError(f"`activation` is 'relu' or None. Received: activation={activation!r}")
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        if len(input_shape) != 2:
            raise ValueError(f"DropConnect takes inputs of shape (B, C). Received: {input_shape}")
        super().build(input_shape)

    def call(self, inputs, training=None):
        if training:
            masked = self._masked(self.kernel, inputs)
            x = ops.squeeze(ops.matmul(ops.expand_dims(inputs, 1), masked), 1)
            return self.activation(x + self._masked(self.bias, inputs) if self.use_bias else x)
        v, keep = ops.cast(inputs, "float32"), 1 - self.rate
        kernel = ops.cast(self.kernel, "float32")
        bias = ops.cast(self.bias, "float32") if self.use_bias else ops.zeros(self.units)
        outputs = keep * (ops.matmul(v, kernel) + bias)
        if self.activation is keras.activations.relu:
            variance = keep * self.rate * (ops.matmul(ops.square(v), ops.square(kernel)) + ops.square(bias))
            outputs = _mean_of_rectified(outputs, variance)
        return ops.cast(outputs, self.compute_dtype)

    def _masked(self, weights, inputs):
        """The weights as each example sees them: `(B, *weights.shape)`."""
        shape = (ops.shape(inputs)[0], *weights.shape)
        kept = keras.random.uniform(shape, seed=self.seed_generator) >= self.rate
        return ops.where(kept, ops.cast(weights, self.compute_dtype), 0)

    def count_macs(self, input_shape) -> int:
        """Of inference: the mean, and for the rectifier the variance, are a matrix product each."""
        moments = 2 if self.activation is keras.activations.relu else 1
        return moments * math.prod(input_shape) * self.units

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


def _mean_of_rectified(mean, variance):
    """E[max(0, u)] of u ~ N(mean, variance)."""
    deviation = ops.sqrt(ops.maximum(variance, 1e-12))
    z = mean / deviation
    below = 0.5 * (1 + ops.erf(z / math.sqrt(2)))
    density = ops.exp(-0.5 * ops.square(z)) / math.sqrt(2 * math.pi)
    return mean * below + deviation * density

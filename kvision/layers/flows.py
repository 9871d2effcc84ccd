"""Flows: transformations of a random vector that know how its density changes.

Rezende & Mohamed, "Variational Inference with Normalizing Flows", ICML 2015, arXiv:1505.05770, section 4.1; Chen,
Rubanova, Bettencourt & Duvenaud, "Neural Ordinary Differential Equations", NeurIPS 2018, arXiv:1806.07366, section 4.
"""

import keras
from keras import ops


def planar(z, u, w, b):
    """`z + u tanh(w . z + b)`, and the logarithm of its Jacobian's determinant, `log |1 + u . psi(z)|` (equation 12).

    Args:
        z: vectors `(B, D)`.
        u, w: `(D,)`; b: a scalar.

    Returns:
        `(B, D)` and `(B,)`.
    """
    h = ops.tanh(z @ w[:, None] + b)  # (B, 1)
    return z + h * u, ops.log(ops.abs(1 + (1 - ops.square(h[:, 0])) * ops.sum(u * w)))


@keras.saving.register_keras_serializable(package="kvision")
class PlanarFlow(keras.layers.Layer):
    """One planar transformation (arXiv:1505.05770, equations 10 to 13), kept invertible.

    It has an inverse where `w . u >= -1`. What is learned is another u, whose part along w is moved to where that holds
    (appendix A.1): `u + (m(w . u) - w . u) w / |w|^2` with `m(x) = -1 + log(1 + e^x)`.

    Input: vectors `(B, D)`, or a list of those and their log-densities `(B,)`. Output: a list of the transformed
    vectors and their log-densities (without any given, the change). Computed in float32. Parameters: 2 D + 1.
    """

    def build(self, input_shape):
        size = (input_shape[0] if isinstance(input_shape[0], (list, tuple)) else input_shape)[-1]
        start = keras.initializers.RandomNormal(0.0, 0.1)
        self.u = self.add_weight((size,), initializer=start, name="u")
        self.w = self.add_weight((size,), initializer=start.clone(), name="w")
        self.b = self.add_weight((), initializer="zeros", name="b")

    def call(self, inputs):
        z, density = inputs if isinstance(inputs, (list, tuple)) else (inputs, 0.0)
        z = ops.cast(z, self.variable_dtype)
        u, w = ops.convert_to_tensor(self.u.value), ops.convert_to_tensor(self.w.value)
        along = ops.sum(u * w)
        u = u + (ops.softplus(along) - 1 - along) * w / ops.maximum(ops.sum(ops.square(w)), 1e-12)
        z, change = planar(z, u, w, ops.convert_to_tensor(self.b.value))
        density = ops.cast(density, self.variable_dtype) - change
        return [ops.cast(z, self.compute_dtype), ops.cast(density, self.compute_dtype)]

    def compute_output_shape(self, input_shape):
        shape = input_shape[0] if isinstance(input_shape[0], (list, tuple)) else input_shape
        return [tuple(shape), tuple(shape[:1])]


class _Traced(keras.layers.Layer):
    """Base of the dynamics of a vector together with its log-density, for `ODEBlock`."""

    def __init__(self, dynamics: keras.layers.Layer, **kwargs):
        super().__init__(**kwargs)
        if keras.backend.backend() != "tensorflow":
            raise NotImplementedError(f"The trace needs TensorFlow. The backend is {keras.backend.backend()}.")
        self.dynamics = dynamics

    def build(self, t_shape, state_shape):
        if not self.dynamics.built:
            specs = [keras.KerasTensor(shape, self.compute_dtype) for shape in ((), tuple(state_shape[0]))]
            self.dynamics(*specs)

    def get_config(self):
        dynamics = keras.saving.serialize_keras_object(self.dynamics)
        dynamics.pop("build_config", None)  # built by this layer, its variables have their paths under it
        return {**super().get_config(), "dynamics": dynamics}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "dynamics": keras.saving.deserialize_keras_object(config["dynamics"])})


@keras.saving.register_keras_serializable(package="kvision")
class ExactTrace(_Traced):
    """`dz/dt = f(t, z)` and `d log p(z) / dt = -tr(df/dz)` (arXiv:1806.07366, theorem 1): a continuous flow.

        flow = ODEBlock(ExactTrace(dynamics))
        z, density = flow([z, density])

    The trace takes one gradient for each dimension of z.

    Args:
        dynamics: a layer called as `dynamics(t, z)`, with t a scalar and z `(B, D)`.

    Called as `layer(t, [z, density])` with z `(B, D)` and the log-density `(B,)`; gives their derivatives.

    Raises:
        NotImplementedError: on another backend than TensorFlow.
    """

    def call(self, t, state):
        import tensorflow as tf

        z, _ = state
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(z)
            k = self.dynamics(t, z)
            components = tf.unstack(k, axis=-1)
        gradients = [tape.gradient(component, z, unconnected_gradients="zero") for component in components]
        return [k, -sum(gradient[:, place] for place, gradient in enumerate(gradients))]


@keras.saving.register_keras_serializable(package="kvision")
class HutchinsonTrace(_Traced):
    """`ExactTrace` by an estimate: `tr(df/dz)` is the mean of `e . (df/dz) e` over noise e of unit covariance.

    One gradient, of however many dimensions (Grathwohl et al., FFJORD, arXiv:1810.01367, section 3.1). The noise is
    part of the state, the same along one solution:

        z, density, _ = ODEBlock(HutchinsonTrace(dynamics))([z, density, keras.random.normal(z.shape, seed=seed)])

    Args and errors as of `ExactTrace`. Called as `layer(t, [z, density, noise])`; gives their derivatives.
    """

    def call(self, t, state):
        import tensorflow as tf

        z, _, noise = state
        with tf.GradientTape() as tape:
            tape.watch(z)
            k = self.dynamics(t, z)
        product = tape.gradient(k, z, noise, unconnected_gradients="zero")
        return [k, -tf.reduce_sum(product * noise, axis=-1), tf.zeros_like(noise)]

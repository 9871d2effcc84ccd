"""Densities in closed form, and determinants by automatic differentiation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.layers import ODEBlock
from kvision.layers.flows import ExactTrace, HutchinsonTrace, PlanarFlow, planar

RANDOM = np.random.default_rng(0)


def determinants(function, z):
    @tf.function
    def row(z, place):
        with tf.GradientTape() as tape:
            tape.watch(z)
            y = function(z)[:, place]
        return tape.gradient(y, z)

    return np.linalg.det(np.stack([row(tf.constant(z), place) for place in range(z.shape[1])], axis=1))


def test_a_planar_map_by_hand():
    """tanh(1.1) = 0.800499, and 1 - 0.7 (1 - 0.800499^2) = 0.748559."""
    z, u, w = np.float32([[0.2, 0.4]]), np.float32([0.3, -0.5]), np.float32([1.0, 2.0])
    y, change = planar(z, u, w, 0.1)
    np.testing.assert_allclose(y, [[0.2 + 0.3 * 0.800499, 0.4 - 0.5 * 0.800499]], atol=1e-6)
    assert np.exp(change[0]) == pytest.approx(0.7485591, abs=1e-6)
    assert determinants(lambda z: planar(z, u, w, 0.1)[0], z) == pytest.approx(0.7485591, abs=1e-6)


def test_a_planar_flow_stays_invertible():
    """Even where w . u is far below -1: the determinant is positive everywhere."""
    flow = PlanarFlow()
    z = RANDOM.normal(size=(50, 2)).astype("float32") * 3
    flow(z)
    flow.u.assign([-4.0, 1.0])
    flow.w.assign([2.0, 0.5])
    y, density = flow(z)
    found = determinants(lambda z: flow(z)[0], z)
    assert found.min() > 0
    np.testing.assert_allclose(density, -np.log(found), atol=1e-4)
    _, total = flow([y, density])
    np.testing.assert_allclose(total, density + flow(y)[1], atol=1e-5)


@keras.saving.register_keras_serializable(package="tests")
class Linear(keras.layers.Layer):
    """f = A z"""

    def build(self, t_shape, z_shape):
        self.a = self.add_weight(
            (z_shape[-1],) * 2, initializer=keras.initializers.RandomNormal(0, 1, seed=3), name="a"
        )

    def call(self, t, z):
        return z @ keras.ops.transpose(self.a)


def test_a_linear_flow_changes_the_density_by_the_trace():
    """Theorem 1 with f = A z: log p falls by T tr A, and z is e^{AT} z(0)."""
    linear, z = Linear(dtype="float64"), RANDOM.normal(size=(4, 3))
    flow = ODEBlock(ExactTrace(linear, dtype="float64"), times=(0, 0.5), rtol=1e-9, atol=1e-9, dtype="float64")
    y, density = flow([z, np.zeros(4)])
    a = linear.a.numpy()
    values, vectors = np.linalg.eig(a)
    exponential = (vectors @ np.diag(np.exp(values / 2)) @ np.linalg.inv(vectors)).real
    np.testing.assert_allclose(y, z @ exponential.T, atol=1e-7)
    np.testing.assert_allclose(density, np.full(4, -0.5 * np.trace(a)), atol=1e-7)


class Curved(keras.layers.Layer):
    def call(self, t, z):
        return keras.ops.tanh(keras.ops.roll(z, 1, -1) * z + t)


def test_the_density_is_that_of_the_solution():
    """The determinant of the whole map, by differentiating through the solver."""
    flow = ODEBlock(ExactTrace(Curved(dtype="float64"), dtype="float64"), rtol=1e-8, atol=1e-8, dtype="float64")
    z = RANDOM.normal(size=(3, 2))
    _, density = flow([z, np.zeros(3)])
    backpropagated = ODEBlock(Curved(dtype="float64"), rtol=1e-8, atol=1e-8, adjoint=False, dtype="float64")
    np.testing.assert_allclose(density, -np.log(determinants(backpropagated, z)), atol=1e-6)


def test_hutchinson_estimates_the_trace_without_bias():
    """Over noise of signs: the mean is the trace, and exactly it where f acts on each dimension alone."""
    linear, z = Linear(), np.zeros((4000, 3), "float32")
    noise = RANDOM.choice(np.float32([-1, 1]), size=(4000, 3))
    estimate = HutchinsonTrace(linear)
    k, density, still = estimate(np.float32(0), [z, np.zeros(4000, "float32"), noise])
    a = linear.a.numpy()
    deviation = np.sqrt(((a + a.T)[np.triu_indices(3, 1)] ** 2).sum() / 4000)
    assert np.mean(density) == pytest.approx(-np.trace(a), abs=4 * float(deviation)) and np.std(density) > 0.1
    assert not np.any(still) and not np.any(k)
    linear.a.assign(np.diag(np.diag(a)))
    _, density, _ = estimate(np.float32(0), [z[:5], np.zeros(5, "float32"), noise[:5]])
    np.testing.assert_allclose(density, np.full(5, -np.trace(a)), atol=1e-5)


@pytest.mark.parametrize("adjoint", [True, False])
def test_a_flow_learns(adjoint):
    """The gradient of the likelihood, which differentiates the trace: adjoint and backpropagation agree."""
    linear = Linear(dtype="float64")
    flow = ODEBlock(ExactTrace(linear, dtype="float64"), rtol=1e-9, atol=1e-9, adjoint=adjoint, dtype="float64")
    z = np.random.default_rng(1).normal(size=(4, 2))
    with tf.GradientTape() as tape:
        y, density = flow([z, np.zeros(4)])
        loss = tf.reduce_sum(density)
    (gradient,) = tape.gradient(loss, [linear.a.value])
    np.testing.assert_allclose(gradient, -4 * np.eye(2), atol=1e-6)

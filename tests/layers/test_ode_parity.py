"""States and gradients equal torchdiffeq's, from a golden file in float64. Needs neither torch nor network.

What it calls "rk4" is the 3/8 rule, and "heun2" is Heun's method.
"""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.layers import ODEBlock

GOLDEN = np.load(pathlib.Path(__file__).parents[1] / "golden" / "torchdiffeq.npz")
TIMES = tuple(GOLDEN["times"])
FIXED = {"euler": "euler", "midpoint": "midpoint", "heun2": "heun", "rk4": "rk4_38"}
ADAPTIVE = {"bosh3": 1e-7, "dopri5": 1e-9}  # and their tolerances
REGENERATE = "pip install -e '.[parity]' && python tests/golden/generate_solvers.py"


class System(keras.layers.Layer):
    """Dynamics with the golden file's parameters."""

    names = ()

    def __init__(self):
        super().__init__(dtype="float64")
        for name in self.names:
            value = GOLDEN[f"{type(self).__name__.lower()}.{name}"]
            setattr(self, name, self.add_weight(value.shape, name=name))
            getattr(self, name).assign(value)


class Spiral(System):
    names = ("a",)

    def call(self, t, y):
        return y**3 @ self.a


class Network(System):
    names = ("w1", "b1", "w2", "b2")

    def call(self, t, y):
        y = keras.ops.concatenate([y, t * keras.ops.ones_like(y[:, :1])], -1)
        return keras.ops.tanh(y @ self.w1 + self.b1) @ self.w2 + self.b2


def answers(dynamics, **arguments) -> dict[str, np.ndarray]:
    """What the golden file has of a method: the states at all times, `(T, B, D)`, and the gradients of sum(y cos y).

    The times are constants here. Their gradients follow from those of the states by the dynamics there (Appendix C of
    arXiv:1806.07366): of a later time, the loss's at its state; of the first, all that comes back to it, with the
    opposite sign.
    """
    block = ODEBlock(dynamics, TIMES, return_sequences=True, dtype="float64", **arguments)
    start = tf.constant(GOLDEN[f"{type(dynamics).__name__.lower()}.y"])

    @tf.function
    def run(y):
        with tf.GradientTape() as tape:
            tape.watch(y)
            states = block(y)
            loss = tf.reduce_sum(states * tf.cos(states))
        return tf.transpose(states, (1, 0, 2)), tape.gradient(loss, [y, *dynamics.trainable_variables])

    states, gradients = run(start)
    upstream = tf.cos(states) - states * tf.sin(states)
    upstream = [upstream[0] - gradients[0], *upstream[1:]]
    times = [tf.reduce_sum(g * dynamics(t, y)) for g, t, y in zip(upstream, TIMES, states, strict=True)]
    named = zip(("y", *dynamics.names), gradients, strict=True)
    return {"states": states, "dt": times, **{f"d{name}": gradient for name, gradient in named}}


def differences(found, method, names):
    """The largest difference of each, by the largest number of the golden file's."""
    golden = {name: GOLDEN[f"{method}.{name}"] for name in names}
    return {name: np.abs(np.array(found[name]) - value).max() / np.abs(value).max() for name, value in golden.items()}


SYSTEMS = pytest.mark.parametrize("system", [Spiral, Network], ids=["spiral", "network"])


@SYSTEMS
@pytest.mark.parametrize("method", FIXED)
def test_steps_of_fixed_size(system, method):
    """The same steps forwards, and backwards for the adjoint: to the last digits."""
    dynamics = system()
    found = answers(dynamics, solver=FIXED[method], steps=int(GOLDEN["steps"]))
    name = f"{type(dynamics).__name__.lower()}.{method}"
    different = differences(found, name, ("states", "dy", *(f"d{parameter}" for parameter in dynamics.names)))
    print(f"{name}: {different} (torchdiffeq {GOLDEN['torchdiffeq']})")
    assert max(different.values()) < 1e-12, f"the golden file is rewritten with: {REGENERATE}"


@SYSTEMS
@pytest.mark.parametrize("method", ADAPTIVE)
def test_steps_as_large_as_the_tolerance_allows(system, method):
    """Both err, by about the tolerance at each of some hundred steps, which they choose for themselves."""
    dynamics = system()
    found = answers(dynamics, solver=method, rtol=ADAPTIVE[method], atol=ADAPTIVE[method])
    name = f"{type(dynamics).__name__.lower()}.{method}"
    different = differences(found, name, found)
    print(f"{name}: {different} (torchdiffeq {GOLDEN['torchdiffeq']})")
    assert max(different.values()) < 100 * ADAPTIVE[method], f"the golden file is rewritten with: {REGENERATE}"


def test_the_classic_method_is_another():
    """Of the same order as the 3/8 rule, and so close to it: the comparison tells them apart."""
    found = answers(Spiral(), solver="rk4", steps=int(GOLDEN["steps"]))
    assert differences(found, "spiral.rk4", ("states",))["states"] > 1e-6

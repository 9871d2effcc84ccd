import keras
import numpy as np

from kvision.applications.continuous_flow import HyperDynamics
from kvision.layers import ODEBlock
from kvision.layers.flows import ExactTrace

RANDOM = np.random.default_rng(0)


def test_parameters_by_hand():
    """From time to 32, to 32, to 64 units of two directions, a gate of one, and a bias."""
    layer = HyperDynamics()
    layer(np.float32(0), RANDOM.normal(size=(2, 2)))
    assert (1 * 32 + 32, 32 * 32 + 32, 32 * 448 + 448) == (64, 1_056, 14_784)
    assert sum(np.prod(w.shape) for w in layer.trainable_weights) == 64 + 1_056 + 14_784 == 15_904


def test_units_and_their_trace_by_hand():
    """The mean of planar units; the divergence of each is (1 - tanh^2) w . u."""
    layer, z, t = HyperDynamics(hidden=3, width=5, dtype="float64"), RANDOM.normal(size=(4, 2)), np.float64(0.7)
    change, trace = ExactTrace(layer, dtype="float64")(t, [keras.ops.convert_to_tensor(z), np.zeros(4)])
    w, u, b = map(np.array, layer.parameters(t))
    activations = np.tanh(z[:, None] @ w.T + b)[:, 0]
    np.testing.assert_allclose(change, sum(activations[:, [n]] * u[n] for n in range(5)) / 5, atol=1e-12)
    np.testing.assert_allclose(-trace, (1 - activations**2) @ np.sum(w * u, -1) / 5, atol=1e-12)
    assert np.abs(np.array(layer.parameters(0.0)[1]) - u).max() > 1e-3


def test_there_and_back_saved_and_reloaded(tmp_path):
    """A flow has an inverse, the same equation backwards, with the density."""
    z, density = keras.Input((2,)), keras.Input(())
    dynamics = HyperDynamics(hidden=4, width=6)
    there, back = (
        ODEBlock(ExactTrace(dynamics), times, solver="rk4", steps=20, name=name)
        for name, times in (("there", (0, 3)), ("back", (3, 0)))
    )
    model = keras.Model([z, density], there([z, density]))
    points = [RANDOM.normal(size=(7, 2)).astype("float32"), RANDOM.normal(size=7).astype("float32")]
    moved = model(points)
    assert np.abs(moved[0] - points[0]).max() > 0.01
    for found, expected in zip(back(moved), points, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    model.save(tmp_path / "flow.keras")
    reloaded = keras.models.load_model(tmp_path / "flow.keras")
    for found, expected in zip(reloaded(points), moved, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)

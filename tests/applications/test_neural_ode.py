"""The paper's claims about the structure of the networks of Table 1."""

import numpy as np
import pytest

from kvision import applications
from kvision.applications.neural_ode import ConvolutionalDynamics, blocks, residuals, solved
from kvision.blocks.bind import bind
from kvision.layers import ODEBlock

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(size=(2, 28, 28, 1)).astype("float32")
TINY = dict(width=4)


def test_parameters_by_hand():
    """Convolutions of 64 channels, two scalars for each normalized channel, 64 x 10 + 10 for the classes."""
    norm, head = 2 * 64, 2 * 64 + 650
    dynamics = 2 * (9 * 65 * 64 + 64) + 3 * norm
    block = 2 * 9 * 64 * 64 + 2 * norm
    convolutions = (9 * 64 + 64) + 2 * (16 * 64 * 64 + 64 + norm)
    residual = (9 * 64 + 64) + 2 * (block + 64 * 64)
    assert dynamics == 75_392
    assert applications.ODENet.params == applications.RKNet.params == convolutions + dynamics + head
    assert applications.ODEResNet.params == convolutions + 6 * block + head
    assert applications.ODENet(downsample=residuals).count_params() == residual + dynamics + head == 232_970
    assert applications.ODEResNet(downsample=residuals).count_params() == residual + 6 * block + head == 601_482


@pytest.mark.parametrize(("changes", "size"), [({}, 6), (dict(downsample=residuals), 7)])
@pytest.mark.parametrize("transform", [solved, blocks])
def test_shapes(changes, size, transform):
    model = applications.ODENet(**TINY, **changes, transform=transform)
    assert model.get_layer("norm").input.shape == (None, size, size, 4)


def test_the_dynamics_by_hand():
    """Two channels in as many groups; zeros around the image, and around the time."""
    dynamics = ConvolutionalDynamics(2)
    y, t = RANDOM.normal(size=(1, 5, 5, 2)).astype("float32"), np.float32(0.3)
    dynamics(t, y)
    weights = {v.path.partition("/")[2]: np.asarray(v) for v in dynamics.weights}

    def norm(x):
        return (x - x.mean((1, 2))) / np.sqrt(x.var((1, 2)) + 1e-5)

    def conv(x, name):
        x = np.concatenate([np.full_like(x[..., :1], t), np.maximum(norm(x), 0)], -1)
        x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))  # (1, 5, 5, 3, kh, kw)
        return np.einsum("bhwcij,ijcf->bhwf", windows, weights[f"{name}/kernel"]) + weights[f"{name}/bias"]

    np.testing.assert_allclose(dynamics(t, y), norm(conv(conv(y, "conv1"), "conv2")), atol=1e-5)


def test_the_gradient_is_what_the_two_networks_differ_in():
    """RK-Net backpropagates through the solver (section 3): the same answers of the same weights."""
    ode, rk = applications.ODENet(**TINY), applications.RKNet(**TINY)
    rk.set_weights(ode.get_weights())
    np.testing.assert_array_equal(ode(X), rk(X))
    blocks = [next(layer for layer in model.layers if isinstance(layer, ODEBlock)) for model in (ode, rk)]
    assert [block.adjoint for block in blocks] == [True, False]
    assert all(block.solver.name == "dopri5" and block.rtol == block.atol == 1e-3 for block in blocks)


def test_tighter_tolerances_cost_evaluations():
    """Figure 3: and the answers converge."""
    answers, evaluations, weights = [], [], None
    for tolerance in (1e-1, 1e-3, 1e-5):
        options = dict(rtol=tolerance, atol=tolerance, count_evaluations=True)
        model = applications.ODENet(**TINY, transform=bind(solved, **options))
        model.set_weights(weights or model.get_weights())
        weights = model.get_weights()
        answers.append(np.array(model(X)))
        evaluations.append(model.get_layer("ode").evaluations[0])
    assert evaluations[0] < evaluations[1] < evaluations[2]
    assert np.abs(answers[1] - answers[2]).max() < np.abs(answers[0] - answers[2]).max()


def test_residual_blocks_are_what_the_equation_replaces():
    names = [layer.name for layer in applications.ODEResNet(**TINY).layers]
    assert sum(name.startswith("blocks.") and name.endswith(".add") for name in names) == 6 and "ode" not in names

"""The paper's own claims: variances known in advance, blocks that start as their shortcuts, no batch statistics."""

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.applications.nf_resnet import NFResNet, normalizer_free, pooled
from kvision.blocks.bind import bind
from kvision.blocks.stages import units
from kvision.evaluation import count_macs
from kvision.export import for_inference
from kvision.layers import CBAM, ChannelGate, GammaActivation, ScaledStdConv2D, SkipInit, SqueezeExcite

RANDOM = np.random.default_rng(0)
TINY = dict(input_shape=(32, 48, 3), depths=(1, 2), widths=(16, 24), classes=5, classifier_activation=None)
X = RANDOM.normal(size=(4, 32, 48, 3)).astype("float32")


def open_branches(model, value=1.0):
    """Branches count: their gains, which start at zero, are `value`."""
    for layer in model.layers:
        if isinstance(layer, SkipInit) or (isinstance(layer, ScaledStdConv2D) and layer.name.endswith("conv3")):
            layer.gain.assign(np.full(layer.gain.shape, value))
    return model


def test_variances_by_hand():
    """Section 3: each unit adds alpha^2 = 0.04; the first of a stage starts anew at 1."""
    net = applications.NFResNet50.architecture
    stages = [(1.0, 1.04, 1.08), (1.12, 1.04, 1.08, 1.12), (1.16, 1.04, 1.08, 1.12, 1.16, 1.2), (1.24, 1.04, 1.08)]
    assert net.variances == pytest.approx([variance for stage in stages for variance in stage])
    assert [beta**-2 for beta in net.betas] == pytest.approx(net.variances)
    assert NFResNet((1, 2), widths=(8, 8), alpha=1.0).variances == (1.0, 2.0, 2.0)


def test_every_unit_takes_the_analytic_variance_to_the_next():
    """Each unit of NFResNet50, at initialization, on noise of its analytic variance: over pixels and channels, 5 %."""
    net = applications.NFResNet50.architecture
    after = [*net.variances[1:], net.variances[-1] + net.alpha**2]
    channels = 64
    for unit, variance, expected in zip(units(net.depths, net.widths, start=0), net.variances, after, strict=True):
        inputs = keras.Input((12, 12, channels))
        model = open_branches(keras.Model(inputs, normalizer_free(inputs, unit, net)))
        y = np.array(model(np.sqrt(variance) * RANDOM.normal(size=(2, 12, 12, channels)).astype("float32")))
        assert (y**2).mean() == pytest.approx(expected, rel=0.05), unit.name
        channels = unit.width


def test_the_variances_of_a_whole_network():
    """Behind the first unit, whose input are maxima; the means of the channels do not grow with depth (Figure 3)."""
    model = open_branches(applications.NFResNet26(input_shape=(192, 192, 3)))
    inputs = [layer.input for layer in model.layers if layer.name.endswith("act1")]
    signals = keras.Model(model.input, inputs)(RANDOM.normal(size=(1, 192, 192, 3)).astype("float32"))
    analytic = applications.NFResNet26.architecture.variances
    for signal, variance in list(zip(map(np.array, signals), analytic, strict=True))[1:]:
        assert (signal**2).mean() == pytest.approx(variance, rel=0.05)
        assert (signal.mean((0, 1, 2)) ** 2).mean() < 0.05


@pytest.mark.parametrize("gate", [None, bind(SqueezeExcite, ratio=4), bind(CBAM, ratio=4)])
@pytest.mark.parametrize("skip_init", [True, False])
def test_every_unit_starts_as_its_shortcut(gate, skip_init):
    model = applications.NFResNet50(skip_init=skip_init, attend=gate, **TINY)
    names = ["stages.0.0.downsample.conv", "stages.1.0.downsample.conv", "stages.1.0.add"]
    for name, unit in zip(names, ("stages.0.0.add", "stages.1.0.add", "stages.1.1.add"), strict=True):
        shortcut, y = (model.get_layer(layer).output for layer in (name, unit))
        np.testing.assert_array_equal(*keras.Model(model.input, [shortcut, y])(X))


@pytest.mark.parametrize("gate", [SqueezeExcite, CBAM, ChannelGate])
def test_any_gate_takes_part_in_the_branch(gate):
    """With zero weights, sigmoids are 1/2: twice that is no gate. CBAM is two gates, in a row."""
    model = applications.NFResNet50(attend=bind(gate, ratio=4), gate_gain=4.0 if gate is CBAM else 2.0, **TINY)
    for layer in model.layers:
        if isinstance(layer, gate):
            for variable in layer.trainable_variables:
                if "gamma" not in variable.name:
                    variable.assign(np.zeros(variable.shape))
    plain = open_branches(applications.NFResNet50(**TINY))
    open_branches(model)
    for layer in plain.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    expected = np.array(plain(X))
    np.testing.assert_allclose(model(X), expected, atol=1e-5 * np.abs(expected).max())


def test_examples_of_a_batch_know_nothing_of_each_other():
    """Even in training, where batch norm would mix them. The coins of stochastic depth are left out."""
    model = open_branches(applications.NFResNet50(**{**TINY, "drop_path": 0.0}))
    together, alone = model(X, training=True), model(X[:1], training=True)
    np.testing.assert_allclose(together[:1], alone, atol=1e-5 * np.abs(alone).max())
    assert not [weight.name for weight in model.non_trainable_weights]


@pytest.mark.parametrize(("name", "other"), [("NFResNet50", "ResNet50"), ("NFResNet101", "ResNet101")])
def test_parameters_and_cost_are_those_of_the_normalized_network(name, other):
    """A gain and a bias of each convolution for gamma and beta; strides on the 3x3 as pre-activation ResNets have."""
    row, normalized = getattr(applications, name), getattr(applications, other)
    assert row.params == normalized.params
    assert row.macs == getattr(applications, f"PreAct{other}").macs


def test_a_skip_gain_is_one_parameter_of_a_unit():
    count = [applications.NFResNet50(skip_init=skip, **TINY).count_params() for skip in (False, True)]
    assert count[1] - count[0] == sum(TINY["depths"])


def test_timms_shortcuts_average():
    model = applications.NFResNet50(shortcut=pooled, **TINY)
    names = {layer.name for layer in model.layers}
    assert "stages.1.0.downsample.pool" in names and "stages.0.0.downsample.pool" not in names
    assert model.get_layer("stages.1.0.downsample.conv").strides == (1, 1)


def test_exported_networks_have_plain_convolutions():
    model = open_branches(applications.NFResNet50(attend=bind(SqueezeExcite, ratio=4), **TINY))
    plain, expected = for_inference(model), np.array(model(X))
    assert not [layer for layer in plain.layers if isinstance(layer, ScaledStdConv2D)]
    assert count_macs(plain) == count_macs(model)
    np.testing.assert_allclose(plain(X), expected, atol=1e-5 * np.abs(expected).max())


def test_every_activation_but_the_gates_keeps_the_variance():
    model = applications.NFResNet50(**TINY)
    assert not [layer for layer in model.layers if isinstance(layer, (keras.layers.Activation, keras.layers.ReLU))]
    gammas = {layer.name: layer.gamma for layer in model.layers if isinstance(layer, GammaActivation)}
    relu = np.sqrt(2 / (1 - 1 / np.pi))
    assert gammas["stages.1.1.act1"] == pytest.approx(relu / np.sqrt(1.04))
    assert gammas["stages.1.1.act2"] == gammas["final_act"] == pytest.approx(relu)


def test_bad_recipes():
    with pytest.raises(ValueError, match="as many `depths` as `widths`"):
        applications.NFResNet50(depths=(1, 1))
    with pytest.raises(ValueError, match=r"`drop_path` is a probability in \[0, 1\). Received: 1.0"):
        applications.NFResNet50(drop_path=1.0)

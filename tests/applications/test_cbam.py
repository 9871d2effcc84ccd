"""The paper's Table 4, and that a gate is one argument."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.applications import cbam
from kvision.blocks.bind import bind
from kvision.evaluation import count_macs
from kvision.export import for_inference
from kvision.layers import CBAM, ChannelGate, SqueezeExcite

RANDOM = np.random.default_rng(0)
RESNEXT = dict(stride_first=True)  # as the paper counts it

# Million parameters and billion multiply-adds of the plain network, with SE and with CBAM, as printed.
TABLE_4 = [
    (applications.ResNet18, {}, ("11.69 1.814", "11.78 1.814", "11.78 1.815")),
    (applications.ResNet34, {}, ("21.80 3.664", "21.96 3.664", "21.96 3.665")),
    (applications.ResNet50, {}, ("25.56 3.858", "28.09 3.860", "28.09 3.864")),
    (applications.ResNet101, {}, ("44.55 7.570", "49.33 7.575", "49.33 7.581")),
    (applications.WideResNet18x1_5, {}, ("25.88 3.866", "26.07 3.867", "26.08 3.868")),
    (applications.WideResNet18x2, {}, ("45.62 6.696", "45.97 6.696", "45.97 6.697")),
    (applications.ResNeXt50, RESNEXT, ("25.03 3.768", "27.56 3.771", "27.56 3.774")),
    (applications.ResNeXt101, RESNEXT, ("44.18 7.508", "48.96 7.512", "48.96 7.519")),
]


def parameters(model) -> int:
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_weights)


def counts(architecture):
    """Of a row that has this architecture, which the tests of all rows count; else counted here."""
    for name in applications.list_models():
        row = getattr(applications, name)
        if row.architecture == architecture and row.input_shape == (224, 224, 3):
            return row.params, row.macs
    model = replace(applications.ResNet50, architecture=architecture)()
    return parameters(model), count_macs(model)


def cells():
    for row, changes, printed in TABLE_4:
        for gate, figures in zip((None, SqueezeExcite, CBAM), printed, strict=True):
            name = f"{row.name}-{gate.__name__ if gate else 'plain'}"
            slow = "101" in row.name and gate is not CBAM  # seconds each, and the same blocks as with 50 layers
            architecture = replace(row.architecture, attend=gate, **changes)
            yield pytest.param(architecture, figures, id=name, marks=pytest.mark.slow if slow else ())


@pytest.mark.parametrize(("architecture", "printed"), list(cells()))
def test_table_4_to_the_printed_digit(architecture, printed, without_values):
    """Rounded to the nearest."""
    params, macs = counts(architecture)
    assert f"{params / 1e6:.2f} {macs / 1e9:.3f}" == printed
    keras.backend.clear_session()


def test_the_gate_stands_behind_the_last_normalization_of_every_block():
    """Figure 3."""
    model = applications.CBAMResNet50(input_shape=(32, 32, 3), depths=(2, 1), widths=(8, 16), attend=tiny(CBAM))
    gates = [layer for layer in model.layers if isinstance(layer, CBAM)]
    assert [gate.name for gate in gates] == ["layer1.0.attend", "layer1.1.attend", "layer2.0.attend"]
    for gate in gates:
        unit = gate.name.removesuffix(".attend")
        assert gate.input is model.get_layer(f"{unit}.bn3").output
        assert any(tensor is gate.output for tensor in model.get_layer(f"{unit}.add").input)


def test_what_the_gates_of_resnet_50_cost():
    """2 C^2 / 16 + C / 16 + C + 100 parameters in each block, 2 (2 C^2 / 16) + 98 H W multiply-adds."""
    blocks = [(256, 56, 3), (512, 28, 4), (1024, 14, 6), (2048, 7, 3)]
    params = sum(count * (c * c // 8 + c // 16 + c + 100) for c, _, count in blocks)
    macs = sum(count * (c * c // 4 + 98 * size * size) for c, size, count in blocks)
    assert applications.CBAMResNet50.params - applications.ResNet50.params == params
    assert applications.CBAMResNet50.macs - applications.ResNet50.macs == macs


def tiny(gate):
    return bind(gate, ratio=4)


FAMILIES = [
    (applications.ResNet50, (4, 8)),
    (applications.PreActResNet50, (4, 8)),
    (applications.WideResNet16x4, (8, 16)),
    (applications.ResNeXt50, (16, 32)),
    (applications.PyramidNet200_a300, None),
]


@pytest.mark.parametrize("gate", [CBAM, SqueezeExcite])
@pytest.mark.parametrize(("row", "widths"), FAMILIES, ids=lambda value: getattr(value, "name", ""))
def test_one_argument_puts_a_gate_into_every_block(row, widths, gate, tmp_path):
    widths = dict(alpha=6, width=4) if widths is None else dict(widths=widths)
    small = dict(input_shape=(16, 16, 3), classes=5, depths=(1, 1), **widths)
    model = row(attend=tiny(gate), **small)
    assert len([layer for layer in model.layers if isinstance(layer, gate)]) == 2
    x = RANDOM.normal(size=(2, 16, 16, 3)).astype("float32")
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    assert reloaded.origin == model.origin and model.origin.changes["attend"] == f"{gate.__name__}(ratio=4)"
    np.testing.assert_array_equal(reloaded(x), model(x))


def test_the_ablations_are_fillings_of_the_hole():
    """Table 1's means, Table 2's 3x3 convolution, Table 3's other order."""
    small = dict(input_shape=(16, 24, 3), depths=(1, 1), widths=(8, 16))
    means = applications.CBAMResNet50(attend=bind(ChannelGate, ratio=4, pools=("avg",)), **small)
    assert means.get_layer("layer1.0.attend").pools == ("avg",)
    other = applications.CBAMResNet50(attend=bind(CBAM, ratio=4, kernel_size=3, spatial_first=True), **small)
    gate = other.get_layer("layer2.0.attend")
    assert gate.spatial.conv.kernel.shape == (3, 3, 2, 1) and gate.spatial_first
    assert other.origin.changes["attend"] == "CBAM(kernel_size=3, ratio=4, spatial_first=True)"


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 5e-2)])
def test_exports_with_trained_gates(dtype, tolerance):
    """Their gammas start from zero, with which the convolution says nothing."""
    model = applications.CBAMResNet18(
        input_shape=(32, 48, 3), depths=(1, 1), widths=(8, 16), attend=tiny(CBAM), classes=5, classifier_activation=None
    )
    for variable in model.variables:
        if len(variable.shape) == 1:
            variable.assign(RANDOM.uniform(0.2, 1, variable.shape))
    x = RANDOM.normal(size=(2, 32, 48, 3)).astype("float32")
    expected = np.array(model(x))
    assert np.abs(np.array(for_inference(model, dtype)(x)) - expected).max() < tolerance * np.abs(expected).max()


def test_rows_derive_from_their_plain_ones():
    names = [name for name in applications.list_models() if getattr(applications, name).paper == cbam.PAPER]
    assert len(names) == 10
    for name in names:
        row, plain = getattr(applications, name), name.removeprefix("CBAM").removeprefix("SE")
        plain, gate = getattr(applications, plain), CBAM if name.startswith("CBAM") else SqueezeExcite
        changes = RESNEXT if "ResNeXt" in name else {}
        assert row.architecture == replace(plain.architecture, attend=gate, **changes)
        assert [figure.metric for figure in row.reported] == ["top-1 error", "top-5 error"]

"""The paper's own claims: one gate in every network, and what SENet-154 changes."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.applications import resnet, senet
from kvision.applications.bn_inception import Module
from kvision.applications.inception_v4 import Grid
from kvision.blocks.bind import bind
from kvision.blocks.stem import stem_7x7
from kvision.evaluation import count_macs
from kvision.layers import SqueezeExcite
from kvision.weights import copy, state_dict_names
from tests.applications.test_contract import TINY, Tiny, parameters

RANDOM = np.random.default_rng(0)

BNINCEPTION = Tiny(
    applications.SEBNInception,
    (32, 48, 3),
    dict(stages=((Module(8, (4, 8), (4, 8), 8), Module(None, (4, 8), (4, 8), None)),)),
)
INCEPTION_RESNET = Tiny(
    applications.SEInceptionResNetV2,
    (75, 83, 3),
    dict(
        grids=(
            Grid(1, ((4,), (4, 4), (4, 4, 8)), scale=0.17, reduce=(((16, 3, 2, 0),),)),
            Grid(1, ((4,), (4, 4, 8)), ((1, 7), (7, 1)), 0.1, reduce=(((4,), (8, 3, 2, 0)),)),
            Grid(1, ((4,), (4, 4, 8)), ((1, 3), (3, 1)), 0.2),
        ),
        last=16,
    ),
)
BASIC = Tiny(applications.SEResNet18, (32, 48, 3), dict(depths=(1, 1), widths=(16, 32)))
BOTTLENECK = Tiny(applications.SEResNet50, (32, 48, 3), dict(depths=(1, 1), widths=(4, 8)))
SENET, VGG = (next(tiny for tiny in TINY if tiny.row is row) for row in (applications.SENet154, applications.SEVGG16))


def gates(model) -> list[SqueezeExcite]:
    return [layer for layer in model.layers if isinstance(layer, SqueezeExcite)]


def randomize(model) -> None:
    """Norms as different as those of a trained network, and gates that depend on the image."""
    for variable in model.trainable_variables:
        if len(variable.shape) == 1:
            variable.assign(RANDOM.uniform(0.5, 1.5, variable.shape))


def ungated(model, plain) -> None:
    """Puts the weights of a network with gates into one without."""
    copy(model, plain, without=[gate.name for gate in gates(model)])


@pytest.mark.parametrize(
    ("tiny", "behind", "before"),
    [
        (SENET, "bn3", "add"),
        (VGG, "", None),
        (BNINCEPTION, "", None),
        (INCEPTION_RESNET, "conv2d", "scale"),
        (BASIC, "bn2", "add"),
        (BOTTLENECK, "bn3", "add"),
    ],
    ids=lambda value: value.row.name if isinstance(value, Tiny) else "",
)
def test_an_open_gate_changes_nothing(tiny, behind, before):
    """Figures 2 and 3: it is on all that a module gives, or on a residual branch before the (scaled) sum. Every tensor
    outside the gates is the plain network's."""
    model, plain = tiny(classifier_activation=None), tiny(attend=None, classifier_activation=None)
    for gate in gates(model):
        unit = gate.name.removesuffix(".attend")
        assert gate.input is model.get_layer(f"{unit}.{behind}".rstrip(".")).output
        if before and unit != "block8":  # the last module of Inception-ResNet-v2 is not scaled
            inputs = model.get_layer(f"{unit}.{before}").input
            assert any(tensor is gate.output for tensor in (inputs if isinstance(inputs, list) else [inputs]))
    assert gates(model) and not gates(plain)
    assert {name for name in state_dict_names(model) if ".attend." not in name} == set(state_dict_names(plain))
    assert parameters(model) - parameters(plain) == sum(gate.count_params() for gate in gates(model))
    randomize(model)
    ungated(model, plain)
    x = RANDOM.normal(size=(2, *tiny.shape)).astype("float32")
    expected = np.array(plain(x))
    largest = np.abs(expected).max()
    assert np.abs(np.array(model(x)) - expected).max() > 1e-3 * largest
    for gate in gates(model):
        gate.fc2.kernel.assign(keras.ops.zeros_like(gate.fc2.kernel))
        gate.fc2.bias.assign(keras.ops.full_like(gate.fc2.bias, 100.0))
    np.testing.assert_allclose(model(x), expected, atol=1e-6 * largest)


@pytest.mark.parametrize(("tiny", "last"), [(BASIC, "bn2"), (BOTTLENECK, "bn3")], ids=["basic", "bottleneck"])
def test_zero_gates_halve_the_residual_branches(tiny, last):
    model, plain = tiny(classifier_activation=None), tiny(attend=None, classifier_activation=None)
    randomize(model)
    for gate in gates(model):
        gate.set_weights([np.zeros_like(weight) for weight in gate.get_weights()])
    ungated(model, plain)
    for layer in plain.layers:
        if layer.name.endswith(last) and layer.name.startswith("layer"):
            layer.gamma.assign(layer.gamma / 2)
            layer.beta.assign(layer.beta / 2)
    x = RANDOM.normal(size=(2, *tiny.shape)).astype("float32")
    expected = np.array(plain(x))
    np.testing.assert_allclose(model(x), expected, atol=1e-5 * np.abs(expected).max())


def test_vggs_gates_follow_the_rectifiers(without_values):
    """Each of the 13 convolutions has a norm and no bias; dense layers and poolings have no gate."""
    model = applications.SEVGG16(include_top=False)
    assert [gate.input.shape[-1] for gate in gates(model)] == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    for gate in gates(model):
        layer = model.get_layer(gate.name.removesuffix(".attend"))
        assert gate.input is layer.output and layer.get_config()["activation"] == "relu"
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(convolutions) == 13 and not any(layer.use_bias for layer in convolutions)


RESNET18, RESNET34 = ((2, 64), (2, 128), (2, 256), (2, 512)), ((3, 64), (4, 128), (6, 256), (3, 512))
RESNET50, RESNET101, RESNET152 = (
    tuple(zip(depths, (256, 512, 1024, 2048), strict=True)) for depths in ((3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3))
)
INCEPTION = (1, 256), (1, 320), (3, 576), (2, 608), (1, 1056), (2, 1024)
BIASES = 2 * 64 + 2 * 128 + 3 * 256 + 6 * 512


@pytest.mark.parametrize(
    ("plain", "places", "less"),
    [
        (applications.ResNet18, RESNET18, 0),
        (applications.ResNet34, RESNET34, 0),
        (applications.ResNet50, RESNET50, 0),
        (applications.ResNet101, RESNET101, 0),
        (applications.ResNet152, RESNET152, 0),
        (applications.ResNeXt50, RESNET50, 0),
        (applications.ResNeXt101, RESNET101, 0),
        (applications.VGG16BN, ((2, 64), (2, 128), (3, 256), (6, 512)), BIASES),
        (applications.BNInception, INCEPTION, 0),
        # 10, 20 and 9 + 1 residual modules.
        (applications.InceptionResNetV2, ((10, 320), (20, 1088), (10, 2080)), 0),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_what_the_gates_add(plain, places, less):
    """Two matrices between C channels and C / 16, and their biases, at each place."""
    row = getattr(applications, f"SE{plain.name.removesuffix('BN')}")
    matrices = sum(number * 2 * channels**2 // 16 for number, channels in places)
    biases = sum(number * (channels // 16 + channels) for number, channels in places)
    assert row.params == plain.params - less + matrices + biases
    assert row.macs == plain.macs + matrices


def test_se_resnet_50_adds_ten_percent():
    """As the paper says: about 2.5 million parameters more than ResNet-50's 25 million, for 0.26 % more computation."""
    assert 2 / 16 * sum(number * channels**2 for number, channels in RESNET50) == 2_514_944
    assert applications.SEResNet50.macs / applications.ResNet50.macs - 1 < 0.0026


def test_equation_5():
    """2 / r of the sum of N_s C_s^2 over the stages, without biases: the reduction ratio's study."""
    tiny = replace(BOTTLENECK, changes=dict(depths=(2, 1), widths=(8, 16)))
    plain = count_macs(tiny(attend=None))
    for ratio in (2, 4, 8, 16, 32):
        model = tiny(attend=bind(SqueezeExcite, ratio=ratio))
        variables = (variable for gate in gates(model) for variable in gate.trainable_variables)
        weights = sum(int(np.prod(variable.shape)) for variable in variables if variable.name == "kernel")
        assert weights == 2 / ratio * (2 * 32**2 + 1 * 64**2) == count_macs(model) - plain


def test_senet_154_is_se_resnext_152_but_for_four_changes():
    changed = dict(block=resnet.bottleneck, stem=stem_7x7, shortcut=resnet.project, dropout=0.0)
    theirs = applications.ResNeXt101_64x4d.architecture
    assert replace(applications.SENet154.architecture, **changed) == replace(
        theirs, depths=(3, 8, 36, 3), attend=SqueezeExcite
    )


def test_the_structure_of_senet_154(without_values):
    """One unit for each stage: the others have the same widths."""
    model = applications.SENet154(depths=(1, 1, 1, 1))
    layer = model.get_layer
    stem = [layer(f"conv1.{place}") for place in (0, 3, 6)]
    assert [(c.kernel_size, c.strides, c.filters) for c in stem] == [
        ((3, 3), (2, 2), 64),
        ((3, 3), (1, 1), 64),
        ((3, 3), (1, 1), 128),
    ]
    assert layer("maxpool").output.shape[1:] == (56, 56, 128)
    for stage, width in enumerate((256, 512, 1024, 2048), start=1):
        first, second, third = (layer(f"layer{stage}.0.conv{place}") for place in (1, 2, 3))
        assert (first.filters, second.filters, third.filters) == (width // 2, width, width)
        assert second.groups == 64 and first.strides == (1, 1)
        projection = layer(f"layer{stage}.0.downsample.0")
        kernel, stride = (1, 1) if stage == 1 else (3, 2)
        assert projection.kernel_size == (kernel, kernel)
        assert projection.strides == second.strides == (stride, stride)
        size = 112 // 2**stage
        assert layer(f"layer{stage}.0.relu").output.shape[1:] == (size, size, width)
    assert layer("dropout").rate == 0.2
    assert layer("dropout").input is layer("avg_pool").output and layer("fc").input is layer("dropout").output
    keras.backend.clear_session()


@pytest.mark.parametrize("stem", [stem_7x7, senet.stem_deep])
def test_caffes_pooling_ends_where_torchs_does_or_one_before(stem):
    inputs = keras.Input((32, 37, 3))
    assert stem(inputs).shape[1:3] == (8, 10)
    assert stem(inputs, ceil=True).shape[1:3] == (8, 9)

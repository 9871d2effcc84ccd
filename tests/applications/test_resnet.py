"""The paper's own claims about its structure, and holes that later papers fill."""

import subprocess
import sys
import textwrap
from dataclasses import replace

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.applications import resnet

RANDOM = np.random.default_rng(0)
TINY = dict(depths=(1, 1, 1, 1), widths=(4, 4, 4, 4))


ROWS = [getattr(applications, name) for name in applications.list_models("resnet*")]
SHAPES = {  # output of the stem's convolution and of each stage
    resnet.bottleneck: [(112, 112, 64), (56, 56, 256), (28, 28, 512), (14, 14, 1024), (7, 7, 2048)],
    resnet.basic: [(112, 112, 64), (56, 56, 64), (28, 28, 128), (14, 14, 256), (7, 7, 512)],
    "CIFAR": [(32, 32, 16), (32, 32, 16), (16, 16, 32), (8, 8, 64)],
}


@pytest.mark.parametrize("row", [row for row in ROWS if row.name != "ResNet1202"], ids=lambda row: row.name)
def test_stage_shapes_are_table_1s_and_section_4_2s(row, without_values):
    model = row()
    ends = [f"layer{stage}.{depth - 1}.relu" for stage, depth in enumerate(row.architecture.depths, start=1)]
    expected = SHAPES["CIFAR" if row.classes == 10 else row.architecture.block]
    assert [model.get_layer(name).output.shape[1:] for name in ["relu", *ends]] == expected


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_depth_counts_weighted_layers(row):
    """The number in the name: convolutions but for projections, and the dense layer."""
    convolutions = 3 if row.architecture.block is resnet.bottleneck else 2
    assert convolutions * sum(row.architecture.depths) + 2 == int(row.name.removeprefix("ResNet"))


def test_option_a_has_no_parameters_and_is_a_strided_identity():
    x = RANDOM.normal(size=(2, 6, 6, 4)).astype("float32")
    inputs = keras.Input((6, 6, 4))
    unit = next(unit for unit in resnet.units((1, 1), (4, 8)) if unit.stride == 2)
    model = keras.Model(inputs, resnet.pad(inputs, 8, unit))
    y = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_array_equal(y[..., :4], x[:, ::2, ::2])
    assert not y[..., 4:].any() and not model.weights


def test_projection_only_where_the_shape_changes():
    names = [layer.name for layer in applications.ResNet50(input_shape=(32, 32, 3)).layers]
    assert [name for name in names if name.endswith("downsample.0")] == [
        f"layer{i}.0.downsample.0" for i in (1, 2, 3, 4)
    ]
    names = [layer.name for layer in applications.ResNet18(input_shape=(32, 32, 3)).layers]
    assert [name for name in names if name.endswith("downsample.0")] == [f"layer{i}.0.downsample.0" for i in (2, 3, 4)]


def test_stride_placement():
    """The authors stride the first 1x1; the torch lineage the 3x3, for 4,089,184,256 multiply-adds in ResNet-50."""
    from kvision.evaluation import count_macs

    strides = {}
    for first in (True, False):
        model = applications.ResNet50(stride_first=first)
        strides[first] = [model.get_layer(f"layer2.0.conv{i}").strides[0] for i in (1, 2, 3)]
    assert strides == {True: [2, 1, 1], False: [1, 2, 1]}
    assert count_macs(model) == 4_089_184_256
    assert applications.ResNet50(lineage="resnet50.tv_in1k", **TINY).origin.changes["stride_first"] is False


def test_zero_gamma_makes_each_block_the_rectified_shortcut():
    x = RANDOM.normal(size=(2, 32, 32, 3)).astype("float32")
    model = applications.ResNet18(input_shape=(32, 32, 3), zero_gamma=True, depths=(2, 1, 1, 1), widths=(4, 8, 8, 8))
    before, after = (model.get_layer(f"layer1.{i}.relu").output for i in (0, 1))
    before, after = keras.Model(model.input, [before, after])(x)
    np.testing.assert_array_equal(before, after)


def test_initialization_is_he_fan_out():
    """Section 3.4 by way of arXiv:1502.01852: the deviation of a 3x3 convolution with 64 outputs is sqrt(2 / 576)."""
    model = applications.ResNet18(input_shape=(32, 32, 3))
    first, second = (model.get_layer(f"layer1.{i}.conv2").kernel for i in (0, 1))
    assert np.std(first) == pytest.approx(0.0589256, rel=0.02)
    assert not np.array_equal(first, second)


@keras.saving.register_keras_serializable(package="tests")
class Saturated(keras.layers.Layer):
    """A gate that lets everything (value 1) or nothing (value 0) through."""

    def __init__(self, value, **kwargs):
        super().__init__(**kwargs)
        self.value = value

    def call(self, x):
        return x * self.value

    def get_config(self):
        return {**super().get_config(), "value": self.value}


def test_a_saturated_gate_is_no_gate():
    from kvision.blocks.bind import bind

    plain = applications.ResNet50(input_shape=(32, 32, 3), **TINY)
    gated = applications.ResNet50(input_shape=(32, 32, 3), attend=bind(Saturated, value=1.0), **TINY)
    values = {variable.path: variable.value for variable in plain.variables}
    for variable in gated.variables:
        variable.assign(values[variable.path])
    x = RANDOM.normal(size=(2, 32, 32, 3)).astype("float32")
    np.testing.assert_array_equal(plain(x), gated(x))
    assert gated.origin.changes["attend"] == "Saturated(value=1.0)"


def test_rows_compare_by_value_and_derive_from_one_another():
    assert replace(applications.ResNet34.architecture, block=resnet.bottleneck) == applications.ResNet50.architecture
    assert applications.ResNet18 != applications.ResNet34


def test_a_very_deep_network_in_a_process_that_only_imported_kvision(tmp_path):
    """Keras walks graphs recursively; the 1,063 operations of 302 layers are beyond Python's default limit of 1,000."""
    script = f"""
        import kvision, keras, numpy as np
        model = kvision.applications.ResNet1202(input_shape=(8, 8, 3), depths=(50,) * 3, zero_gamma=True)
        assert len(model.operations) > 1000
        clone = keras.models.clone_model(model)
        assert len(clone.layers) == len(model.layers)
        model.save({str(tmp_path / "model.keras")!r})
        model = keras.models.load_model({str(tmp_path / "model.keras")!r})
        assert model.origin.row == "ResNet1202" and np.isfinite(model(np.ones((1, 8, 8, 3), "float32"))).all()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=300)

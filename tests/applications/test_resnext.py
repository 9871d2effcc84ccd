"""The paper's own claims: three forms of one block, and cardinality at the same cost."""

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.applications import resnext
from kvision.blocks.bind import bind
from kvision.evaluation import count_macs
from kvision.layers import GroupedConv2D

RANDOM = np.random.default_rng(0)


def parameters(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def set_by_paths(model, values, cardinality):
    """Puts the grouped block's values `{path: array}` into a model with a layer for each path."""
    for variable in model.variables:
        unit, _, rest = variable.path.partition(".path")
        if not rest:
            variable.assign(values[variable.path])
            continue
        number, _, place = rest.partition(".")
        value = values[f"{unit}.{place}"]
        axis = 2 if place.startswith("conv3") else -1  # the last convolution reads the path, the others write it
        variable.assign(np.split(value, cardinality, axis)[int(number)])


@pytest.mark.parametrize("form", [resnext.summed, resnext.concatenated])
@pytest.mark.parametrize("cardinality", [1, 4])
def test_the_three_forms_of_figure_3_are_equal(form, cardinality):
    recipe = resnext.resnext((2, 1), cardinality, 64 // cardinality, widths=(8, 16))
    tiny = dict(input_shape=(16, 16, 3), depths=(2, 1), widths=(8, 16), classifier_activation=None)
    grouped = applications.ResNeXt50(inner=recipe.inner, spatial=recipe.spatial, **tiny)
    for variable in grouped.variables:
        if len(variable.shape) == 1:
            variable.assign(RANDOM.uniform(0.5, 1.5, variable.shape))
    other = applications.ResNeXt50(inner=recipe.inner, block=bind(form, cardinality=cardinality), **tiny)
    set_by_paths(other, {variable.path: np.array(variable) for variable in grouped.variables}, cardinality)
    assert parameters(other) == parameters(grouped) and count_macs(other) == count_macs(grouped)
    x = RANDOM.normal(size=(2, 16, 16, 3)).astype("float32")
    expected = np.array(grouped(x))
    np.testing.assert_allclose(other(x), expected, atol=1e-5 * np.abs(expected).max())


def test_cardinality_1_is_resnet(without_values):
    """Table 3's first row, 1 x 64d: the same layers with the same weights, and the stride of the torch lineage."""
    recipe = resnext.resnext((3, 4, 6, 3), 1, 64)
    ours = applications.ResNeXt50(inner=recipe.inner, spatial=recipe.spatial)
    theirs = applications.ResNet50(stride_first=False)
    assert [(v.path, v.shape) for v in ours.variables] == [(v.path, v.shape) for v in theirs.variables]
    assert parameters(ours) == 25_557_032 and count_macs(ours) == count_macs(theirs) == 4_089_184_256


def test_widths_are_table_2s():
    """Width of a path and of the grouped convolution; a block with 256 inputs and outputs keeps its cost."""
    for cardinality, base, width in [(1, 64, 64), (2, 40, 80), (4, 24, 96), (8, 14, 112), (32, 4, 128)]:
        assert resnext.cardinal(64, cardinality, base) == width
        # Section 3.3: C (256 d + 3 * 3 d d + d 256), "about 70k".
        assert cardinality * (256 * base + 9 * base * base + base * 256) == pytest.approx(70_000, rel=0.03)
    assert resnext.cardinal(512, 8, 14) == 896 and resnext.cardinal(96, 2, 3) == 8  # floor(96 * 3 / 64) = 4


def test_table_1s_template(without_values):
    """ResNeXt-50 (32 x 4d): twice ResNet's width in 32 groups, and conv3 to conv5 start with a strided 3x3."""
    model = applications.ResNeXt50()
    for stage, width in enumerate((128, 256, 512, 1024), start=1):
        layer = model.get_layer(f"layer{stage}.0.conv2")
        assert isinstance(layer, GroupedConv2D) and layer.groups == 32
        assert layer.filters == width and layer.strides == ((1, 1) if stage == 1 else (2, 2))
        assert model.get_layer(f"layer{stage}.0.conv1").strides == (1, 1)
        assert model.get_layer(f"layer{stage}.0.relu").output.shape[-1] == 2 * width
    keras.backend.clear_session()


def test_every_cardinality_costs_about_the_same():
    """Table 3's networks of one depth."""
    for depth, params, macs in ((50, 25.0e6, 4.1e9), (101, 44.2e6, 7.8e9)):
        rows = [getattr(applications, f"ResNeXt{depth}{size}") for size in ("_2x40d", "_4x24d", "_8x14d", "")]
        errors = [row.reported[0].value for row in rows]
        assert errors == sorted(errors, reverse=True)
        assert all(abs(row.params / params - 1) < 0.03 and abs(row.macs / macs - 1) < 0.05 for row in rows)


def test_cifar_100(without_values):
    assert parameters(applications.ResNeXt29_8x64d(classes=100)) == 34_518_948
    model = applications.ResNeXt29_8x64d(depths=(1, 1, 1))
    ends = [model.get_layer(name).output.shape[1:] for name in ("relu", *(f"layer{i}.0.relu" for i in (1, 2, 3)))]
    assert ends == [(32, 32, 64), (32, 32, 256), (16, 16, 512), (8, 8, 1024)]

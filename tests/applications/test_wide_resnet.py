"""The paper's tables: which networks have equally many parameters, and where the width goes."""

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.applications import wide_resnet
from kvision.blocks.bind import bind
from kvision.evaluation import count_macs

NAMES = [name for name in applications.list_models("wideresnet*") if name not in applications.list_models("*net18*")]
ROWS = [getattr(applications, name) for name in NAMES if name not in ("WideResNet50", "WideResNet101")]


def parameters(model) -> int:
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_weights)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_shapes_are_table_1s_and_depth_is_6n_plus_4(row, without_values):
    depth, k = map(int, row.name.removeprefix("WideResNet").split("x"))
    n = row.architecture.depths[0]
    assert row.architecture.depths == (n, n, n) and 6 * n + 4 == depth
    model = row(depths=(1, 1, 1))
    ends = ["stem.conv", *(f"stages.{stage}.blocks.0.add" for stage in range(3))]
    expected = [(32, 32, 16), (32, 32, 16 * k), (16, 16, 32 * k), (8, 8, 64 * k)]
    assert [model.get_layer(name).output.shape[1:] for name in ends] == expected


@pytest.mark.parametrize("k", [1, 4])
def test_depth_counts_weighted_layers(k, without_values):
    """6N convolutions and the first one, the dense layer, two projections; the first group has one unless k = 1."""
    recipe = wide_resnet.wide_resnet(16, k)
    model = applications.WideResNet16x4(widths=recipe.widths, depths=recipe.depths)
    weighted = [layer for layer in model.layers if hasattr(layer, "kernel")]
    assert len(weighted) == 16 + (k > 1)
    assert not any(layer.use_bias for layer in weighted[:-1])


TYPES = {  # Table 2, k = 2: depth, parameters, multiply-adds
    (1, 3, 1): (40, 1_429_082, 208_061_696),
    (3, 1): (40, 1_211_354, 176_604_416),
    (1, 3): (40, 1_297_370, 189_187_328),
    (3, 1, 1): (40, 1_343_066, 195_478_784),
    (3, 3): (28, 1_467_610, 214_353_152),
    (3, 1, 3): (22, 1_145_498, 167_167_232),
}


@pytest.mark.parametrize("kernels", TYPES, ids=str)
def test_block_types_of_table_2(kernels, without_values):
    depth, params, macs = TYPES[kernels]
    recipe = wide_resnet.wide_resnet(depth, 2, bind(wide_resnet.wide, kernels=kernels))
    model = applications.WideResNet40x2(depths=recipe.depths, block=recipe.block)
    assert (parameters(model), count_macs(model)) == (params, macs)
    sizes = [model.get_layer(f"stages.1.blocks.0.conv{place}").kernel_size for place in range(1, len(kernels) + 1)]
    assert sizes == [(size, size) for size in kernels]
    assert model.get_layer("stages.1.blocks.0.conv1").strides == (2, 2)


@pytest.mark.parametrize(("factor", "n"), [(1, 12), (2, 6), (3, 4), (4, 3)])
def test_deepening_factors_of_table_3_have_equal_parameters(factor, n, without_values):
    block = bind(wide_resnet.wide, kernels=(3,) * factor)
    assert parameters(applications.WideResNet40x2(depths=(n,) * 3, block=block)) == 2_243_546


def test_width_costs_quadratically(without_values):
    """Section 2.3: parameters and cost grow linearly with l and d, quadratically with k."""
    ratios = [applications.WideResNet40x8.params / applications.WideResNet40x4.params]
    ratios.append(applications.WideResNet40x4.params / applications.WideResNet40x2.params)
    assert all(3.9 < ratio < 4 for ratio in ratios)
    assert parameters(applications.WideResNet28x10(classes=100)) == 36_536_884


def test_initialization_is_he_fan_in():
    """The deviation of a 3x3 convolution of 16 channels to 64 is sqrt(2 / 144)."""
    model = applications.WideResNet16x4(input_shape=(8, 8, 3))
    kernel = np.asarray(model.get_layer("stages.0.blocks.0.conv1").kernel)
    assert np.std(kernel) == pytest.approx(0.11785, rel=0.03)
    projection = np.asarray(model.get_layer("stages.1.blocks.0.downsample.conv").kernel)
    assert np.std(projection) == pytest.approx((2 / 64) ** 0.5, rel=0.03)


def test_dropout_lies_between_the_convolutions():
    """Section 2.4: off in inference, and no place else."""
    recipe = dict(input_shape=(8, 8, 3), depths=(1, 1, 1))
    plain = applications.WideResNet16x4(**recipe)
    dropped = applications.WideResNet16x4(block=bind(wide_resnet.wide, dropout=0.3), **recipe)
    names = [layer.name for layer in dropped.layers]
    added = [name for name in names if name not in [layer.name for layer in plain.layers]]
    assert [name for name in added if "input" not in name] == [f"stages.{stage}.blocks.0.drop2" for stage in range(3)]
    drop = dropped.get_layer("stages.0.blocks.0.drop2")
    assert drop.rate == 0.3
    assert drop.input is dropped.get_layer("stages.0.blocks.0.relu2").output
    assert drop.output is dropped.get_layer("stages.0.blocks.0.conv2").input
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")
    values = {variable.path: variable.value for variable in plain.variables}
    for variable in dropped.variables:
        if variable.path in values:
            variable.assign(values[variable.path])
    np.testing.assert_array_equal(dropped(x), plain(x))
    first, second = (dropped(x, training=True) for _ in range(2))
    assert np.abs(first - second).max() > 1e-3


def test_a_depth_between_is_an_error():
    for depth in (4, 27):
        with pytest.raises(ValueError, match=f"6N [+] 4.*depth={depth}"):
            wide_resnet.wide_resnet(depth, 10)


def test_bottlenecks_are_wide_inside_alone(without_values):
    """WRN-50-2: the channels between the units are ResNet-50's."""
    wide, plain = (row(depths=(1,) * 4) for row in (applications.WideResNet50, applications.ResNet50))
    for stage in range(1, 5):
        assert wide.get_layer(f"layer{stage}.0.conv2").filters == 2 * plain.get_layer(f"layer{stage}.0.conv2").filters
        assert wide.get_layer(f"layer{stage}.0.relu").output.shape[-1] == 256 * 2 ** (stage - 1)
    keras.backend.clear_session()


@pytest.mark.parametrize(("name", "widen"), [("WideResNet18x1_5", 1.5), ("WideResNet18x2", 2)])
def test_the_18_layers_widen_behind_the_stem(name, widen, without_values):
    model = getattr(applications, name)()
    widths = [model.get_layer(f"layer{stage}.0.relu").output.shape[-1] for stage in range(1, 5)]
    assert widths == [widen * width for width in (64, 128, 256, 512)]
    assert model.get_layer("conv1").filters == 64
    keras.backend.clear_session()

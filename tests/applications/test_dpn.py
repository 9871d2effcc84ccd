"""The paper's own claims: two paths side by side, and Mean-Max pooling."""

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.applications import dpn
from kvision.layers import GroupedConv2D

RANDOM = np.random.default_rng(0)
ROWS = [getattr(applications, name) for name in applications.list_models("dpn*")]
TINY = dict(depths=(2, 1), increments=(4, 2), inner=8, groups=2, widths=(8, 16))


def unit(channels, **arguments):
    inputs = keras.Input((6, 6, channels))
    outputs = dpn.dual_path(inputs, 8, 3, 4, groups=2, name="unit", **arguments)
    return keras.Model(inputs, outputs)


def randomize(model):
    for variable in model.variables:
        variable.assign(RANDOM.uniform(0.1, 1.0, variable.shape))


def test_one_path_is_added_to_and_the_other_is_kept_and_grows():
    model = unit(8 + 6)
    randomize(model)
    x = RANDOM.normal(size=(2, 6, 6, 14)).astype("float32")
    y = np.array(model(x))
    branch = np.array(keras.Model(model.input, model.get_layer("unit.c1x1_c.conv").output)(x))
    assert y.shape == (2, 6, 6, 14 + 3) and branch.shape[-1] == 8 + 3
    np.testing.assert_allclose(y[..., :8], x[..., :8] + branch[..., :8], rtol=1e-5)
    np.testing.assert_array_equal(y[..., 8:14], x[..., 8:])
    np.testing.assert_array_equal(y[..., 14:], branch[..., 8:])


def test_a_projection_makes_both_paths_anew():
    model = unit(5, stride=2, project=True)
    assert model.output_shape == (None, 3, 3, 8 + 2 * 3 + 3)
    assert model.get_layer("unit.c1x1_w_s2.conv").filters == 8 + 2 * 3


@pytest.mark.parametrize("row", [applications.DPN68, applications.DPN107], ids=lambda row: row.name)
def test_stage_shapes_are_table_1s(row, without_values):
    model, net = row(), row.architecture
    channels = []
    for stage, (depth, width, increment) in enumerate(zip(net.depths, net.widths, net.increments, strict=True)):
        shape = model.get_layer(f"features.conv{stage + 2}_{depth}").output.shape[1:]
        channels.append(width + (depth + 2) * increment)
        assert shape == (56 // 2**stage, 56 // 2**stage, channels[-1])
        convolutions = [model.get_layer(f"features.conv{stage + 2}_{i + 1}.c3x3_b.conv") for i in range(depth)]
        assert all(isinstance(layer, GroupedConv2D) and layer.groups == net.groups for layer in convolutions)
        assert {layer.filters for layer in convolutions} == {net.inner * 2**stage}
    assert channels[-1] == {"DPN68": 832, "DPN107": 2688}[row.name]
    keras.backend.clear_session()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_depth_counts_weighted_layers(row):
    """The number in the name: the stem, three convolutions in each unit, and the dense layer; without projections."""
    assert 3 * sum(row.architecture.depths) + 2 == int(row.name.removeprefix("DPN"))


def test_mean_max_pooling_at_the_training_size_is_the_network_itself():
    tiny = dict(input_shape=(56, 56, 3), classes=5, **TINY)
    plain, pooled = applications.DPN92(**tiny), applications.DPN92(head=dpn.mean_max, **tiny)
    assert plain.get_layer("features.conv5_bn_ac.relu").output.shape[1:3] == (7, 7)
    assert [variable.path for variable in pooled.variables] == [variable.path for variable in plain.variables]
    for variable, value in zip(pooled.variables, plain.variables, strict=True):
        variable.assign(value)
    x = RANDOM.normal(size=(2, 56, 56, 3)).astype("float32")
    np.testing.assert_allclose(pooled(x), plain(x), rtol=1e-4, atol=1e-6)


def test_mean_max_pooling_by_hand():
    """Two windows of 2 x 2, two classes: means 1 and 3, scores (1, -2) and (3, -6); half mean and half maximum."""
    inputs = keras.Input((2, 3, 1))
    model = keras.Model(inputs, dpn.mean_max(inputs, 2, None, window=2))
    model.get_layer("fc").set_weights([np.array([[1.0, -2.0]]), np.zeros(2)])
    x = np.array([[0.0, 2.0, 4.0]] * 2, "float32").reshape(1, 2, 3, 1)
    np.testing.assert_allclose(model(x), [[(2 + 3) / 2, (-4 - 2) / 2]])


def test_bad_recipes_are_clear_errors():
    with pytest.raises(ValueError, match="as many `depths` as `increments` and `widths`"):
        applications.DPN92(depths=(1, 1))

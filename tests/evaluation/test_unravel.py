"""The unraveled view's own claims, on linear networks that can be multiplied out, and on small residual networks."""

import math
from collections import Counter

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.evaluation import unravel

RANDOM = np.random.default_rng(0)


def linear(count=4, width=3):
    """x + W x, `count` times, and the matrices I + W as `y = x W`."""
    inputs = x = keras.Input((width,))
    for number in range(count):
        y = keras.layers.Dense(width, use_bias=False, name=f"branch{number}")(x)
        x = keras.layers.Add(name=f"block{number}")([x, y])
    return keras.Model(inputs, x)


def product(model, path, width=3):
    """What one path does to a signal: the product of the matrices that it goes through."""
    matrices = [model.get_layer(name.replace("block", "branch")).kernel for name in path]
    return np.linalg.multi_dot([np.eye(width), np.eye(width), *map(np.array, matrices)])


def tiny(**changes):
    """Three stages of two blocks, with weights and statistics that are not their initial ones."""
    model = applications.ResNet20(input_shape=(12, 12, 3), depths=(2, 2, 2), widths=(16, 24, 32), **changes)
    for variable in model.variables:
        if variable.path.endswith(("gamma", "beta", "moving_mean")):
            variable.assign(RANDOM.uniform(0.5, 1.5, variable.shape))
    return model


IMAGES = RANDOM.normal(size=(2, 12, 12, 3)).astype("float32")


def test_a_linear_network_is_the_sum_of_its_paths():
    model = linear()
    x = RANDOM.normal(size=(5, 3)).astype("float32")
    found = list(unravel.paths(model))
    assert len(found) == len(set(found)) == 2**4
    assert Counter(map(len, found)) == {length: math.comb(4, length) for length in range(5)}
    np.testing.assert_allclose(model(x), sum(x @ product(model, path) for path in found), rtol=1e-4, atol=1e-5)


def test_deleting_a_block_removes_the_half_of_the_paths_that_go_through_it():
    model = linear()
    x = RANDOM.normal(size=(5, 3)).astype("float32")
    left = [path for path in unravel.paths(model) if "block2" not in path]
    assert len(left) == 2**3
    lesioned = unravel.without(model, ["block2"])
    np.testing.assert_allclose(lesioned(x), sum(x @ product(model, path) for path in left), rtol=1e-4, atol=1e-5)
    assert set(unravel.paths(lesioned)) == set(left)
    both = unravel.without(lesioned, ["block3"])
    assert list(unravel.paths(both)) == [(), ("block0",), ("block1",), ("block0", "block1")]


def test_deleting_all_blocks_leaves_the_one_path_that_goes_through_none():
    model = linear()
    x = RANDOM.normal(size=(5, 3)).astype("float32")
    np.testing.assert_array_equal(unravel.without(model, [f"block{i}" for i in range(4)])(x), x)


def test_linear_blocks_in_another_order_are_multiplied_in_another_order():
    model = linear(3)
    x = RANDOM.normal(size=(5, 3)).astype("float32")
    factors = [np.eye(3) + product(model, [f"block{i}"]) for i in (2, 0, 1)]
    answer = unravel.permuted(model, [2, 0, 1])(x)
    np.testing.assert_allclose(answer, x @ np.linalg.multi_dot(factors), rtol=1e-4, atol=1e-5)
    assert np.abs(answer - model(x)).max() > 0.01


@pytest.mark.parametrize(
    ("row", "changes", "count"),
    [
        (applications.ResNet20, {}, 9),
        (applications.ResNet50, dict(widths=(4, 4, 4, 4)), 16),
        (applications.PyramidNet200_a300, dict(depths=(2, 2), alpha=4, width=4), 4),
        (applications.VGG11, dict(widths=(4,) * 5, hidden=(8,)), 0),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_blocks_are_the_units(row, changes, count):
    model = row(input_shape=(32, 32, 3), **changes)
    found = unravel.blocks(model)
    expected = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Add)]
    assert [block.name for block in found] == expected and len(found) == count
    for block in found:
        unit = block.name.removesuffix("add")
        names = [operation.name for operation in block.branch]
        assert all(name.startswith(unit) for name in names) and f"{unit}conv2" in names
        assert not any("downsample" in name or "subsample" in name for name in names)


def test_deleting_a_block_leaves_its_shortcut():
    model = tiny()
    lesioned = unravel.without(model, ["layer1.1.add"])
    x, y, z = (model.get_layer(name).output for name in ("layer1.0.relu", "layer1.1.add", "fc"))
    rest = keras.Model(y, z)
    x = keras.Model(model.input, x)(IMAGES)
    np.testing.assert_allclose(lesioned(IMAGES), rest(x), rtol=1e-5, atol=1e-7)
    assert np.abs(lesioned(IMAGES) - model(IMAGES)).max() > 1e-4
    assert not any("layer1.1.conv" in layer.name for layer in lesioned.layers)
    assert lesioned.get_layer("fc") is model.get_layer("fc")


def test_a_deleted_block_that_changes_the_shape_keeps_its_projection():
    model = applications.ResNet50(input_shape=(32, 32, 3), depths=(1, 1), widths=(4, 8))
    lesioned = unravel.without(model, ["layer2.0.add"])
    names = {layer.name for layer in lesioned.layers}
    assert lesioned.output_shape == model.output_shape
    assert "layer2.0.downsample.0" in names and "layer2.0.conv1" not in names


def test_the_network_itself_stays_as_it_is():
    model = tiny()
    before, names = np.array(model(IMAGES)), [layer.name for layer in model.layers]
    unravel.without(model, ["layer2.0.add", "layer3.1.add"])
    unravel.permuted(model, [0, 1, 2, 3, 4, 5])
    np.testing.assert_array_equal(model(IMAGES), before)
    assert [layer.name for layer in model.layers] == names and len(unravel.blocks(model)) == 6


def test_exchanging_blocks_that_are_the_same_changes_nothing():
    model = tiny()
    np.testing.assert_allclose(unravel.permuted(model, range(6))(IMAGES), model(IMAGES), rtol=1e-6)
    exchanged = unravel.permuted(model, [1, 0, 2, 3, 4, 5])
    assert np.abs(exchanged(IMAGES) - model(IMAGES)).max() > 1e-4
    for first in model.layers:
        if first.name.startswith("layer1.0."):
            model.get_layer(first.name.replace("layer1.0.", "layer1.1.")).set_weights(first.get_weights())
    np.testing.assert_allclose(exchanged(IMAGES), model(IMAGES), rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda model: unravel.without(model, ["layer1.1"]),
            r"has the blocks \['layer1.0.add'.*Received: \['layer1.1'",
        ),
        (lambda model: unravel.permuted(model, [0, 1, 2]), "each of the 6 blocks once"),
        (lambda model: unravel.permuted(model, [0, 3, 2, 1, 4, 5]), "cannot stand in the place of 'layer1.1.add'"),
        (lambda model: unravel.permuted(model, [0, 1, 3, 2, 4, 5]), "their layers differ"),
        (lambda model: unravel.blocks(keras.Sequential([model])), "graph of a Functional model. Received: Sequential"),
    ],
)
def test_bad_arguments_are_clear_errors(change, message):
    with pytest.raises(ValueError, match=message):
        change(tiny())

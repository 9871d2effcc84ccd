"""The networks of the authors' code, layer by layer, with their multiply-adds added up by hand."""

import keras
import numpy as np
import pytest

from kvision import layers
from kvision.applications import highway
from kvision.evaluation import count_macs

ROWS = [highway.Highway10, highway.Highway19, highway.HighwayMLP]
TINY = {
    "Highway10": dict(depths=(1, 1, 1), widths=(4, 4, 4)),
    "Highway19": dict(depths=(1, 1, 1), widths=(4, 6, 8), last=5),
    "HighwayMLP": dict(depth=3, width=8),
}


def parameters(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_counts_are_exact(row, without_values):
    model = row()
    assert parameters(model) == row.params and count_macs(model) == row.macs
    assert model.input_shape == (None, *row.input_shape) and model.output_shape == (None, 10)


def test_counts_of_other_sizes(without_values):
    assert parameters(highway.Highway19(classes=100)) == 2_265_928
    # Table 1 has "39K" for width 16: 25 * 16 + 16, eight times 2 * (9 * 16 * 16 + 16), 9 * 16 * 10 + 10.
    assert parameters(highway.Highway10(widths=(16, 16, 16))) == 416 + 8 * 4640 + 1450
    # Section 3.1: "roughly 5000" for each layer.
    more = parameters(highway.HighwayMLP(depth=20)) - parameters(highway.HighwayMLP(depth=10))
    assert more == 10 * 2 * (50 * 50 + 50)


def test_macs_by_hand():
    """Convolutions are pixels * kernel * in * out; a highway layer is two."""
    highway19 = (
        32 * 32 * 9 * 3 * 32  # 884,736
        + 4 * 2 * 32 * 32 * 9 * 32 * 32  # 75,497,472
        + 16 * 16 * 9 * 32 * 80  # 5,898,240
        + 5 * 2 * 16 * 16 * 9 * 80 * 80  # 147,456,000
        + 8 * 8 * 9 * 80 * 128  # 5,898,240
        + 5 * 2 * 8 * 8 * 9 * 128 * 128  # 94,371,840
        + 8 * 8 * 128 * 100  # 819,200
        + 100 * 10  # 1,000
    )
    highway10 = (
        24 * 24 * 25 * 32  # 460,800
        + 2 * 2 * 24 * 24 * 9 * 32 * 32  # 21,233,664
        + 3 * 2 * 12 * 12 * 9 * 32 * 32  # 7,962,624
        + 3 * 2 * 6 * 6 * 9 * 32 * 32  # 1,990,656
        + 3 * 3 * 32 * 10  # 2,880
    )
    mlp = 784 * 50 + 49 * 2 * 50 * 50 + 50 * 10
    assert [highway10, highway19, mlp] == [row.macs for row in ROWS]


@pytest.mark.parametrize(
    ("row", "shapes"),
    [
        (highway.Highway19, {5: (32, 32, 32), 11: (16, 16, 80), 17: (8, 8, 128), 18: (8, 8, 100)}),
        (highway.Highway10, {3: (24, 24, 32), 6: (12, 12, 32), 9: (6, 6, 32)}),
    ],
)
def test_stage_shapes(row, shapes, without_values):
    model = row()
    assert {i: model.get_layer(f"conv{i}").output.shape[1:] for i in shapes} == shapes
    assert all(isinstance(model.get_layer(f"conv{i}"), layers.Highway) for i in shapes if i != 18)


def test_every_layer_of_the_fully_connected_network_has_its_width(without_values):
    model = highway.HighwayMLP()
    assert {model.get_layer(f"layer{i}").output.shape[1:] for i in range(1, 51)} == {(50,)}
    assert model.get_layer("flatten").output.shape[1:] == (784,) and model.output_shape == (None, 10)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_depth_counts_weighted_layers(row, without_values):
    weighted = [layer for layer in row().layers if layer.weights]
    # A fully connected network of depth 50 has 50 hidden layers (section 3.1).
    assert len(weighted) == {"Highway10": 10, "Highway19": 19, "HighwayMLP": 51}[row.name]


def test_dropout_and_biases_are_the_authors(without_values):
    for row, rates, bias in [
        (highway.Highway19, [0.2, 0.2, 0.2, 0.2], -2),
        (highway.Highway10, [0.2, 0.3, 0.4, 0.5], -1),
    ]:
        model = row()
        assert [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)] == rates
        gates = [layer for layer in model.layers if isinstance(layer, layers.Highway)]
        assert {layer.transform_bias for layer in gates} == {bias}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_saves_and_reloads(row, tmp_path):
    model = row(classes=3, **TINY[row.name])
    x = np.random.default_rng(0).normal(size=(2, *row.input_shape)).astype("float32")
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(reloaded(x), model(x))
    assert reloaded.origin == model.origin


def test_bad_recipes_are_clear_errors():
    with pytest.raises(ValueError, match="as many `widths` and `pools` as `depths`"):
        highway.Highway19(depths=(1, 1))
    with pytest.raises(ValueError, match="at least 1"):
        highway.HighwayMLP(depth=0)

"""Section 4's networks, and the comparison of heads in Table 5."""

import keras
import numpy as np
import pytest

from kvision.applications import nin
from kvision.blocks.bind import bind
from kvision.evaluation import count_macs

ROWS = [nin.NIN, nin.NINImageNet]
TINY = dict(widths=((8, 6, 4), (6, 6, 6), (6, 8)), kernels=((5, 1, 2), (5, 1, 2), (3, 1, 1)), dropouts=(0.5, 0.5))
HEADS = [nin.global_average, nin.fully_connected, bind(nin.fully_connected, dropout=0.5)]


def parameters(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_counts_are_exact(row, without_values):
    model = row()
    assert parameters(model) == row.params and count_macs(model) == row.macs
    assert model.input_shape == (None, *row.input_shape) and model.output_shape == (None, row.classes)


def test_counts_with_100_classes(without_values):
    model = nin.NIN(classes=100)
    assert (parameters(model), count_macs(model)) == (984_356, 223_592_448)


@pytest.mark.parametrize("head", HEADS)
def test_heads_of_table_5(head, without_values):
    """A fully connected layer takes 8 * 8 * 10 values to 10 scores."""
    model = nin.NIN(head=head)
    extra = 0 if head is nin.global_average else 640 * 10 + 10
    assert parameters(model) == nin.NIN.params + extra and model.output_shape == (None, 10)
    rates = [layer.rate for layer in model.layers if layer.name == "drop"]
    assert rates == {HEADS[0]: [], HEADS[1]: [0], HEADS[2]: [0.5]}[head]


@pytest.mark.parametrize(
    ("row", "shapes"),
    [
        (nin.NIN, [(32, 32, 96), (16, 16, 96), (16, 16, 192), (8, 8, 192), (8, 8, 192), (8, 8, 10)]),
        (
            nin.NINImageNet,
            [(55, 55, 96), (27, 27, 96), (27, 27, 256), (13, 13, 256), (13, 13, 384), (6, 6, 384), (6, 6, 1024)]
            + [(6, 6, 1000)],
        ),
    ],
)
def test_stage_shapes(row, shapes, without_values):
    model = row()
    ends = ["cccp2.relu", "pool1", "cccp4.relu", "pool2", "cccp5.relu", "fc"]
    if row is nin.NINImageNet:
        ends[4:] = ["cccp6.relu", "pool3", "cccp7.relu", "fc"]
    assert [model.get_layer(name).output.shape[1:] for name in ends] == shapes


def test_mlpconv_is_a_perceptron_at_every_pixel():
    """Section 3.1: equal to dense layers on the channels of each pixel."""
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("float32")
    inputs = keras.Input((3, 4, 5))
    model = keras.Model(inputs, nin.mlpconv(inputs, (6, 7, 8), block=1))
    y = x
    for name in ("conv1", "cccp1", "cccp2"):
        layer = model.get_layer(name)
        y = np.maximum(y @ np.asarray(layer.kernel)[0, 0] + np.asarray(layer.bias), 0)
    np.testing.assert_allclose(model(x), y, atol=1e-5)


def test_average_pooling_leaves_out_what_lies_beyond_the_border():
    x = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    y = np.asarray(nin.average_pool_3x3(x, name="pool"))[0, :, :, 0]
    np.testing.assert_allclose(y, [[5, 6.5], [11, 12.5]])  # of 9, 6, 6 and 4 values


@pytest.mark.parametrize("head", HEADS)
def test_saves_and_reloads(head, tmp_path):
    model = nin.NIN(classes=3, head=head, **TINY)
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(reloaded(x), model(x))
    assert reloaded.origin == model.origin


def test_bad_recipes_are_clear_errors():
    with pytest.raises(ValueError, match="as many `kernels` as `widths`"):
        nin.NIN(dropouts=(0.5,))

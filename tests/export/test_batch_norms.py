"""Batch norms before and after linear layers fold into them, exactly or not at all."""

import keras
import numpy as np
import pytest
from keras.layers import Conv2D, Dense, DepthwiseConv2D

from kvision import applications
from kvision.export import for_inference
from kvision.layers import BatchNormalization, GroupedConv2D, PointwiseConv2D
from tests.export.test_inference import chain, randomized, same

X = np.random.default_rng(0).normal(size=(2, 6, 6, 4)).astype("float32")


def norms(model) -> int:
    return sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)


# Layers, and how many norms stay.
CHAINS = {
    "bias": ([Conv2D(3, 3), BatchNormalization()], 0),
    "stock batch norm": ([Conv2D(3, 3, use_bias=False), keras.layers.BatchNormalization()], 0),
    "groups": ([GroupedConv2D(6, 3, groups=2), BatchNormalization()], 0),
    "stock groups": ([Conv2D(6, 3, groups=2), BatchNormalization()], 0),
    "depthwise": ([DepthwiseConv2D(3, depth_multiplier=2), BatchNormalization()], 0),
    "dense": ([Dense(5), BatchNormalization(center=False, scale=False)], 0),
    "first": ([BatchNormalization(), Conv2D(3, 3)], 0),
    "first, 1x1": ([BatchNormalization(), PointwiseConv2D(3, use_bias=False)], 0),
    "first, 1x1 with a stride": ([BatchNormalization(), Conv2D(3, 1, 2, padding="same")], 0),
    "first, groups": ([BatchNormalization(), GroupedConv2D(6, 3, groups=2, activation="relu")], 0),
    "first, depthwise": ([BatchNormalization(), DepthwiseConv2D(3, depth_multiplier=2)], 0),
    "first, dense": ([BatchNormalization(scale=False), Dense(5, activation="tanh")], 0),
    "on both sides": ([BatchNormalization(), GroupedConv2D(8, 3, groups=4), BatchNormalization()], 0),
    "between two": ([Conv2D(5, 1), BatchNormalization(), Conv2D(3, 1), BatchNormalization()], 0),
    "two after another": ([Conv2D(5, 1), BatchNormalization(), BatchNormalization(), Dense(3)], 0),
    "zeros around": ([BatchNormalization(), Conv2D(3, 3, padding="same")], 1),
    "zeros by a layer": ([BatchNormalization(), keras.layers.ZeroPadding2D(), Conv2D(3, 3)], 1),
    "pre-activation": ([BatchNormalization(), keras.layers.ReLU(), Conv2D(3, 3)], 1),
    "after an activation": ([Conv2D(3, 3, activation="relu"), BatchNormalization()], 1),
    "another axis": ([BatchNormalization(), keras.layers.BatchNormalization(axis=1), Conv2D(3, 3)], 2),
}


@pytest.mark.parametrize("name", CHAINS)
def test_what_is_folded(name):
    layers, stay = CHAINS[name]
    model = randomized(chain(*[type(layer).from_config(layer.get_config()) for layer in layers]))
    assert norms(same(model, X)) == stay


def shared_norm(x):
    """All its readers take it."""
    x = BatchNormalization()(x)
    return keras.layers.Add()([Conv2D(5, 3)(x), keras.layers.Cropping2D(1)(Dense(5)(x))])


def one_reader_pads(x):
    x = BatchNormalization()(x)
    return [Conv2D(5, 3)(x), Conv2D(5, 3, padding="same")(x)]


def a_shortcut_reads(x):
    y = BatchNormalization()(x)
    return keras.layers.Add()([Conv2D(4, 1)(y), y])


def the_norm_is_an_output(x):
    y = BatchNormalization()(x)
    return [Conv2D(4, 1)(y), y]


def a_reader_called_twice(x):
    y, reader = BatchNormalization()(x), Conv2D(4, 1)
    return [reader(y), reader(x)]


def a_reader_that_reads_two(x):
    y = BatchNormalization()(x)
    return keras.layers.Add()([y, Conv2D(4, 1)(keras.layers.Multiply()([y, x]))])


def strides_beyond_a_folded_norm(x):
    """The last convolution's stride moves up to the norm's input, and no further: the first has no padding."""
    return Conv2D(5, 1, 2)(BatchNormalization()(Conv2D(3, 3)(x)))


def strides_through_a_norm_before(x):
    y = keras.layers.Add()([Conv2D(4, 3, padding="same")(x), x])
    return Conv2D(5, 1, 2)(BatchNormalization()(y))


@pytest.mark.parametrize(
    ("build", "stay"),
    [
        (shared_norm, 0),
        (one_reader_pads, 1),
        (a_shortcut_reads, 1),
        (the_norm_is_an_output, 1),
        (a_reader_called_twice, 1),
        (a_reader_that_reads_two, 1),
        (strides_beyond_a_folded_norm, 0),
        (strides_through_a_norm_before, 0),
    ],
)
def test_other_graphs(build, stay):
    inputs = keras.Input(X.shape[1:])
    model = randomized(keras.Model(inputs, build(inputs)))
    folded = for_inference(model)
    for ours, expected in zip(keras.tree.flatten(folded(X)), keras.tree.flatten(model(X)), strict=True):
        assert np.abs(ours - expected).max() < 1e-5 * np.abs(expected).max()
    assert norms(folded) == stay


def test_both_kinds_in_a_network():
    """PyramidNet's residual branches begin with a norm and no rectifier (Han et al., arXiv:1610.02915, Figure 6)."""
    row = applications.PyramidNet200_a450
    model = row(input_shape=(32, 48, 3), depths=(1, 1), alpha=6, width=4, classes=5, classifier_activation=None)
    folded = same(randomized(model), np.random.default_rng(0).normal(size=(2, 32, 48, 3)).astype("float32"))
    assert [layer.name for layer in folded.layers if isinstance(layer, keras.layers.BatchNormalization)] == ["bn_final"]

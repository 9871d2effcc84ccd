"""Claims of sections 2 and 3 and of the authors' code about the networks' structure."""

import keras
import numpy as np
import pytest

from kvision import layers
from kvision.applications import fractalnet
from kvision.evaluation import count_macs
from kvision.export import for_inference
from tests.applications.test_contract import parameters

ROWS = [
    fractalnet.FractalNet20,
    fractalnet.FractalNetThin20,
    fractalnet.FractalNetThin40,
    fractalnet.FractalNetThin80,
    fractalnet.FractalNetThin160,
]
TINY = dict(widths=(4, 6), dropouts=(0.0, 0.0), classes=5)
X = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype("float32")


def convolutions(model):
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]


def depth(model) -> int:
    """Convolutions on the longest path to the output."""
    longest = {}
    for level in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[level]:
            before = max((longest[id(tensor)] for tensor in node.input_tensors), default=0)
            longest[id(node.output_tensors[0])] = before + isinstance(node.operation, keras.layers.Conv2D)
    return longest[id(model.outputs[0])]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_depth_and_number_of_convolutions(row, without_values):
    """Section 2: a block is 2^(C - 1) deep, B blocks as the name says. Column c has 2^c layers: 2^C - 1 in all."""
    count, blocks = row.architecture.columns, len(row.architecture.widths)
    model = row(widths=(2,), dropouts=(0.0,))
    assert depth(model) == 2 ** (count - 1) and row.name in [
        f"FractalNet{kind}{blocks * depth(model)}" for kind in ("", "Thin")
    ]
    assert len(convolutions(model)) == 2**count - 1
    for number in range(count):
        names = [layer.name for layer in convolutions(model) if f"column{number}." in layer.name]
        assert names == [f"block1.column{number}.{place}.conv" for place in range(2**number)]
    keras.backend.clear_session()


def test_counts_by_hand(without_values):
    """A convolution has 9 c w + w parameters, and costs 9 c w at each pixel."""
    widths = (3, 16, 32, 64, 128, 128)
    for count, row in [(3, fractalnet.FractalNetThin20), (6, fractalnet.FractalNetThin160)]:
        total, macs = 128 * 100 + 100, 128 * 100
        for place, (before, width) in enumerate(zip(widths, widths[1:], strict=False)):
            # Every column starts from the block's input; all others read a width of their own.
            kernels = count * before * width + (2**count - 1 - count) * width * width
            total += 9 * kernels + (2**count - 1) * width
            macs += 9 * kernels * (32 >> place) ** 2
        assert (total, macs) == (row.params, row.macs)


def test_where_columns_join(without_values):
    """Figure 1: in a block of four columns, after every second layer, of as many columns as end there."""
    model = fractalnet.FractalNet20(columns=4, widths=(2,), dropouts=(0.0,))
    joins = [layer for layer in model.layers if isinstance(layer, layers.FractalJoin)]
    found = {join.name: [tensor._keras_history.operation.name for tensor in join.input[:-1]] for join in joins}
    assert found == {
        "block1.join2": ["block1.column2.0.relu", "block1.column3.1.relu"],
        "block1.join4": ["block1.column1.0.relu", "block1.column2.1.relu", "block1.column3.3.relu"],
        "block1.join6": ["block1.column2.2.relu", "block1.column3.5.relu"],
        "block1.join": [f"block1.column{number}.pool" for number in range(4)],
    }
    readers = [layer.name for layer in model.layers if layer.input is model.get_layer("block1.join4").output]
    assert sorted(readers) == ["block1.column1.1.conv", "block1.column2.2.conv", "block1.column3.4.conv"]


def test_a_layer_is_convolution_dropout_normalization_rectifier(without_values):
    model = fractalnet.FractalNet20(widths=(2, 3, 4, 5, 6))
    kinds = [type(layer).__name__ for layer in fractalnet.column(model, 0).layers[5:10]]
    assert kinds == ["Conv2D", "Dropout", "BatchNormalization", "Activation", "MaxPooling2D"]
    rates = {layer.name[:6]: layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)}
    assert rates == {"block2": 0.1, "block3": 0.2, "block4": 0.3, "block5": 0.4}
    assert all(layer.use_bias for layer in convolutions(model))
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    assert len(norms) == 35 and not any(norm.trainable_weights for norm in norms)
    shapes = [model.get_layer(f"block{number}.join").output.shape[1:] for number in range(1, 6)]
    assert shapes == [(16, 16, 2), (8, 8, 3), (4, 4, 4), (2, 2, 5), (1, 1, 6)]
    keras.backend.clear_session()


def test_one_column_is_a_plain_network():
    model = fractalnet.FractalNet20(columns=1, **TINY)
    assert {type(layer).__name__ for layer in model.layers} == {
        *("InputLayer", "Conv2D", "BatchNormalization", "Activation", "MaxPooling2D"),
        *("GlobalAveragePooling2D", "Dense"),
    }
    assert all(len(nodes) == 1 for nodes in model._nodes_by_depth.values())  # a chain
    np.testing.assert_array_equal(fractalnet.column(model, 0)(X), model(X))


@pytest.fixture(scope="module")
def network():
    """One whose batches all see a single column."""
    return fractalnet.FractalNet20(single=1.0, **TINY)


def test_global_drop_path_trains_the_extracted_columns(network):
    """One decision for all joins: in training the network is the column that was picked."""
    both = keras.Model(network.input, [network.get_layer("path").output, network.output])
    unseen = {number: fractalnet.column(network, number) for number in range(3)}
    for _ in range(30):
        if not unseen:
            break
        picked, scores = both(X, training=True)
        if chain := unseen.pop(int(np.argmax(picked)), None):
            np.testing.assert_allclose(chain(X, training=True), scores, atol=1e-6)
    assert not unseen


def test_a_column_is_a_chain_that_shares_the_weights(network):
    for number in range(3):
        chain = fractalnet.column(network, number)
        assert len(convolutions(chain)) == depth(chain) == 2 * 2**number
        assert all(len(nodes) == 1 for nodes in chain._nodes_by_depth.values())
        assert all(layer is network.get_layer(layer.name) for layer in chain.layers[1:])
        assert chain.name == f"fractalnet20.column{number}" and chain.origin == network.origin
        np.testing.assert_allclose(for_inference(chain)(X), chain(X), atol=1e-6)
    np.testing.assert_array_equal(fractalnet.column(network, -1)(X), chain(X))
    assert parameters(fractalnet.column(network, 0)) < parameters(network)
    assert count_macs(fractalnet.column(network, 0)) < count_macs(network)


def test_a_column_of_a_network_upon_a_tensor():
    inputs = keras.Input((32, 32, 3))
    model = fractalnet.FractalNet20(input_tensor=keras.layers.Rescaling(1 / 255)(inputs), **TINY)
    assert fractalnet.column(model, 1).layers[1].name.startswith("rescaling")


def test_gradients_reach_the_picked_column_alone(network):
    import tensorflow as tf

    both = keras.Model(network.input, [network.get_layer("path").output, network.output])
    with tf.GradientTape() as tape:
        picked, scores = both(X, training=True)
        loss = tf.reduce_sum(tf.square(scores))
    kernels = {layer.name: layer.kernel for layer in convolutions(network)}
    gradients = tape.gradient(loss, {name: kernel.value for name, kernel in kernels.items()})
    alive = {name for name, gradient in gradients.items() if np.abs(gradient).max() > 0}
    assert alive == {name for name in kernels if f".column{int(np.argmax(picked))}." in name}


def test_inference_means_all_columns(network):
    """By hand in the last join; and no chance in it."""
    ends = [network.get_layer(f"block2.column{number}.pool").output for number in range(3)]
    *columns, joined = keras.Model(network.input, [*ends, network.get_layer("block2.join").output])(X)
    np.testing.assert_allclose(joined, np.mean(columns, axis=0), atol=1e-6)
    np.testing.assert_array_equal(network(X), network(X))


def test_bad_arguments_are_clear_errors(network):
    with pytest.raises(ValueError, match="has columns 0 to 2. Received: number=3"):
        fractalnet.column(network, 3)
    with pytest.raises(ValueError, match="at least one of `columns`"):
        fractalnet.FractalNet20(columns=0)
    with pytest.raises(ValueError, match="as many `widths` as `dropouts`"):
        fractalnet.FractalNet20(widths=(4,))

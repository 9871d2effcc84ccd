"""Recomputation changes memory alone: the same outputs, gradients, statistics and random numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.blocks.conv import conv, norm, relu
from kvision.blocks.submodel import submodel
from kvision.evaluation import count_macs
from kvision.export import for_inference
from kvision.layers import Recomputed
from kvision.weights import copy, state_dict_names

RANDOM = np.random.default_rng(0)
X = [RANDOM.normal(1, 2, (6, 5, 7, channels)).astype("float32") for channels in (3, 2)]
Y = RANDOM.normal(size=(6, 5, 7, 4)).astype("float32")


def composite(tensors, dropout):
    x = norm(keras.layers.Concatenate(name="concat")(tensors), name="norm1")
    x = keras.layers.Dropout(dropout, seed=3, name="drop")(relu(x, name="relu1"))
    return conv(x, 4, 3, name="conv1")


def networks(dropout=0.0):
    """The plain one and the recomputing one, with the same weights, under convolutions of their own."""
    found = []
    for recompute in (False, True):
        inputs = [keras.Input(x.shape[1:]) for x in X]
        features = [conv(x, x.shape[-1], 3, name=f"conv0.{i}") for i, x in enumerate(inputs)]
        if recompute:
            model = submodel(lambda tensors: composite(tensors, dropout), features, name="inside")
            outputs = Recomputed(model, name="recomputed")(features)
        else:
            outputs = composite(features, dropout)
        found.append(keras.Model(inputs, outputs))
    copy(*found)
    return found


def step(model, wrap):
    def run():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(X, training=True) - Y))
        return loss, tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    return wrap(run)()


@pytest.mark.parametrize(
    "wrap", [lambda f: f, tf.function, tf.function(jit_compile=True)], ids=["eager", "graph", "xla"]
)
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_loss_gradients_and_statistics_are_those_of_the_plain_network(wrap, dropout):
    models = networks(dropout)
    for _ in range(2):  # twice: the moving statistics and the dropout's state go on from where they are
        (loss, gradients), (ours, recomputed) = (step(model, wrap) for model in models)
        assert float(loss) == pytest.approx(float(ours), rel=1e-5)
        for one, other in zip(gradients, recomputed, strict=True):
            assert np.any(one) and np.abs(np.subtract(one, other)).max() <= 1e-5 * np.abs(one).max()
    names = [state_dict_names(model) for model in models]
    assert list(names[0]) == list(names[1]) and len(names[0]) == 7
    for name, variable in names[0].items():
        np.testing.assert_allclose(variable, names[1][name], rtol=1e-5)
    assert not np.allclose(names[0]["norm1.running_mean"], 0)


def test_a_mean_moves_once():
    """Batch mean 2 and momentum 0.9: 0.2 after one step; twice would be 0.38."""
    inputs = keras.Input((2, 2, 1))
    model = keras.Model(inputs, Recomputed(submodel(lambda x: norm(x, name="norm"), inputs, name="inside"))(inputs))
    model.compile("sgd", "mse")
    x = np.array([1.0, 3.0], "float32").repeat(4).reshape(2, 2, 2, 1)
    model.train_on_batch(x, x)
    np.testing.assert_allclose(state_dict_names(model)["norm.running_mean"], [0.2], rtol=1e-6)


def test_frozen_statistics_stay():
    inputs = keras.Input((2, 2, 1))
    inside = submodel(lambda x: norm(x, name="norm"), inputs, name="inside")
    inside.get_layer("norm").trainable = False
    layer = Recomputed(inside)
    with tf.GradientTape() as tape:
        x = tf.ones((2, 2, 2, 1))
        tape.watch(x)
        y = layer(x, training=True)
    np.testing.assert_allclose(tape.gradient(y, x), np.full((2, 2, 2, 1), 1 / np.sqrt(1 + 1e-5)), rtol=1e-6)
    np.testing.assert_array_equal(layer.model.get_layer("norm").moving_mean, [0])


def test_the_graph_holds_the_operations_a_second_time():
    plain, recomputed = networks()
    counts = []
    for model in (plain, recomputed):
        function = tf.function(lambda: step(model, lambda f: f)).get_concrete_function()  # noqa: B023
        counts.append(sum(node.type == "ConcatV2" for node in function.graph.get_operations()))
    assert counts[0] == 1 and counts[1] == 2


def test_export_and_multiply_adds_reach_inside():
    plain, recomputed = networks()
    assert count_macs(plain) == count_macs(recomputed)
    for model in (plain, recomputed):
        step(model, lambda f: f)
    folded = for_inference(recomputed)
    np.testing.assert_allclose(folded(X), plain(X), atol=1e-5)
    assert "Recomputed" not in {type(layer).__name__ for layer in folded.layers}

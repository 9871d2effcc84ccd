"""The inference form answers the same as the model, with fewer layers."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.blocks.conv import At, conv_norm, conv_norm_relu, prelu
from kvision.classifier import Preprocess
from kvision.evaluation import count_macs
from kvision.export import Surgery, for_inference
from kvision.export.signatures import PixelModule
from kvision.layers import BatchNormalization, ScaledStdConv2D, StochasticDepth

RANDOM = np.random.default_rng(0)


def randomized(model):
    """Weights as after training: every batch norm with gains, offsets and statistics of its own."""
    for variable in model.variables:
        if variable.path.endswith(("gamma", "moving_variance")):
            variable.assign(RANDOM.uniform(0.5, 1.5, variable.shape))
        elif variable.path.endswith(("beta", "moving_mean", "bias")):
            variable.assign(RANDOM.normal(0, 0.2, variable.shape))
    return model


def same(model, x, tolerance=1e-5):
    folded = for_inference(model)
    expected, answer = np.array(model(x)), np.array(folded(x))
    assert np.abs(expected - answer).max() <= tolerance * np.abs(expected).max()
    return folded


@pytest.mark.parametrize("row", [applications.ResNet18, applications.ResNet50, applications.ResNet20])
def test_every_batch_norm_of_a_resnet_is_folded(row):
    model = randomized(row(input_shape=(48, 32, 3), classifier_activation=None))
    folded = same(model, RANDOM.normal(size=(2, 48, 32, 3)).astype("float32"))
    assert not [layer for layer in folded.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {type(layer).__name__ for layer in folded.layers} >= {"Conv2D", "Dense"}
    assert folded.name == model.name and len(model.weights) > len(folded.weights)


def chain(*layers, shape=(6, 6, 4)):
    x = inputs = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize("second_reader", ["layer", "output", "second call"])
def test_a_convolution_that_others_see_is_kept_as_it_is(second_reader):
    inputs = keras.Input((6, 6, 4))
    convolution = keras.layers.Conv2D(4, 3, padding="same")
    x = convolution(inputs)
    y = BatchNormalization()(x)
    outputs = {"layer": keras.layers.add([x, y]), "output": [x, y], "second call": convolution(y)}[second_reader]
    model = randomized(keras.Model(inputs, outputs))
    folded, x = for_inference(model), RANDOM.normal(size=(1, 6, 6, 4)).astype("float32")
    for ours, expected in zip(keras.tree.flatten(folded(x)), keras.tree.flatten(model(x)), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5)
    assert any(isinstance(layer, keras.layers.BatchNormalization) for layer in folded.layers)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_weights_and_computation_in_half_precision_with_a_float32_head(dtype, policy):
    keras.config.set_dtype_policy(policy)
    model = randomized(applications.ResNet18(input_shape=(32, 32, 3), classes=5))
    folded = for_inference(model, dtype)
    types = {layer.name: (layer.compute_dtype, layer.variable_dtype) for layer in folded.layers}
    assert types["layer1.0.conv1"] == (dtype, dtype)
    assert types["avg_pool"] == types["fc"] == ("float32", "float32")
    x = RANDOM.normal(size=(2, 32, 32, 3)).astype("float32")
    assert np.abs(np.array(folded(x)) - np.array(model(x))).max() < 0.1


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_where_a_batch_norm_stays(dtype):
    inputs = keras.Input((6, 6, 4))
    x = keras.layers.ReLU()(BatchNormalization(name="norm")(inputs))
    model = randomized(keras.Model(inputs, keras.layers.Conv2D(3, 3)(x)))
    folded, x = for_inference(model, dtype), RANDOM.normal(size=(2, 6, 6, 4)).astype("float32")
    norm = folded.get_layer("norm")
    assert (norm.variable_dtype, norm.compute_dtype) == ("float32", dtype)
    expected = np.array(model(x))
    assert np.abs(np.array(folded(x)) - expected).max() < 2e-2 * np.abs(expected).max()


class Step(NamedTuple):
    """One of the surgery's: a network on which it shows, and how."""

    name: str
    row: applications.Variant
    changes: dict
    shows: Callable


TINY_RESNET = dict(depths=(1, 1, 1, 1), widths=(4, 8, 8, 8))
STEPS = [
    Step(
        "batch_norms", applications.ResNet50, TINY_RESNET, lambda model: -sum("moving" in v.path for v in model.weights)
    ),
    Step("strides", applications.ResNet50, TINY_RESNET, lambda model: -count_macs(model)),
    Step(
        "layers", applications.NFResNet26, dict(depths=(1, 1), widths=(16, 24)), lambda model: len(standardised(model))
    ),
]


def standardised(model) -> list:
    """The layers without standardised kernels: all, once they are worked out."""
    return [layer for layer in model.layers if not isinstance(layer, ScaledStdConv2D)]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_each_step_of_the_surgery_can_be_left_out(step):
    model = randomized(step.row(input_shape=(48, 32, 3), classes=5, classifier_activation=None, **step.changes))
    x = RANDOM.normal(size=(2, 48, 32, 3)).astype("float32")
    none = Surgery(batch_norms=False, strides=False, layers=False)
    for surgery in (none, replace(none, **{step.name: True}), replace(Surgery(), **{step.name: False})):
        expected, answer = np.array(model(x)), np.array(for_inference(model, surgery=surgery)(x))
        assert np.abs(expected - answer).max() <= 1e-5 * np.abs(expected).max()
    without, alone = (for_inference(model, surgery=one) for one in (none, replace(none, **{step.name: True})))
    assert step.shows(alone) > step.shows(without)
    assert step.shows(for_inference(model)) >= step.shows(alone)


def test_nothing_is_saved_of_dropout_and_stochastic_depth():
    layers = [keras.layers.Dense(4), keras.layers.Dropout(0.5), StochasticDepth(0.5, seed=1), keras.layers.Flatten()]
    module = PixelModule(randomized(chain(*layers)), Preprocess())
    assert [(v.dtype, v.shape.rank) for v in module.weights] == [("float32", 2), ("float32", 1)]
    assert not {node.op for node in module.answers.graph.as_graph_def().node} & {"StatelessRandomUniformV2", "Select"}


def test_the_model_itself_is_untouched():
    model = randomized(chain(*[keras.layers.Conv2D(3, 3), BatchNormalization()]))
    before = [np.array(weight) for weight in model.weights]
    for_inference(model)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_bad_arguments():
    with pytest.raises(ValueError, match='`dtype` is "float32"'):
        for_inference(chain(keras.layers.Dense(2)), "int8")
    with pytest.raises(ValueError, match="A Functional Keras model is needed"):
        for_inference(keras.layers.Dense(2))


def test_conv_norm_relu_becomes_a_convolution_with_bias():
    inputs = keras.Input((6, 6, 4))
    model = keras.Model(inputs, conv_norm_relu(inputs, 3, 3, at=At("conv", "bn", "relu")))
    assert [layer.name for layer in for_inference(model).layers[1:]] == ["conv", "relu"]


def test_a_prelu_stays_behind_the_folded_batch_norm():
    inputs = keras.Input((6, 6, 4))
    x = prelu(conv_norm(inputs, 5, 3, at=At("conv1", "bn1", "prelu1")), name="prelu1")
    x = prelu(conv_norm(x, 3, at=At("conv2", "bn2", "prelu2")), name="prelu2", shared=True)
    model = randomized(keras.Model(inputs, x))
    for name in ("prelu1", "prelu2"):
        alpha = model.get_layer(name).alpha
        alpha.assign(RANDOM.normal(size=alpha.shape))
    folded = same(model, RANDOM.normal(size=(2, 6, 6, 4)).astype("float32"))
    assert [layer.name for layer in folded.layers[1:]] == ["conv1", "prelu1", "conv2", "prelu2"]


def test_models_inside_are_folded_too():
    """A Sequential and a Functional model, and one of them called twice."""
    inside = keras.Sequential(
        [keras.Input((6, 6, 4)), keras.layers.Conv2D(4, 3, padding="same"), keras.layers.BatchNormalization()]
    )
    x = inputs = keras.Input((6, 6, 4))
    for block in (inside, keras.Model(inside.inputs[0], inside.outputs[0]), inside):
        x = block(x)
    folded = same(randomized(keras.Model(inputs, x)), RANDOM.normal(size=(4, 6, 6, 4)).astype("float32"))
    assert not any("moving" in weight.path for weight in folded.weights)


def test_layers_shared_with_another_model_are_folded():
    """`layer.input` is that of the layer's first call, which the other model made."""
    inputs = keras.Input((5, 7, 3))
    first = keras.Model(inputs, conv_norm_relu(inputs, 4, 3, at=At("conv", "bn", "relu")))
    second = keras.models.clone_model(first, clone_function=lambda layer: layer)
    assert second.get_layer("bn") is first.get_layer("bn")
    folded = same(randomized(second), RANDOM.normal(size=(2, 5, 7, 3)).astype("float32"))
    assert not [layer for layer in folded.layers if isinstance(layer, keras.layers.BatchNormalization)]

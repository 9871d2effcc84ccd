"""Strides that move up the graph change the cost, and not the answer."""

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.evaluation import count_macs
from kvision.export import for_inference
from kvision.layers import PReLU
from tests.export.test_inference import randomized, same

X = np.random.default_rng(0).normal(size=(2, 15, 12, 4)).astype("float32")


@pytest.mark.parametrize(
    ("changes", "spared"),
    [
        # Three quarters of the 3x3 and of the second 1x1 convolution in the last blocks of three stages:
        # 56^2 64 64 9 + 56^2 64 256 multiply-adds in the first, and as many in the others.
        ({}, 3 * 3 * (115_605_504 + 51_380_224) // 4),
        # The torch lineage strides the 3x3, for which every position counts; only projections read a part.
        ({"stride_first": False}, 0),
    ],
    ids=["authors' strides", "torch's strides"],
)
def test_multiply_adds_of_resnet_50(changes, spared):
    model = applications.ResNet50(**changes)
    assert count_macs(model) - count_macs(for_inference(model)) == spared


@pytest.mark.parametrize("size", [(64, 64), (63, 49), (None, None)])
def test_a_resnet_answers_the_same_at_any_size(size):
    model = randomized(applications.ResNet50(input_shape=(*size, 3), depths=(2, 2, 1, 1), classifier_activation=None))
    x = np.random.default_rng(0).normal(size=(2, size[0] or 40, size[1] or 33, 3)).astype("float32")
    same(model, x)


def conv(filters, kernel=1, stride=1, padding="same"):
    return keras.layers.Conv2D(filters, kernel, stride, padding, bias_initializer="normal")


def chain(x):
    """3x3, ReLU, 1x1, then 1x1 with stride 2: the 3x3 takes the stride."""
    x = keras.layers.ReLU()(conv(6, 3)(x))
    return conv(5, 1, 2)(conv(6)(x))


def learned_slopes(x):
    return conv(5, 1, 2)(PReLU()(conv(6, 3)(x)))


def two_readers_of_different_strides(x):
    x = conv(6, 3)(x)
    return [conv(5, 1, 2)(x), conv(5, 1, 3)(x)]


def two_readers_of_one_stride(x):
    x = conv(6, (3, 5))(x)
    return keras.layers.Add()([conv(5, 1, 3)(x), conv(5, 1, 3)(x)])


def a_reader_without_stride(x):
    y = conv(4, 3)(x)
    return [conv(5, 1, 2)(keras.layers.Add()([x, y])), keras.layers.GlobalAveragePooling2D()(y)]


def strides_that_multiply(x):
    return conv(5, 1, 2)(conv(6, 1, 2)(keras.layers.Activation("tanh")(conv(4, 3)(x))))


def an_output_in_between(x):
    x = conv(6, 3)(x)
    return [x, conv(5, 1, 2)(x)]


def a_shared_layer(x):
    shared = conv(4, 3)
    return conv(5, 1, 2)(shared(shared(x)))


def a_valid_convolution(x):
    return conv(5, 1, 2)(conv(4, 3, padding="valid")(x))


def a_gate_of_another_shape(x):
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    return conv(5, 1, 2)(keras.layers.Add()([x, gate]))


@pytest.mark.parametrize(
    ("build", "cheaper"),
    [
        (chain, True),
        (learned_slopes, True),
        (two_readers_of_different_strides, False),
        (two_readers_of_one_stride, True),
        (a_reader_without_stride, False),
        (strides_that_multiply, True),
        (an_output_in_between, False),
        (a_shared_layer, False),
        (a_valid_convolution, False),
        (a_gate_of_another_shape, False),
    ],
)
def test_other_graphs(build, cheaper):
    inputs = keras.Input(X.shape[1:])
    model = keras.Model(inputs, build(inputs))
    moved = for_inference(model)
    for ours, expected in zip(keras.tree.flatten(moved(X)), keras.tree.flatten(model(X)), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5)
    assert (count_macs(moved) < count_macs(model)) is cheaper

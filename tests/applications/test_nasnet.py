"""Figures 2 and 4, Table 2, and how the released code reduces."""

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.applications import nasnet
from kvision.evaluation import count_macs
from tests.applications.test_contract import parameters

TINY = dict(cells=1, filters=8, stem=6)


def output(x, layer):
    inputs = keras.Input((None, None, x.shape[-1]))
    return np.array(keras.Model(inputs, layer(inputs))(x))


def test_grids(without_values):
    model = applications.NASNetALarge()
    shapes = {"conv0.bn": (165, 165, 96), "cell_stem_0": (83, 83, 4 * 42), "cell_stem_1": (42, 42, 4 * 84)}
    shapes |= {f"cell_{number}": (42, 42, 6 * 168) for number in range(6)}
    shapes |= {f"cell_{number}": (21, 21, 6 * 336) for number in range(6, 12)}
    shapes |= {f"cell_{number}": (11, 11, 6 * 672) for number in range(12, 18)}
    shapes |= {"reduction_cell_0": (21, 21, 4 * 336), "reduction_cell_1": (11, 11, 4 * 672)}
    assert {name: model.get_layer(name).output.shape[1:] for name in shapes} == shapes
    # Table 2's 88.9M counts the moving statistics.
    assert parameters(model) == 88_753_150 and model.count_params() == 88_949_818
    keras.backend.clear_session()


def test_4_at_1056(without_values):
    """Table 3's mobile network, with as many parameters as keras.applications.NASNetMobile (printed: 5.3M, 564M)."""
    model = applications.NASNetALarge(cells=4, filters=1056 // 24, stem=32, skip=False, input_shape=(224, 224, 3))
    assert parameters(model) == 5_289_978 and round(count_macs(model) / 1e6) in range(560, 572)
    keras.backend.clear_session()


def test_cells_are_figure_4s():
    """Five sums of two; all but the first of a reduction are concatenated, and the second input of a normal cell."""
    model = applications.NASNetALarge(input_shape=(32, 48, 3), **TINY)
    sums = [f"comb_iter_{number}" for number in range(5)]
    for name, outputs in (("cell_1", ["final_path_bn", *sums]), ("reduction_cell_0", sums[1:])):
        joined = [tensor._keras_history.operation.name for tensor in model.get_layer(name).input]
        assert joined == [f"{name}.{output}" for output in outputs]
        assert all(len(model.get_layer(f"{name}.{number}").input) == 2 for number in sums)
    for table, sizes in ((nasnet.NORMAL, [3, 3, 3, 5, 5]), (nasnet.REDUCTION, [3, 5, 5, 7, 7])):
        operations = [operation for pair in table for operation, _ in pair]
        assert sorted(dict(f.keywords)["kernel"] for f in operations if hasattr(f, "keywords")) == sizes


def test_separable_convolutions_are_applied_twice():
    model = applications.NASNetALarge(input_shape=(32, 48, 3), **TINY)
    place = "reduction_cell_0.comb_iter_0_right"
    layers = [layer for layer in model.layers if layer.name.startswith(f"{place}.")]
    kinds = ["Activation", "DepthwiseConv2D", "PointwiseConv2D", "BatchNormalization"]
    assert [type(layer).__name__ for layer in layers] == 2 * kinds
    assert [(layer.strides, layer.kernel_size) for layer in (layers[1], layers[5])] == [
        ((2, 2), (7, 7)),
        ((1, 1), (7, 7)),
    ]
    assert {layer.epsilon for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)} == {1e-3}


@pytest.mark.parametrize("skip", [True, False])
def test_what_a_cell_reads(skip):
    """Its second input is the last but one; behind a reduction `skip` takes what the reduction had as its second."""
    model = applications.NASNetALarge(input_shape=(32, 48, 3), skip=skip, **{**TINY, "cells": 2})

    def reads(layer):
        return model.get_layer(layer).input._keras_history.operation.name

    assert reads("cell_1.conv_1x1.act") == "cell_0" and reads("cell_1.conv_prev_1x1.act") == "cell_stem_1"
    assert reads("reduction_cell_0.conv_1x1.act") == "cell_1"
    assert reads("reduction_cell_0.conv_prev_1x1.act") == "cell_0"
    assert reads("cell_2.conv_1x1.act") == "reduction_cell_0" and reads("cell_2.act") == f"cell_{0 if skip else 1}"
    assert reads("cell_3.conv_prev_1x1.act") == "reduction_cell_0"


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (4, 7)])
def test_halving_takes_every_second_pixel_and_its_neighbour(size):
    x = np.random.default_rng(0).uniform(1, 2, size=(1, *size, 2)).astype("float32")
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, nasnet.halve(inputs, 4, "half"))
    paths = keras.Model(inputs, model.get_layer("half.paths").output)
    for place in (1, 2):
        model.get_layer(f"half.path_{place}.conv").kernel.assign(np.eye(2, dtype="float32")[None, None])
    moved = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))[:, 1:, 1:]
    np.testing.assert_allclose(paths(x), np.concatenate([x[:, ::2, ::2], moved[:, ::2, ::2]], -1), rtol=1e-6)


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (4, 7)])
def test_averages_with_the_border_differ_there_alone(size):
    """By the definition: windows of TensorFlow's `SAME`, of nine whether they lie inside or not."""
    x = np.random.default_rng(0).normal(size=(1, *size, 2)).astype("float32")
    begins = [-(length % 2) for length in size]  # one zero in front of odd sizes, none of even ones
    counted = np.zeros((1, *[(length + 1) // 2 for length in size], 2))
    inside = counted.copy()
    for i, j in np.ndindex(*counted.shape[1:3]):
        top, left = 2 * i + begins[0], 2 * j + begins[1]
        window = x[:, max(top, 0) : top + 3, max(left, 0) : left + 3]
        counted[:, i, j] = window.sum((1, 2)) / 9
        inside[:, i, j] = window.mean((1, 2))
    bordered = output(x, lambda x: nasnet.average_with_border(x, 3, 2, name="average"))
    np.testing.assert_allclose(bordered, counted, atol=1e-6)
    np.testing.assert_allclose(output(x, lambda x: nasnet.average_pool(x, 3, 2, name="average")), inside, atol=1e-6)
    for average in (nasnet.average_with_border, nasnet.average_pool):
        ones = output(np.ones_like(x), lambda x, average=average: average(x, 3, 1, name="average"))
        np.testing.assert_allclose(ones, 1, atol=1e-6)


def test_bad_recipes_are_clear_errors():
    with pytest.raises(ValueError, match="multiple of 4"):
        applications.NASNetALarge(filters=6)
    with pytest.raises(ValueError, match="at least one of `cells`"):
        applications.NASNetALarge(cells=0)

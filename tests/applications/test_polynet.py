"""The polynomials of section 3.1, and the Very Deep PolyNet."""

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.applications.inception_v4 import Grid
from kvision.applications.polynet import compositions, mpoly, poly, poly_3, way, ways
from kvision.evaluation import count_macs
from tests.applications.test_contract import parameters

F, G, H = np.random.default_rng(0).normal(size=(3, 5, 5))
I = np.eye(5)  # noqa: E741 (the paper's letters)
f, g, h = ((lambda x, matrix=matrix: matrix @ x) for matrix in (F, G, H))


@pytest.mark.parametrize(
    ("terms", "polynomial"),
    [
        (compositions(I, [f]), I + F),
        (compositions(I, [f, f]), I + F + F @ F),
        (compositions(I, [f, f]), I + (I + F) @ F),  # Figure 4(b), one F after the other
        (compositions(I, [f, f, f]), I + F + F @ F + F @ F @ F),
        (compositions(I, [f, g]), I + F + G @ F),
        (compositions(I, [f, g]), I + (I + G) @ F),
        (compositions(I, [f, g, h]), I + F + G @ F + H @ G @ F),
        (ways(I, [f, g]), I + F + G),
        (ways(I, [f, g, h]), I + F + G + H),
        # Two residual units in a row: one way and one composition more than either module.
        ([*ways(I, [f, g]), compositions(I, [f, g])[1]], (I + G) @ (I + F)),
    ],
    ids=["residual", "poly-2", "poly-2b", "poly-3", "mpoly-2", "mpoly-2b", "mpoly-3", "2-way", "3-way", "two units"],
)
def test_polynomials_of_linear_blocks(terms, polynomial):
    np.testing.assert_allclose(I + sum(terms), polynomial, atol=1e-12)


GRID = Grid(1, ((4,), (4, 6)), ((1, 3),))
X = np.random.default_rng(1).uniform(0.5, 1, (2, 4, 5, 3)).astype("float32")


def module(kind, scale=1.0):
    """With positive kernels and a positive input no rectifier cuts anything off: the blocks are linear."""
    inputs = keras.Input(X.shape[1:])
    model = keras.Model(inputs, kind(inputs, GRID, scale, "module"))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(np.abs(layer.kernel) / 4)
    return model


def block(model, output, *inputs):
    """The block of a module between two of its layers."""
    return keras.Model(model.input if not inputs else model.get_layer(*inputs).output, model.get_layer(output).output)


@pytest.mark.parametrize("scale", [1.0, 0.7])
def test_poly_3_is_the_cubic_of_one_block(scale):
    """With the last 1x1 convolutions alike too, since the orders do not share them."""
    model = module(poly_3, scale)
    for order in (1, 2):
        model.get_layer(f"module.conv2d{order}").set_weights(model.get_layer("module.conv2d0").get_weights())
    first = block(model, "module.bn0")
    powers = [first(X), first(first(X)), first(first(first(X)))]
    np.testing.assert_allclose(model(X), X + scale * sum(powers), rtol=1e-5)


def test_mpoly_2_and_2_way_of_two_blocks():
    model = module(mpoly)
    first = block(model, "module.blocks.0.bn0")
    second = block(model, "module.blocks.1.bn1", "module.blocks.1.relu1")
    np.testing.assert_allclose(model(X), X + first(X) + second(first(X)), rtol=1e-5)
    model = module(way)
    first, second = (block(model, f"module.blocks.{i}.bn0") for i in (0, 1))
    np.testing.assert_allclose(model(X), X + first(X) + second(X), rtol=1e-5)


def test_what_the_forms_share():
    """Convolutions of the towers: 1x1 3->4 twice, 1x3 4->6; last 1x1 10->3; two parameters for each normalized map."""
    towers, norms, last = 2 * 3 * 4 + 3 * 4 * 6, 2 * (4 + 4 + 6), 10 * 3 + 2 * 3
    single = towers + norms + last
    counts = [parameters(module(kind)) for kind in (poly, poly_3, mpoly, way)]
    assert counts == [towers + 2 * (norms + last), towers + 3 * (norms + last), 2 * single, 2 * single]
    macs = [count_macs(module(kind)) for kind in (poly, mpoly, way)]
    assert macs == [2 * 4 * 5 * (towers + 30)] * 3
    norms = [layer for layer in module(poly_3).layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 3 * (3 + 1) and len({id(layer) for layer in norms}) == len(norms)


def test_a_scale_of_zero_leaves_the_rectified_input():
    x = X - 0.75
    for kind in (poly, mpoly, way):
        np.testing.assert_array_equal(module(kind, 0.0)(x), np.maximum(x, 0))


def test_the_very_deep_polynet(without_values):
    recipe = applications.PolyNet.architecture
    assert [len(modules) for modules in recipe.modules] == [10, 20, 10]
    assert set(recipe.modules[0]) == {way}
    for modules in recipe.modules[1:]:
        assert modules[::2] == (poly_3,) * (len(modules) // 2) and set(modules[1::2]) == {way}
    short = tuple(modules[:2] for modules in recipe.modules)
    model = applications.PolyNet(modules=short)
    ends = ["stem.5", "stage_a.1.relu", "reduction_a", "stage_b.1.relu", "reduction_b", "stage_c.1.relu"]
    shapes = [(39, 39, 384)] * 2 + [(19, 19, 1152)] * 2 + [(9, 9, 2048)] * 2
    assert [model.get_layer(name).output.shape[1:] for name in ends] == shapes
    stem = [model.get_layer(f"stem.4.branch1.{i}.conv").kernel.shape[:2] for i in (1, 2)]
    assert stem == [(7, 1), (1, 7)]
    # From 1 to 0.7 in equal steps, whatever the number of modules.
    scales = [layer.scale for layer in model.layers if isinstance(layer, keras.layers.Rescaling)]
    np.testing.assert_allclose(scales, [1 - 0.3 * i / 5 for i in range(1, 6)])
    keras.backend.clear_session()

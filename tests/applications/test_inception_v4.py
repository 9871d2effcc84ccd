"""Claims of sections 3.1 to 3.3, Figures 3 to 20 and Table 1."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.applications.inception_v4 import V2, Grid, InceptionResNet, add_scaled, residual
from tests.applications.test_contract import parameters


def shapes(model, names):
    return [model.get_layer(name).output.shape[1:] for name in names]


def kernels(model, *names):
    return [tuple(model.get_layer(f"{name}.conv").kernel.shape[:2]) for name in names]


def test_the_stem(without_values):
    """Figure 3, which writes the sizes beside the filters, and Figure 9, which writes them beside the modules."""
    assert applications.InceptionV4.architecture.depths == (4, 7, 3)
    model = applications.InceptionV4(depths=(1, 1, 1))
    assert shapes(model, (f"features.{place}" for place in (3, 4, 5))) == [(73, 73, 160), (71, 71, 192), (35, 35, 384)]
    assert shapes(model, ("features.0.conv", "features.1.conv", "features.2.conv")) == [
        (149, 149, 32),
        (147, 147, 32),
        (147, 147, 64),
    ]
    modules = [(35, 35, 384), (17, 17, 1024), (17, 17, 1024), (8, 8, 1536), (8, 8, 1536)]
    assert shapes(model, (f"features.{place}" for place in range(6, 11))) == modules
    keras.backend.clear_session()


def test_the_released_order_of_two_pairs(without_values):
    """As many parameters: only a network that is asked for the checkpoint's order takes the checkpoint."""
    paper, released = (applications.InceptionV4(depths=(0, 0, 1), released=order) for order in (False, True))
    pairs = "features.4.branch1.1", "features.4.branch1.2", "features.8.branch2_1", "features.8.branch2_2"
    assert kernels(paper, *pairs) == [(7, 1), (1, 7), (1, 3), (3, 1)]
    assert kernels(released, *pairs) == [(1, 7), (7, 1), (3, 1), (1, 3)]
    assert parameters(paper) == parameters(released)
    assert applications.InceptionV4.weights[0].changes == {"released": True}
    keras.backend.clear_session()


GRIDS = {
    "InceptionResNetV1": ((5, 10, 5), (35, 35, 256), (17, 17, 896), (8, 8, 1792)),
    "InceptionResNetV2": ((10, 20, 9), (35, 35, 320), (17, 17, 1088), (8, 8, 2080)),
    "InceptionResNetV2Paper": ((5, 10, 5), (35, 35, 384), (17, 17, 1152), (8, 8, 2144)),
}


@pytest.mark.parametrize("name", GRIDS)
def test_grids(name, without_values):
    """Every module of a grid puts out what it takes in; the reductions concatenate the maxima with Table 1's widths."""
    row, (depths, *grids) = getattr(applications, name), GRIDS[name]
    once = row(grids=tuple(replace(grid, depth=1) for grid in row.architecture.grids), include_top=False)
    model = keras.Model(once.input, [once.get_layer(f"{stage}.0.relu").output for stage in STAGES])
    assert [shape[1:] for shape in model.compute_output_shape((None, *row.input_shape))] == grids
    assert tuple(grid.depth for grid in row.architecture.grids) == depths
    fine, middle, coarse = (channels for *_, channels in grids)
    k, l, m, n = TABLE_1[name]  # noqa: E741
    assert fine + n + m == middle
    assert kernels(once, "mixed_6a.branch0", "mixed_6a.branch1.0", "mixed_6a.branch1.1") == [(3, 3), (1, 1), (3, 3)]
    widths = [once.get_layer(f"mixed_6a.branch1.{step}.conv").output.shape[-1] for step in range(3)]
    assert widths == [k, l, m]
    ends = [once.get_layer(f"mixed_7a.branch{tower}.conv").output.shape[-1] for tower in ("0.1", "1.1", "2.2")]
    assert middle + sum(ends) == coarse
    keras.backend.clear_session()


STAGES = "repeat", "repeat_1", "repeat_2"
TABLE_1 = {
    "InceptionResNetV1": (192, 192, 256, 384),
    "InceptionResNetV2": (256, 256, 384, 384),
    "InceptionResNetV2Paper": (256, 256, 384, 384),
}


def module_parameters(width, *towers):
    """Counted from a figure: `(inputs, kernel area, filters)` of each convolution with 2 normalization parameters a
    filter, and a linear 1x1 with bias from what the towers end in to the width of the shortcut."""
    convolutions = [convolution for steps in towers for convolution in steps]
    ends = sum(steps[-1][2] for steps in towers)
    return sum(i * area * o + 2 * o for i, area, o in convolutions) + ends * width + width


FIGURES = {
    10: (0, "InceptionResNetV1", 256, [(256, 1, 32)], [(256, 1, 32), (32, 9, 32)], [(256, 1, 32)] + [(32, 9, 32)] * 2),
    11: (1, "InceptionResNetV1", 896, [(896, 1, 128)], [(896, 1, 128), (128, 7, 128), (128, 7, 128)]),
    13: (2, "InceptionResNetV1", 1792, [(1792, 1, 192)], [(1792, 1, 192), (192, 3, 192), (192, 3, 192)]),
    16: (
        *(0, "InceptionResNetV2Paper", 384),
        *([(384, 1, 32)], [(384, 1, 32), (32, 9, 32)], [(384, 1, 32), (32, 9, 48), (48, 9, 64)]),
    ),
    # The figure prints 1154 filters, which cannot be added to Figure 7's 384 + 384 + 384 = 1152.
    17: (1, "InceptionResNetV2Paper", 1152, [(1152, 1, 192)], [(1152, 1, 128), (128, 7, 160), (160, 7, 192)]),
    # The figure prints 2048, which cannot be added to Figure 18's 1152 + 384 + 288 + 320 = 2144.
    19: (2, "InceptionResNetV2Paper", 2144, [(2144, 1, 192)], [(2144, 1, 192), (192, 3, 224), (224, 3, 256)]),
}


@pytest.mark.parametrize("figure", FIGURES)
def test_the_residual_modules(figure, without_values):
    grid, name, width, *towers = FIGURES[figure]
    recipe = getattr(applications, name).architecture
    inputs = keras.Input((9, 9, width))
    model = keras.Model(inputs, residual(inputs, recipe.grids[grid], recipe, "module", 0.1))
    assert parameters(model) == module_parameters(width, *towers) and model.output_shape == model.input_shape


def test_the_released_network_without_gains(without_values):
    """It was trained without the gains of its normalizations, as keras.applications counts."""
    model = applications.InceptionResNetV2()
    gains = sum(weight.shape[0] for weight in model.trainable_weights if weight.name == "gamma")
    assert parameters(model) - gains == 55_813_192
    operations = {operation.name for operation in model.operations}
    assert {"repeat_2.8.scale", "repeat_2.8.relu", "block8.add"} <= operations
    assert not {"repeat_2.9.add", "block8.scale", "block8.relu"} & operations
    assert shapes(model, ("block8.add", "conv2d_7b.relu")) == [(8, 8, 2080), (8, 8, 1536)]
    scales = [model.get_layer(f"{stage}.0.scale").scale for stage in STAGES]
    assert scales == [0.17, 0.1, 0.2]
    keras.backend.clear_session()


def test_what_the_networks_cost():
    """Section 3.2: v1 costs roughly what Inception-v3 does, v2 what Inception-v4 does: the released one, that is."""
    v3, v4, v1, v2, paper = (
        getattr(applications, name).macs
        for name in ("InceptionV3", "InceptionV4", "InceptionResNetV1", "InceptionResNetV2", "InceptionResNetV2Paper")
    )
    assert abs(v1 / v3 - 1) < 0.1 and abs(v2 / v4 - 1) < 0.1 and paper / v4 < 0.8


SMALL = InceptionResNet(grids=(Grid(1, ((4,), (4, 4), (4, 4, 4))),))
X = np.random.default_rng(0).normal(size=(2, 5, 6, 8)).astype("float32")


def module(scale, recipe=SMALL, activate=True):
    inputs = keras.Input(X.shape[1:])
    return keras.Model(inputs, residual(inputs, recipe.grids[0], recipe, "module", scale, activate))


def test_a_scale_of_zero_leaves_the_rectified_shortcut():
    np.testing.assert_array_equal(module(0.0)(X), np.maximum(X, 0))
    np.testing.assert_array_equal(module(0.0, activate=False)(X), X)


def test_the_branch_is_linear_in_its_scale():
    """Figure 20, with the same weights: what is added is the scale times the linear convolution's output."""
    whole, tenth = module(1.0, activate=False), module(0.1)
    tenth.set_weights(whole.get_weights())
    branch = whole(X) - X
    np.testing.assert_allclose(tenth(X), np.maximum(X + 0.1 * branch, 0), atol=1e-6)
    last = whole.get_layer("module.conv2d")
    assert last.use_bias and last.activation is keras.activations.linear
    assert not any(layer.name.startswith("module.conv2d.") for layer in whole.layers)
    last.bias.assign(np.arange(8.0))
    np.testing.assert_allclose(whole(X) - X, branch + np.arange(8), atol=1e-5)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_scaling_keeps_the_precision_of_the_branch(dtype):
    keras.config.set_dtype_policy(dtype)
    x = keras.Input((2, 2, 3), dtype=dtype.removeprefix("mixed_"))
    model = keras.Model(x, add_scaled(x, x, 0.25, "unit"))
    y = model(np.ones((1, 2, 2, 3), "float32"))
    assert keras.backend.standardize_dtype(y.dtype) == dtype.removeprefix("mixed_")
    assert np.all(keras.ops.cast(y, "float32") == 1.25)


def test_a_gate_stands_on_the_branch_before_it_is_scaled():
    class Halve(keras.layers.Layer):
        def call(self, x):
            return x / 2

    gated = module(0.5, replace(SMALL, attend=Halve), activate=False)
    plain = module(0.25, activate=False)
    plain.set_weights(gated.get_weights())
    np.testing.assert_allclose(gated(X), plain(X), atol=1e-6)
    assert [layer.name for layer in gated.layers[-3:]] == ["module.attend", "module.scale", "module.add"]


def test_a_grid_names_each_convolution():
    assert V2[0].steps == [[(32, 1)], [(32, 1), (32, 3)], [(32, 1), (48, 3), (64, 3)]]
    assert V2[1].steps == [[(192, 1)], [(128, 1), (160, (1, 7)), (192, (7, 1))]]

"""The paper's claims: what a mask does to its trunk, and how the hourglass, the stages and the depths count."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision import applications
from kvision.applications import residual_attention
from kvision.applications.residual_attention import chain, halve, naive_learning, residual_learning
from kvision.applications.resnext import resnext
from kvision.blocks.bind import bind
from kvision.blocks.stages import units
from kvision.layers import ChannelMask, SpatialMask

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(2, 32, 48, 3)).astype("float32")
ROWS = [getattr(applications, name) for name in applications.list_models("attention*")]
SMALL = dict(depths=(1, 1), widths=(4, 8), stem=bind(residual_attention.stem, width=8))


def tiny(row=applications.Attention56, input_shape=(32, 48, 3), modules=((2,), ()), **changes):
    """Two stages, the first with a module."""
    base = row.architecture.base
    base = resnext(cardinality=2, base=32, **SMALL) if row.name == "AttentionNeXt56" else replace(base, **SMALL)
    return row(input_shape=input_shape, classes=5, base=base, modules=modules, **changes)


def parameters(model, among="") -> int:
    layers = [layer for layer in model.layers if among in layer.name]
    return sum(int(np.prod(variable.shape)) for layer in layers for variable in layer.trainable_weights)


def outputs(model, *names, x=IMAGES):
    values = keras.Model(model.input, {name: model.get_layer(name).output for name in names})(x)
    return [keras.ops.convert_to_numpy(values[name]) for name in names]


def test_stages_depth_and_masks(without_values):
    model = applications.Attention56()
    names = ["maxpool", *(f"layer{stage}.add" for stage in ("1.0", "2.0", "3.0", "4.2"))]
    shapes = [model.get_layer(name).output.shape[1:] for name in names]
    assert shapes == [(56, 56, 64), (56, 56, 256), (28, 28, 512), (14, 14, 1024), (7, 7, 2048)]  # ResNet-50's
    masks = {  # the sizes that its poolings and its interpolations end in
        name: [
            [model.get_layer(f"{name}.mask.{kind}{level}").output.shape[1] for level in range(1, samplings + 1)]
            for kind in ("pool", "resize")
        ]
        for name, samplings in (("attention1.0", 3), ("attention2.0", 2), ("attention3.0", 1))
    }
    assert masks == {
        "attention1.0": [[28, 14, 7], [56, 28, 14]],
        "attention2.0": [[14, 7], [28, 14]],
        "attention3.0": [[7], [14]],
    }
    assert len(find(model, ".mask.pool")) == len(find(model, ".mask.resize")) == 6
    weighted = [layer for layer in model.layers if any(len(weight.shape) > 1 for weight in layer.weights)]
    trunk = [layer.name for layer in weighted if ".mask." not in layer.name and "downsample" not in layer.name]
    counts = [sum(name.startswith(part) for name in trunk) for part in ("conv1", *PARTS, "fc")]
    assert counts == [1, 3, 12, 3, 12, 3, 12, 9, 1] and sum(counts) == len(trunk) == 56
    keras.backend.clear_session()


PARTS = ("layer1", "attention1", "layer2", "attention2", "layer3", "attention3", "layer4")


def find(model, part):
    return [layer.name for layer in model.layers if part in layer.name]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_depth_counts_the_trunk(row):
    """1 + 3 + 12 + 3 + 12 + 3 + 12 + 9 + 1 = 56, 1 + 3 + 12 + 3 + 24 + 3 + 36 + 9 + 1 = 92: three layers a unit."""
    net = row.architecture
    modules = sum(len(masks) for masks in net.modules)
    assert 1 + 3 * (sum(net.base.depths) + modules * (2 * net.p + net.t)) + 1 == int(row.name[-2:])


def test_the_units_are_those_of_the_papers_they_come_from(without_values):
    """Of Attention a bottleneck with its three normalizations before it, of AttentionNeXt one of ResNeXt-50."""
    inputs, unit = keras.Input((8, 8, 256)), next(units((1,), (64,)))
    costs = {
        row.name: parameters(keras.Model(inputs, chain(inputs, replace(unit, index=1), row.architecture, "unit", 1)))
        for row in ROWS
    }
    bottleneck = 256 * 64 + 64 * 64 * 9 + 64 * 256
    aggregated = 256 * 128 + 128 * 4 * 9 + 128 * 256 + 2 * (128 + 128 + 256)
    inception = 3 * (256 * 32 + 2 * 32) + 3 * (32 * 32 * 9 + 2 * 32) + 96 * 256 + 256
    assert costs["Attention56"] == costs["Attention92"] == bottleneck + 2 * (256 + 64 + 64)
    assert costs["AttentionNeXt56"] == costs["AttentionNeXt92"] == aggregated
    assert costs["AttentionInception56"] == inception


def test_inception_by_hand():
    """1 + 1 + 1 + 3 units, of which one a stage projects; modules of 12, 9 and 6 units; two convolutions a mask."""

    def convolution(kernel, inputs, filters):
        return kernel * inputs * filters + 2 * filters

    def unit(inputs, width, project=False):
        w, c = width // 2, 4 * width
        towers = 3 * convolution(1, inputs, w) + 3 * convolution(9, w, w)
        return towers + 3 * w * c + c + project * convolution(1, inputs, c)

    def module(width, units):
        c = 4 * width
        return units * unit(c, width) + convolution(1, c, c) + c * c

    stem, fc = convolution(49, 3, 64), 2048 * 1000 + 1000
    units = sum(
        unit(inputs, width, True) for inputs, width in ((64, 64), (256, 128), (512, 256), (1024, 512))
    ) + 2 * unit(2048, 512)
    modules = module(64, 4 + 8) + module(128, 4 + 5) + module(256, 4 + 2)
    assert stem + units + modules + fc == applications.AttentionInception56.params == 34_012_584


@pytest.mark.parametrize("row", [applications.AttentionNeXt56, applications.AttentionInception56], ids=lambda x: x.name)
def test_other_units_learn_save_and_reload(row, tmp_path):
    model = tiny(row, modules=((1,), ()))
    with tf.GradientTape() as tape:
        loss = -tf.reduce_sum(tf.math.log(model(IMAGES, training=True)[:, 0]))
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    assert all(np.isfinite(gradient).all() and np.any(gradient) for gradient in gradients)
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(reloaded(IMAGES), model(IMAGES))


TRUNK, FUSION = "attention1.0.trunk.1.add", "attention1.0.fusion"


def test_a_zero_convolution_masks_by_half():
    model = tiny()
    last = model.get_layer("attention1.0.mask.conv2")
    last.kernel.assign(np.zeros(last.kernel.shape))
    trunk, fused = outputs(model, TRUNK, FUSION)
    assert np.abs(trunk).max() > 0.1
    np.testing.assert_array_equal(fused, 1.5 * trunk)


@pytest.mark.parametrize(("learning", "factors"), [(residual_learning, (2, 1)), (naive_learning, (1, 0))])
def test_saturated_masks(learning, factors):
    """Residual learning (equation 3) keeps or doubles the trunk; naive learning (equation 1) keeps or erases it."""
    model = tiny(learning=learning)
    norm, last = (model.get_layer(f"attention1.0.mask.{name}") for name in ("norm1", "conv2"))
    norm.gamma.assign(np.zeros(16))
    norm.beta.assign(np.full(16, 100.0))
    for sign, factor in zip((1.0, -1.0), factors, strict=True):
        last.kernel.assign(np.full(last.kernel.shape, sign))
        trunk, fused = outputs(model, TRUNK, FUSION)
        assert np.abs(trunk).max() > 0.1
        np.testing.assert_array_equal(fused, factor * trunk)


@pytest.mark.parametrize(("learning", "identity"), [(residual_learning, 1), (naive_learning, 0)])
def test_the_mask_filters_the_gradient(learning, identity):
    """Equation 2: what comes back to the trunk is masked as its features are, by M; equation 3 adds 1."""
    inputs = keras.Input((3, 4, 2)), keras.Input((3, 4, 2))
    model = keras.Model(inputs, learning(*inputs, "module"))
    trunk, mask = (tf.constant(RANDOM.uniform(size=(1, 3, 4, 2)), "float32") for _ in range(2))
    with tf.GradientTape() as tape:
        tape.watch((trunk, mask))
        fused = model([trunk, mask])
    np.testing.assert_allclose(fused, (identity + mask) * trunk, atol=1e-6)
    by_trunk, by_mask = tape.gradient(fused, (trunk, mask))
    np.testing.assert_allclose(by_trunk, identity + mask, atol=1e-6)
    np.testing.assert_array_equal(by_mask, trunk)


def test_stacked_naive_masks_fade_and_residual_ones_do_not():
    """Six halves leave 1/64 of the features; six residual masks of zero leave all."""
    inputs = x = y = keras.Input((1, 1, 2))
    half, zero = (keras.layers.Rescaling(0.0, offset)(inputs) for offset in (0.5, 0.0))
    for place in range(6):
        x, y = naive_learning(x, half, f"naive{place}"), residual_learning(y, zero, f"residual{place}")
    signal = np.ones((1, 1, 1, 2), "float32")
    naive, residual = keras.Model(inputs, [x, y])(signal)
    np.testing.assert_array_equal(naive, signal / 2**6)
    np.testing.assert_array_equal(residual, signal)


def test_the_constraints_on_the_mask_are_a_change_of_the_recipe():
    """Equations 4 to 6, at the same number of parameters."""
    models = {mask: tiny(mask=mask) for mask in (residual_attention.mixed, ChannelMask, SpatialMask)}
    assert len({parameters(model) for model in models.values()}) == 1
    names = "attention1.0.mask.conv2", "attention1.0.mask.activation"
    (logits, mixed), (_, channel), (_, spatial) = (outputs(model, *names) for model in models.values())
    np.testing.assert_allclose(mixed, 1 / (1 + np.exp(-logits)), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(channel, axis=-1), 1, atol=1e-5)
    standardized = np.log(spatial / (1 - spatial))
    np.testing.assert_allclose(standardized.mean((1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(standardized.std((1, 2)), 1, atol=1e-2)


def test_the_mask_branch():
    """Down, up, and one unit across between two levels; the bottom has no way across (Figure 3)."""
    model = tiny(modules=((3,), ()))
    mask = "attention1.0.mask."
    places = {name.removeprefix(mask) for name in find(model, mask) if name.endswith(".0.add")}
    expected = ("down1", "down2", "down3", "skip1", "skip2", "up3", "up2", "up1")
    assert places == {f"{place}.0.add" for place in expected}
    skip, below, joined = outputs(model, f"{mask}skip1.0.add", f"{mask}resize2", f"{mask}add1")
    np.testing.assert_allclose(joined, skip + below, atol=1e-6)
    down = model.get_layer(f"{mask}down1.0.add").output
    assert model.get_layer(f"{mask}pool2").input is down
    # The mask starts where the trunk does: behind p units.
    assert model.get_layer(f"{mask}pool1").input is model.get_layer("attention1.0.pre.0.add").output


def test_p_t_and_r_count_units():
    """Figure 2: p on both sides of the branches, t in the trunk, r on both ways of the mask."""
    unit = 16 * 4 + 4 * 4 * 9 + 4 * 16 + 2 * (16 + 4 + 4)
    base, *more = (parameters(tiny(modules=((1,), ()), **change)) for change in ({}, dict(p=2), dict(t=3), dict(r=2)))
    assert [count - base for count in more] == [2 * unit, unit, 2 * unit]


def test_any_size_known_or_not():
    unknown = tiny(input_shape=(None, None, 3))
    for size in ((61, 45), (7, 5)):
        known = tiny(input_shape=(*size, 3))
        known.set_weights(unknown.get_weights())
        x = RANDOM.normal(size=(2, *size, 3)).astype("float32")
        np.testing.assert_allclose(known(x), unknown(x), atol=1e-6)


def test_pooling_is_caffes_on_even_maps():
    """Windows that hang over the lower right border end there."""
    inputs = keras.Input((None, None, 1))
    model = keras.Model(inputs, halve(inputs, "pool"))
    x = -RANDOM.uniform(1, 2, size=(1, 6, 8, 1)).astype("float32")
    expected = [[x[0, i : i + 3, j : j + 3].max() for j in range(0, 8, 2)] for i in range(0, 6, 2)]
    np.testing.assert_array_equal(np.array(model(x))[0, ..., 0], expected)
    assert model(x[:, :1, :5]).shape == (1, 1, 3, 1)


@pytest.mark.parametrize("modules", [((3,),), ((3,), (0,)), ((2,), (), ())])
def test_errors(modules):
    with pytest.raises(ValueError, match="`modules` has an entry for each stage"):
        tiny(modules=modules)

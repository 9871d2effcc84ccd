"""The paper's own claims: two numberings of one block, where the resolution falls, and what the rows share."""

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.applications.resnest import pooled_shortcut, split_attention
from kvision.applications.senet import stem_deep
from kvision.blocks.bind import bind
from kvision.blocks.conv import At
from kvision.blocks.stages import Unit
from kvision.evaluation import count_macs
from kvision.export import for_inference
from tests.layers.test_split_attention import cardinal_major

RANDOM = np.random.default_rng(0)
AT = At("conv2", "bn2", "relu2")
TINY = dict(
    input_shape=(32, 48, 3),
    depths=(1, 2),
    widths=(16, 32),
    stem=bind(stem_deep, widths=(4, 4, 8)),
    classifier_activation=None,
)


def shuffle(model) -> None:
    """All weights, batch norms' too, away from where they start."""
    for variable in model.variables:
        if "seed" not in variable.path and len(variable.shape) == 1:
            variable.assign(RANDOM.uniform(0.5, 1.5, variable.shape))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("radix", "cardinality"), [(2, 4), (3, 2), (4, 1)])
def test_groups_may_be_numbered_cardinal_or_radix_major(radix, cardinality, stride):
    """Section 3.2: the block equals one whose groups are numbered as in section 3.1 and are layers of their own, once
    the channels before it and the filters of its convolution are sorted."""
    groups, c = radix * cardinality, 4
    inputs = keras.Input((6, 7, groups * c))
    block = keras.Model(
        inputs, split_attention(inputs, cardinality * c, stride, at=AT, radix=radix, cardinality=cardinality)
    )
    shuffle(block)
    layers = {layer.name: layer for layer in block.layers}
    # The paper's group k R + r is ours of number r K + k.
    ours = np.arange(groups).reshape(radix, cardinality).T.ravel()
    channels = (ours[:, None] * c + np.arange(c)).ravel()

    parts = []
    for number, x in enumerate(keras.ops.split(inputs, groups, -1)):
        place = At(f"conv{number}", f"norm{number}", f"relu{number}")
        mine = slice(ours[number] * c, (ours[number] + 1) * c)
        conv = keras.layers.Conv2D(c, 3, padding="same", use_bias=False, name=place.conv)
        norm = keras.layers.BatchNormalization(epsilon=1e-5, name=place.norm)
        parts.append(keras.ops.relu(norm(conv(x))))
        conv.set_weights([layers["conv2.conv"].get_weights()[0][..., mine]])
        norm.set_weights([weight[mine] for weight in layers["conv2.bn0"].get_weights()])
    U = keras.Model(inputs, parts)

    x = RANDOM.normal(size=(2, 6, 7, groups * c)).astype("float32")
    sorted_x = np.empty_like(x)
    sorted_x[..., channels] = x  # our group `ours[n]` reads what the paper's n reads
    V = cardinal_major([np.array(u) for u in U(x)], layers["conv2"])
    if stride > 1:
        V = keras.layers.AveragePooling2D(3, 2)(np.pad(V, ((0, 0), (1, 1), (1, 1), (0, 0))))
    np.testing.assert_allclose(block(sorted_x), V, atol=1e-5 * np.abs(V).max())


def test_no_convolution_behind_the_stem_has_a_stride():
    """Section 4: averages take its place. `conv1.0` is the first of the stem."""
    model = applications.ResNeSt50(**TINY)
    strides = {layer.name: layer.strides for layer in model.layers if hasattr(layer, "strides")}
    assert {name for name, stride in strides.items() if max(stride) > 1} == {
        *("conv1.0", "maxpool", "layer2.0.conv2.pool", "layer2.0.downsample.0")
    }
    assert model.get_layer("layer2.1.bn3").output.shape[1:] == (4, 6, 128)


def test_fast_networks_pool_before_the_convolution():
    """The same weights; three convolutions of 128^2 28^2 places read a quarter."""
    standard, fast = applications.ResNeSt50, applications.ResNeSt50Fast_2s1x64d
    assert standard.params == fast.params
    assert standard.macs - fast.macs == 3 * 3 * 28**2 * 9 * 128 * (2 * 128 // 2)
    for row, size in ((standard, (8, 12)), (fast, (4, 6))):
        model = row(**TINY)
        assert model.get_layer("layer2.0.conv2.conv").output.shape[1:3] == size
        assert model.get_layer("layer2.0.conv3").output.shape[1:3] == (4, 6)


def test_the_shortcut_averages_what_lies_in_the_image():
    inputs = keras.Input((3, 3, 1))
    unit = Unit("unit", width=1, stride=2, index=0, count=1)
    model = keras.Model(inputs, pooled_shortcut(inputs, 1, unit))
    model.get_layer("unit.downsample.1").set_weights([np.ones((1, 1, 1, 1))])
    x = np.float32([[1, 2, 3], [5, 6, 7], [10, 20, 40]])[None, ..., None]
    np.testing.assert_allclose(model(x)[0, ..., 0], [[3.5, 5], [15, 40]], rtol=1e-4)  # not by 1 + epsilon


def test_the_shortcut_is_the_identity_where_the_shape_stays():
    x = keras.Input((3, 3, 8))
    assert pooled_shortcut(x, 8, Unit("unit", 2, 1, 0, 1)) is x


def test_branches_start_as_zero():
    model = applications.ResNeSt50(**TINY)
    gammas = [layer.gamma for layer in model.layers if layer.name.endswith("bn3")]
    assert len(gammas) == 3 and not any(np.any(gamma) for gamma in gammas)


@pytest.mark.parametrize("row", ["ResNeSt50", "ResNeSt50Fast_1s4x24d"])
def test_inference_folds_every_norm_but_the_attentions(row):
    model = getattr(applications, row)(**TINY)
    shuffle(model)
    x = RANDOM.normal(size=(2, *model.input_shape[1:])).astype("float32")
    folded, expected = for_inference(model), np.array(model(x))
    assert not [layer.name for layer in folded.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert count_macs(folded) == count_macs(model)
    np.testing.assert_allclose(folded(x), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("row", "rate"), [("ResNeSt101", None), ("ResNeSt200", 0.2), ("ResNeSt269", 0.2)])
def test_the_largest_networks_drop_out(row, rate):
    model = getattr(applications, row)(**TINY)
    assert [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)] == ([rate] if rate else [])


def test_a_setting_names_radix_cardinality_and_width():
    """4s2x40d: in a unit of width 64, two cardinal groups of 40 channels, and four splits of each."""
    model = applications.ResNeSt50Fast_4s2x40d(**{**TINY, "depths": (1,), "widths": (64,)})
    conv, attention = model.get_layer("layer1.0.conv2.conv"), model.get_layer("layer1.0.conv2")
    assert (conv.groups, conv.filters) == (8, 320)
    assert (attention.radix, attention.cardinality) == (4, 2)
    assert attention.output.shape[-1] == 80

"""Layers are counted from input to output, block by block, in every family and in plain Keras models."""

import keras
import pytest

from kvision import applications as rows
from kvision.classifier import Classifier, TrainingHead
from kvision.optimizers import depths, layer_groups

SMALL = dict(input_shape=(16, 16, 3), classes=2)
RESNET = dict(SMALL, depths=(1, 2, 1), widths=(16, 16, 16))
NETWORKS = {  # a row, its changes; the layer with weights that comes first in each group, and how many there are
    "plain": (
        "VGG11",
        dict(SMALL, depths=(1, 2), widths=(4, 4), hidden=(4,)),
        "features.0 1, features.3 1, features.5 1, pre_logits.fc1 1, head.fc 1",
    ),
    "norms belong to their convolutions": (
        "VGG11BN",
        dict(SMALL, depths=(1, 2), widths=(4, 4), hidden=()),
        "features.0 2, features.4 2, features.7 2, head.fc 1",
    ),
    "basic blocks": ("ResNet20", RESNET, "conv1 2, layer1.0.conv1 4, layer2.0.conv1 4, layer2.1.conv1 4, "
                     "layer3.0.conv1 4, fc 1"),
    "projections are beside their block": (
        "ResNet50",
        dict(SMALL, depths=(1, 1), widths=(4, 4)),
        "conv1 2, layer1.0.conv1 8, layer2.0.conv1 8, fc 1",
    ),
    "norms in front of a block are its own": (
        "PreActResNet20",
        dict(RESNET, depths=(1, 1, 1)),
        "stem.conv 1, stages.0.blocks.0.norm1 4, stages.1.blocks.0.norm1 5, stages.2.blocks.0.norm1 6, fc 1",
    ),
    "halves of a block are one": (
        "ViT_Ti16",
        dict(SMALL, patch=8, depth=2, width=8, hidden=8, heads=2),
        "patch_embed.proj 3, blocks.0.norm1 5, blocks.1.norm1 6, head 1",
    ),
    "dense blocks": (
        "DenseNet121",
        dict(SMALL, depths=(2, 1), growth=4, start=8),
        "features.conv0 2, features.denseblock1.denselayer1.norm1 4, features.denseblock1.denselayer2.norm1 5, "
        "features.transition1.conv 1, features.denseblock2.denselayer1.norm1 5, fc 1",
    ),
    "towers are beside each other": (
        "GoogLeNet",
        dict(input_shape=(64, 64, 3), classes=2, stages=(((4, 4, 4, 4, 4, 4),), ((4, 4, 4, 4, 4, 4),))),
        "conv1 1, conv2 1, conv3 1, inception3a.branch3.0 6, inception4a.branch3.0 6, fc 1",
    ),
    "cells read two before them": (
        "NASNetALarge",
        dict(input_shape=(32, 32, 3), classes=2, cells=1, filters=4, stem=4),
        "conv0.conv 2, cell_stem_0.conv_1x1.conv 32, cell_stem_1.path_1.conv 35, cell_0.path_1.conv 35, "
        "reduction_cell_0.conv_prev_1x1.conv 34, cell_1.path_1.conv 35, reduction_cell_1.conv_prev_1x1.conv 34, "
        "cell_2.path_1.conv 35, fc 1",
    ),
}  # fmt: skip


def summary(model):
    return ", ".join(f"{group[0].name} {len(group)}" for group in layer_groups(model))


@pytest.mark.parametrize("case", NETWORKS)
def test_groups(case):
    name, changes, expected = NETWORKS[case]
    model = getattr(rows, name)(**changes)
    assert summary(model) == expected
    found = depths(model)
    assert found.keys() == {variable.path for variable in model.weights}
    assert sorted(set(found.values())) == list(range(expected.count(",") + 1))
    assert (found[f"{expected.split()[0]}/kernel"], found[f"{expected.split()[-2]}/kernel"]) == (0, max(found.values()))


@pytest.mark.parametrize(
    ("name", "changes", "groups"),
    [
        ("ResNet50", dict(widths=(2, 2, 2, 2)), 1 + 16 + 1),
        ("VGG16", dict(widths=(2, 2, 2, 2, 2), hidden=(2, 2)), 13 + 3),
        ("ViT_B16", dict(width=12, hidden=4), 1 + 12 + 1),
        ("DenseNet121", dict(growth=2, start=4), 1 + 58 + 3 + 1),
    ],
)
def test_of_rows_as_they_are(name, changes, groups):
    model = getattr(rows, name)(input_shape=(32, 32, 3), classes=2, **changes)
    assert len(layer_groups(model)) == groups


def residual():
    """Without dots in its names, a block of two convolutions with a projection, as in keras.applications."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Normalization(mean=[0.5], variance=[0.2], name="scale")(inputs)
    x = keras.layers.Conv2D(4, 3, name="stem")(x)
    y = keras.layers.Conv2D(4, 3, padding="same", name="first")(x)
    y = keras.layers.Conv2D(4, 3, padding="same", name="second")(keras.layers.BatchNormalization(name="norm")(y))
    x = keras.layers.Add(name="add")([keras.layers.Conv2D(4, 1, name="project")(x), y])
    return inputs, x


def test_plain_keras_models():
    inputs, x = residual()
    inner = keras.Model(inputs, x, name="inner")
    assert summary(inner) == "stem 1, first 4"
    outer = keras.Sequential([keras.Input((8, 8, 3)), inner, keras.layers.Flatten(), keras.layers.Dense(2, name="fc")])
    assert summary(outer) == "inner 1, fc 1"
    assert {depths(outer)[variable.path] for variable in inner.weights} == {0}


def test_training_heads_are_at_the_top():
    inputs, x = residual()
    fc = keras.layers.Dense(2, name="fc")(keras.layers.GlobalAveragePooling2D(name="pool")(x))
    tapped = keras.Input(x.shape[1:])
    branch = keras.Model(tapped, keras.layers.Dense(2, name="aux.fc")(keras.layers.Flatten(name="flat")(tapped)))
    model = Classifier(inputs, fc, heads=[(x, TrainingHead(branch, name="aux"))])
    assert [layer.name for layer in layer_groups(model)[-1]] == ["fc", "aux"]
    assert depths(model).keys() == {variable.path for variable in model.weights}


def test_of_a_layer_that_is_used_twice_the_first_place_counts():
    inputs = keras.Input((4,))
    layers = [keras.layers.Dense(4, name=name) for name in "abc"]
    model = keras.Model(inputs, layers[2](layers[0](layers[1](layers[0](inputs)))))
    assert summary(model) == "a 1, b 1, c 1"


def test_models_that_cannot_be_read():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    for model in (Subclassed(), keras.Sequential(), keras.Model(x := keras.Input((2,)), x)):
        with pytest.raises(ValueError, match="read from the graph of a built Functional or Sequential model"):
            layer_groups(model)
    inputs = keras.Input((4,))
    twins = [keras.Model(x := keras.Input((4,)), keras.layers.Dense(4, name="fc")(x), name=name) for name in "ab"]
    with pytest.raises(ValueError, match="several weights with the path 'fc/kernel'"):
        depths(keras.Model(inputs, twins[1](twins[0](inputs))))

"""A new last layer on the same trunk: of the same kind, for other classes; everything else is kept."""

import keras
import numpy as np
import pytest

from kvision import applications as rows
from kvision.classifier import Preprocess
from kvision.training import new_head

TINY = dict(input_shape=(16, 16, 3), classes=7)
RESNET = dict(TINY, depths=(1, 1, 1), widths=(16, 16, 16))
VIT = dict(TINY, patch=8, depth=1, width=8, hidden=8, heads=2)
HEADED = {
    "ResNet20": (RESNET, "fc"),
    "VGG11": (dict(TINY, depths=(1, 1), widths=(4, 4), hidden=(6,)), "head.fc"),
    "ViT_Ti16": (VIT, "head"),
    "NIN": (dict(TINY, widths=((4, 4), (4, 4), (4,))), "fc"),
}


@pytest.mark.parametrize("activation", ["softmax", None])
@pytest.mark.parametrize("name", HEADED)
def test_the_last_layer_alone_is_new(name, activation):
    arguments, fc = HEADED[name]
    model = getattr(rows, name)(**arguments, classifier_activation=activation).with_preprocess(Preprocess((0.5,)))
    new = new_head(model, 3)
    assert new.output_shape == (None, 3) and new.name == model.name and new.origin == model.origin
    assert [layer.name for layer in new.layers] == [layer.name for layer in model.layers]
    old_fc, new_fc = model.get_layer(fc), new.get_layer(fc)
    assert type(new_fc) is type(old_fc) and new_fc is not old_fc and new_fc.compute_dtype == "float32"
    for key in ("activation", "kernel_initializer", "bias_initializer", "use_bias"):
        first, second = old_fc.get_config()[key], new_fc.get_config()[key]
        assert first == second
    trunks = [[layer for layer in some.layers if layer.weights][:-1] for some in (model, new)]
    assert trunks[0] == trunks[1]
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    assert (np.allclose(np.sum(new(x), -1), 1)) == (activation == "softmax")


def test_scores_are_those_of_the_trunk():
    """With the columns of the old kernel that it keeps, the new head says what the old one did of those classes."""
    model = rows.ResNet20(**RESNET, classifier_activation=None)
    new = new_head(model, 3)
    kernel, bias = (weight.numpy() for weight in model.get_layer("fc").weights)
    new.get_layer("fc").set_weights([kernel[:, :3], bias[:3]])
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    np.testing.assert_allclose(new(x), model(x)[:, :3], rtol=1e-6)


@pytest.mark.parametrize("pooling", [None, "avg", "max"])
def test_without_a_top(pooling):
    model = rows.ResNet20(include_top=False, pooling=pooling, **RESNET)
    new = new_head(model, 3, seed=1)
    assert new.output_shape == (None, 3) and new.get_layer("fc").activation is keras.activations.softmax
    assert new.layers[: len(model.layers)] == model.layers
    assert new.count_params() == model.count_params() + 16 * 3 + 3


def test_pooled_tokens():
    model = rows.ViT_Ti16(include_top=False, pooling="avg", **VIT)
    assert new_head(model, 3).output_shape == (None, 3)


def test_one_seed_one_head():
    model = rows.ResNet20(**RESNET)
    kernels = [new_head(model, 3, seed).get_layer("fc").kernel.numpy() for seed in (1, 1, 2, None)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert all(np.any(kernels[0] != other) for other in kernels[2:])


def test_auxiliary_classifiers():
    """Of GoogLeNet's kind: their last layers are new, what is before them is shared, and they train."""
    inputs = keras.Input((4, 4, 2))
    x = keras.layers.Conv2D(4, 3, name="stem")(inputs)
    scores = keras.layers.Dense(7, activation="softmax", name="fc")(keras.layers.Flatten(name="flatten")(x))
    tapped = keras.Input((2, 2, 4), name="tapped")
    hidden = keras.layers.Dense(5, name="aux.hidden")(keras.layers.Flatten(name="aux.flatten")(tapped))
    branch = keras.Model(tapped, keras.layers.Dense(7, activation="softmax", name="aux.fc")(hidden))
    from kvision.classifier import Classifier, TrainingHead

    model = Classifier(inputs, scores, heads=[(x, TrainingHead(branch, 0.25, name="aux"))])
    new = new_head(model, 3)
    (head,) = new.heads
    assert head.weight == 0.25 and head.name == "aux" and head.branch.output_shape == (None, 3)
    assert head.branch.get_layer("aux.hidden") is branch.get_layer("aux.hidden")
    before = [weight.numpy() for weight in head.weights]
    new.compile("sgd", "sparse_categorical_crossentropy")
    new.fit(np.ones((4, 4, 4, 2)), np.array([0, 1, 2, 0]), verbose=0)
    assert [bool(np.any(a != b)) for a, b in zip(before, head.get_weights(), strict=True)] == [True] * 4


def test_of_a_saved_model_and_of_plain_keras(tmp_path):
    rows.ResNet20(**RESNET).save(tmp_path / "mine.keras")
    loaded = new_head(keras.models.load_model(tmp_path / "mine.keras"), 3)
    assert loaded.origin.row == "ResNet20" and loaded.output_shape == (None, 3)
    loaded.save(tmp_path / "again.keras")
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "again.keras")(x), loaded(x), rtol=1e-6)

    layers = [keras.Input((5, 5, 1)), keras.layers.Flatten(), keras.layers.Dense(4, "relu"), keras.layers.Dense(7)]
    plain = new_head(keras.Sequential(layers), 3)
    assert plain.output_shape == (None, 3) and plain.origin is None


@pytest.mark.parametrize(
    "build",
    [
        lambda: rows.CapsNet(filters=4, capsules=1, dimensions=(2, 2), decoder=None),
        lambda: rows.SVHNCNN(**dict(TINY, widths=(4,), pooled=(1,), hidden=(4,))),
        lambda: rows.ViT_Ti16(include_top=False, **VIT),
    ],
    ids=["capsules", "several symbols", "tokens"],
)
def test_models_without_such_a_head(build):
    with pytest.raises(ValueError, match="has no head that another could stand in for"):
        new_head(build(), 3)


@pytest.mark.parametrize("classes", [0, 2.0, True])
def test_bad_classes(classes):
    with pytest.raises(ValueError, match="integer of at least 1"):
        new_head(rows.ResNet20(**RESNET), classes)

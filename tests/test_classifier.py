"""The one model class: what it adds to a Functional model survives saving, and nothing else is different."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from kvision.classifier import Classifier, Origin, Preprocess, TrainingHead
from kvision.losses import SmoothedCrossentropy
from kvision.optimizers import Warmup

X = np.random.default_rng(0).normal(size=(16, 6)).astype("float32")
Y = np.arange(16) % 3
ORIGIN = Origin("Toy", "timm/toy.a1", {"depth": 2}, Preprocess((0.5,), (0.25,), size=(8, 8), crop_fraction=0.9))


def toy(heads=True, weight=0.3):
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(5, activation="relu", name="hidden")(inputs)
    outputs = keras.layers.Dense(3, activation="softmax", name="fc")(hidden)
    branch = keras.Sequential([keras.layers.Dense(3, activation="softmax")], name="branch")
    pairs = [(hidden, TrainingHead(branch, weight, name="aux"))] if heads else []
    return Classifier(inputs, outputs, name="toy", origin=ORIGIN, heads=pairs)


def test_it_is_a_functional_model():
    model = toy(heads=False)
    assert isinstance(model, keras.Model) and [layer.name for layer in model.layers[1:]] == ["hidden", "fc"]
    assert keras.Model(model.input, model.get_layer("hidden").output)(X).shape == (16, 5)


@pytest.mark.parametrize("heads", [True, False])
def test_origin_and_heads_survive_saving(heads, tmp_path):
    model = toy(heads)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.origin == ORIGIN and len(again.heads) == heads and again.count_params() == model.count_params()
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    for mine, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(mine, other)
    np.testing.assert_allclose(again.fit(X, Y, verbose=0).history["loss"], model.fit(X, Y, verbose=0).history["loss"])


def test_weights_file_round_trip(tmp_path):
    model, other = toy(), toy()
    model.save_weights(tmp_path / "toy.weights.h5")
    other.load_weights(tmp_path / "toy.weights.h5")
    for mine, its in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_heads_are_no_outputs():
    model = toy()
    assert model.output_shape == (None, 3) and len(model.outputs) == 1
    assert model.predict(X, verbose=0).shape == (16, 3) and model(X, training=True).shape == (16, 3)


@pytest.mark.parametrize("jit", [False, True])
def test_fit_adds_the_heads_loss_and_trains_it(jit):
    """loss = cross-entropy of the output + 0.3 times that of the branch, from the same labels."""
    model = toy()
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy", jit_compile=jit)
    loss = model.fit(X, Y, batch_size=16, verbose=0).history["loss"][0]
    hidden = model.get_layer("hidden")(X)
    entropy = keras.losses.SparseCategoricalCrossentropy()
    expected = float(entropy(Y, model(X))) + 0.3 * float(entropy(Y, model.heads[0].branch(hidden)))
    assert loss == pytest.approx(expected, rel=1e-5)
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(float(entropy(Y, model(X))), rel=1e-5)
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy", jit_compile=jit)
    before = [np.array(weight) for weight in model.heads[0].weights]
    model.fit(X, Y, verbose=0)
    assert before and all((np.array(w) != b).any() for w, b in zip(model.heads[0].weights, before, strict=True))


def test_a_head_with_a_loss_of_its_own():
    """As a decoder that is compared with the input, and knows the labels."""

    class Decoder(TrainingHead):
        def extra_loss(self, tapped, x, y, sample_weight, compiled_loss):
            assert len(y.shape) == 1
            return self.weight * keras.ops.mean((self(tapped) - x) ** 2)

    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(5)(inputs)
    model = Classifier(inputs, keras.layers.Dense(3)(hidden), heads=[(hidden, Decoder(keras.layers.Dense(6), 2.0))])
    model.compile(keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = model.fit(X, Y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_loads_in_a_process_that_only_imported_kvision(tmp_path):
    """With its loss, schedule and optimizer: everything of kvision that a file can name is known then."""
    model = toy()
    model.compile(keras.optimizers.SGD(Warmup(0.1, 10)), SmoothedCrossentropy(0.1))
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    code = f"""
import kvision, sys
assert "tensorflow" not in {{name for name in vars(kvision)}}
import keras
model = keras.models.load_model({str(tmp_path / "model.keras")!r})
assert model.origin.row == "Toy" and model.origin.preprocess.size == (8, 8) and len(model.heads) == 1
assert model.loss.label_smoothing == 0.1 and model.optimizer._learning_rate.steps == 10
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(mean=(0, 0, 0)), "one value per channel"),
        (dict(std=(0.0,)), "positive"),
        (dict(size=(0, 8)), "at least 1"),
        (dict(crop_fraction=1.5), "`crop_fraction` lies in"),
        (dict(interpolation="area"), "'bilinear'.*Received: 'area'"),
    ],
)
def test_bad_preprocessing(arguments, message):
    with pytest.raises(ValueError, match=message):
        Preprocess(**arguments)


def test_preprocessing_of_other_channels_is_an_error():
    with pytest.raises(ValueError, match="for 3 channels"):
        Preprocess((0.5,) * 3, (0.2,) * 3)(np.zeros((4, 4, 1)))

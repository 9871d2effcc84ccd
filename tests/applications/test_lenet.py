"""The paper's own claims: sizes, counts and the table of connections, layer by layer."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from kvision.applications import lenet
from kvision.applications.lenet import LeNet5, LeNet5Modern
from kvision.evaluation import count_macs

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(4, 32, 32, 1)).astype("float32")


def trainable(layer) -> int:
    return sum(int(np.prod(variable.shape)) for variable in layer.trainable_variables)


def test_section_2_b_layer_by_layer():
    model = LeNet5()
    found = {name: model.get_layer(name) for name in ("c1", "s2", "c3", "s4", "c5", "f6", "rbf")}
    assert [trainable(layer) for layer in found.values()] == [156, 12, 1_516, 32, 48_120, 10_164, 0]
    assert trainable(model) == LeNet5.params == 60_000
    shapes = [(28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16), (1, 1, 120), (84,), (10,)]
    assert [layer.output.shape[1:] for layer in found.values()] == shapes


def test_multiply_adds_by_hand():
    c1, c5, f6, rbf = 28 * 28 * 6 * 25, 120 * 16 * 25, 120 * 84, 84 * 10
    sparse, full = 10 * 10 * 60 * 25, 10 * 10 * 96 * 25
    assert count_macs(LeNet5()) == c1 + sparse + c5 + f6 + rbf == LeNet5.macs == 326_520
    assert count_macs(LeNet5Modern()) == c1 + full + c5 + f6 + rbf == LeNet5Modern.macs == 416_520
    # With a bias for each unit of its 10x10 maps, C3 has the 151,600 connections that the paper counts.
    assert sparse + 10 * 10 * 16 == 151_600


def test_the_modern_variant_has_all_connections():
    model = LeNet5Modern()
    names = ("c1", "c3", "c5", "f6", "fc")
    assert [trainable(model.get_layer(name)) for name in names] == [156, 2_416, 48_120, 10_164, 850]
    assert trainable(model) == LeNet5Modern.params == 61_706
    shapes = [(28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16), (1, 1, 120), (84,), (10,)]
    assert [model.get_layer(name).output.shape[1:] for name in ("c1", "s2", "c3", "s4", "c5", "f6", "fc")] == shapes


def test_table_1():
    """Six contiguous subsets of three, six of four, three discontinuous ones of four, and all; every row has ten."""
    table = lenet.TABLE_1
    assert [len(maps) for maps in table] == [3] * 6 + [4] * 9 + [6] and sum(map(len, table)) == 60
    for first in range(6):
        assert set(table[first]) == {(first + i) % 6 for i in range(3)}
        assert set(table[6 + first]) == {(first + i) % 6 for i in range(4)}
    assert table[12:15] == ((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5))
    assert [sum(i in maps for maps in table) for i in range(6)] == [10] * 6


def test_squashing():
    """Appendix A: f(1) = 1, f(-1) = -1, and the second derivative is largest there."""
    x = np.linspace(-3, 3, 601)
    y = keras.ops.convert_to_numpy(lenet.squash(x))
    np.testing.assert_allclose(y[[200, 300, 400]], [-1, 0, 1], atol=1e-4)
    assert abs(x[np.diff(y, 2).argmin() + 1] - 1) < 0.02


def test_initial_weights_are_uniform_by_fan_in():
    model = LeNet5()
    for name, fan in (("c1", 25), ("c5", 400), ("f6", 120)):
        kernel = np.array(model.get_layer(name).kernel)
        assert 0.9 * 2.4 / fan < np.abs(kernel).max() <= 2.4 / fan
    kernel = np.abs(model.get_layer("c3").kernel)
    for part, fan in ((slice(0, 18), 75), (slice(18, 54), 100), (slice(54, 60), 150)):
        assert 0.9 * 2.4 / fan < kernel[..., part].max() <= 2.4 / fan


def test_codes():
    digits = lenet.codes(10)
    assert digits.shape == (10, 84) and set(np.unique(digits)) == {-1, 1}
    distances = (digits[:, None] != digits).sum(-1) + 84 * np.eye(10)
    assert distances.min() == 5  # the drawings of 0 and 8
    one = digits[1].reshape(12, 7)
    assert (one[1:11, 3] == 1).all() and (one[4:11, [0, 1, 2, 4, 5, 6]] == -1).all()
    assert lenet.codes(37).shape == (37, 84) and len(np.unique(lenet.codes(37), axis=0)) == 37


def test_scores_are_the_negative_penalties():
    """Softmax turns them into equation 9 without its constant: -log p_D = y_D + log(sum_i exp(-y_i))."""
    model = LeNet5(classifier_activation=None)
    f6, penalties = keras.Model(model.input, [model.get_layer("f6").output, model.get_layer("rbf").output])(X)
    expected = ((np.array(f6)[:, None] - lenet.codes(10)) ** 2).sum(-1)
    np.testing.assert_allclose(penalties, expected, rtol=1e-5)
    scores = model(X)
    np.testing.assert_array_equal(scores, -np.array(penalties))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)(np.arange(4), scores)
    by_hand = expected[np.arange(4), np.arange(4)] + np.log(np.exp(-expected).sum(-1))
    np.testing.assert_allclose(loss, by_hand, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("row", [LeNet5, LeNet5Modern], ids=lambda row: row.name)
def test_saves_and_reloads(row, tmp_path):
    model = row(classes=7)
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    before = model.predict(X, verbose=0)
    np.testing.assert_array_equal(reloaded.predict(X, verbose=0), before)
    assert reloaded.origin == model.origin and before.shape == (4, 7)
    np.testing.assert_array_equal(row(classes=7, weights=tmp_path / "model.keras").predict(X, verbose=0), before)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("row", [LeNet5, LeNet5Modern], ids=lambda row: row.name)
def test_trains_under_mixed_precision_inside_xla(row, policy):
    keras.config.set_dtype_policy(policy)
    model = row()
    model.compile(keras.optimizers.SGD(1e-3), "sparse_categorical_crossentropy", jit_compile=True)
    losses = [model.train_on_batch(X, np.arange(4)) for _ in range(4)]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    assert model.output.dtype == "float32"


@pytest.mark.parametrize(("row", "rate"), [(LeNet5, 1e-3), (LeNet5Modern, 1e-2)], ids=lambda value: str(value)[:12])
def test_learns_handwritten_digits(row, rate):
    digits = load_digits()
    x = row.preprocess_input(np.kron(digits.images, np.ones((1, 4, 4)))[..., None] * (255 / 16))
    model = row()
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x[:1400], digits.target[:1400], batch_size=16, epochs=3, verbose=0)
    assert model.evaluate(x[1400:], digits.target[1400:], verbose=0)[1] > 0.75


def test_preprocessing_is_section_3_as():
    np.testing.assert_allclose(LeNet5.preprocess_input(np.array([[[0], [255]]])), [[[-0.1], [1.175]]], atol=1e-6)


def test_replicates_without_the_top():
    """Section VII: on a larger image C5 is a map, of which every pixel sees 32x32, in steps of 4."""
    model = LeNet5(include_top=False)
    assert model.input_shape == (None, None, None, 1)
    x = RANDOM.normal(size=(1, 40, 48, 1)).astype("float32")
    y = np.array(model(x))
    assert y.shape == (1, 3, 5, 120)
    np.testing.assert_allclose(y[0, 1, 2], np.array(model(x[:, 4:36, 8:40]))[0, 0, 0], atol=1e-5)


@pytest.mark.parametrize("shape", [(28, 28, 1), (36, 32, 1), (None, None, 1)])
def test_other_sizes_are_an_error_with_the_top(shape):
    with pytest.raises(ValueError, match="LeNet-5 (sees|classifies) images of .*32x32|need its size"):
        LeNet5(input_shape=shape)


def test_colour_and_holes():
    assert LeNet5(input_shape=(35, 32, 3)).get_layer("c1").count_params() == 6 * (75 + 1)
    model = LeNet5(activation="relu", subsample=lenet.average, connections=None)
    assert model.origin.changes == {"activation": "relu", "subsample": "average", "connections": None}

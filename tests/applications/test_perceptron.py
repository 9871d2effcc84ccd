"""network.py's claims about `Network([784, hidden, 10])`."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from kvision.applications.perceptron import MLP30, MLP300
from kvision.evaluation import count_macs

X = np.random.default_rng(0).random((4, 28, 28, 1), "float32")


@pytest.mark.parametrize(("row", "hidden"), [(MLP30, 30), (MLP300, 300)])
def test_counts_by_hand(row, hidden):
    model = row()
    assert model.count_params() == 784 * hidden + hidden + hidden * 10 + 10 == row.params
    assert count_macs(model) == 784 * hidden + hidden * 10 == row.macs
    assert [model.get_layer(name).output.shape[1:] for name in ("flatten", "hidden", "fc")] == [
        (784,),
        (hidden,),
        (10,),
    ]


def test_feedforward_is_network_pys():
    """For each layer a = sigmoid(w a + b), also at the output, where it is asked for."""
    model = MLP30(classifier_activation="sigmoid")
    a = X.reshape(4, 784)
    for name in ("hidden", "fc"):
        w, b = model.get_layer(name).get_weights()
        a = 1 / (1 + np.exp(-(a @ w + b)))
    np.testing.assert_allclose(model(X), a, atol=1e-5)


def test_weights_and_biases_start_from_a_standard_normal():
    kernel, bias = MLP300().get_layer("hidden").get_weights()
    for values, tolerance in ((kernel, 0.01), (bias, 0.2)):
        assert abs(values.mean()) < tolerance and abs(values.std() - 1) < tolerance


def test_saves_and_reloads(tmp_path):
    model = MLP30(classes=7)
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(reloaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert reloaded.origin == model.origin


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_trains_under_mixed_precision_inside_xla(policy):
    keras.config.set_dtype_policy(policy)
    model = MLP30()
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=True)
    losses = [model.train_on_batch(X, np.arange(4)) for _ in range(4)]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    assert model.output.dtype == "float32"


def test_learns_handwritten_digits_by_the_quadratic_cost():
    digits = load_digits()
    model = MLP30(input_shape=(8, 8, 1), classifier_activation="sigmoid")
    model.compile(keras.optimizers.SGD(3.0), lambda y, a: keras.ops.sum((y - a) ** 2, -1) / 2, metrics=["accuracy"])
    x, y = digits.images[..., None] / 16, np.eye(10)[digits.target]
    model.fit(x[:1400], y[:1400], batch_size=10, epochs=5, verbose=0)
    assert model.evaluate(x[1400:], y[1400:], verbose=0)[1] > 0.7


def test_bad_arguments_are_clear_errors():
    with pytest.raises(ValueError, match="Dense layers on a feature map need its size"):
        MLP30(input_shape=(None, None, 1))
    with pytest.raises(ValueError, match="at least 1 `hidden`"):
        MLP30(hidden=0)

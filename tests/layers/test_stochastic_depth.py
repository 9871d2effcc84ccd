import keras
import numpy as np
import pytest

from kvision.blocks.conv import At, conv_norm
from kvision.blocks.submodel import submodel
from kvision.evaluation import count_macs
from kvision.export import for_inference
from kvision.layers import SkippedBranch, StochasticDepth
from kvision.weights import copy, state_dict_names

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(8, 5, 7, 4)).astype("float32")


def branch(x):
    return conv_norm(x, 4, 3, at=At("layer1.0.conv1", "layer1.0.bn1", ""))


def flat(survival=0.5, seed=1):
    inputs = keras.Input((5, 7, 4))
    return keras.Model(inputs, inputs + StochasticDepth(survival, seed=seed)(branch(inputs)))


def nested(survival=0.5, seed=1):
    inputs = keras.Input((5, 7, 4))
    layer = SkippedBranch(submodel(branch, inputs, name="branch"), survival, seed, name="skip")
    return keras.Model(inputs, layer([inputs, inputs]))


@pytest.mark.parametrize(("per", "gates"), [("batch", 1), ("sample", 8)])
def test_training_opens_or_closes_and_inference_takes_the_mean(per, gates):
    layer = StochasticDepth(0.7, per, seed=0)
    means = []
    for _ in range(300):
        y = np.asarray(layer(X, training=True))
        is_open = y.any(axis=(1, 2, 3))
        np.testing.assert_array_equal(y, X * is_open[:, None, None, None])
        assert per == "sample" or len(set(is_open)) == 1
        means.append(is_open.mean())
    assert np.mean(means) == pytest.approx(0.7, abs=4 * np.sqrt(0.21 / 300 / gates))
    np.testing.assert_allclose(layer(X), 0.7 * X, rtol=1e-6)


def test_without_rescaling_inference_leaves_the_branch_as_it_is():
    mine, published = (StochasticDepth(0.7, "sample", 1, rescale) for rescale in (False, True))
    np.testing.assert_array_equal(mine(X, training=True), published(X, training=True))
    np.testing.assert_array_equal(mine(X), X)


def test_the_same_seed_draws_the_same_gates():
    draws = [[bool(np.any(layer(X, training=True))) for _ in range(30)] for layer in map(gate, (1, 1, 2))]
    assert draws[0] == draws[1] != draws[2] and len(set(draws[0])) == 2


def gate(seed):
    return StochasticDepth(0.5, seed=seed)


@pytest.mark.parametrize("form", [flat, nested])
def test_survival_1_is_a_plain_residual(form):
    model, x = form(survival=1.0), keras.Input((5, 7, 4))
    plain = keras.Model(x, x + branch(x))
    copy(plain, model)
    for training in (False, True):
        np.testing.assert_allclose(model(X, training=training), plain(X, training=training), atol=1e-6)


@pytest.mark.parametrize("jit", [False, True])
def test_both_forms_take_the_same_steps(jit):
    """Gates that multiply and gates that skip, from the same weights and seed, but for statistics of closed gates."""
    models, losses = (flat(), nested()), []
    copy(*models)
    for model in models:
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", jit_compile=jit)
        losses.append(model.fit(X, X[::-1], batch_size=8, epochs=6, verbose=0).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)
    for ours, theirs in zip(*(model.trainable_weights for model in models), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("jit", [False, True])
def test_a_closed_gate_touches_neither_weights_nor_statistics(jit):
    model = nested(survival=1e-6)
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit)
    assert model.train_on_batch(X, 0 * X) == pytest.approx(np.mean(X**2), rel=1e-5)
    for value, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)
    opened = nested(survival=1.0)
    opened.set_weights(before)
    opened.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit)
    opened.train_on_batch(X, 0 * X)
    assert all(np.any(value != old) for value, old in zip(opened.get_weights(), before, strict=True))


def test_the_branch_keeps_its_paths_and_can_be_tapped():
    inside, outside = nested(), flat()
    assert list(state_dict_names(inside)) == list(state_dict_names(outside))
    copy(inside, outside)
    layer = inside.get_layer("skip")
    tap = keras.Model(layer.model.input, layer.model.get_layer("layer1.0.conv1").output)
    plain = keras.Model(outside.input, outside.get_layer("layer1.0.conv1").output)
    np.testing.assert_array_equal(tap(X), plain(X))


def test_export_folds_inside_and_the_multiply_adds_are_the_branchs():
    model = nested()
    norm = model.get_layer("skip").model.get_layer("layer1.0.bn1")
    norm.moving_mean.assign([1.0, -1.0, 2.0, 0.0])
    norm.moving_variance.assign([4.0, 1.0, 0.5, 2.0])
    folded = for_inference(model)
    assert [weight.path for weight in folded.weights] == ["layer1.0.conv1/kernel", "layer1.0.conv1/bias"]
    np.testing.assert_allclose(folded(X), model(X), atol=1e-5)
    assert np.abs(np.asarray(for_inference(model, "bfloat16")(X)) - np.asarray(model(X))).max() < 0.1
    assert count_macs(model) == count_macs(flat()) == 5 * 7 * 4 * 9 * 4


def test_bad_arguments_are_errors():
    with pytest.raises(ValueError, match=r"in \(0, 1\]. Received: survival=0"):
        StochasticDepth(0)
    with pytest.raises(ValueError, match="'batch' or 'sample'"):
        StochasticDepth(0.5, per="image")
    with pytest.raises(ValueError, match="Functional Keras model. Received: Conv2D"):
        SkippedBranch(keras.layers.Conv2D(3, 3), 0.5)

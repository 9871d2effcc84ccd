"""The paper's own claims about its structure, and that both forms are one network."""

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.applications.stochastic_depth import pool_and_pad, stochastic, survival
from kvision.blocks.bind import bind
from kvision.blocks.stages import units
from kvision.evaluation import count_macs
from kvision.export import for_inference
from kvision.layers import SkippedBranch, StochasticDepth
from kvision.weights import assign, copy, read, state_dict_names

RANDOM = np.random.default_rng(0)
TINY = dict(depths=(1, 2, 1), widths=(16, 24, 24), input_shape=(12, 16, 3))
SKIP = dict(connect=bind(stochastic, skip=True))
X = RANDOM.normal(size=(4, 12, 16, 3)).astype("float32")


def test_the_survival_probabilities_of_110_layers():
    """Section 3: 54 branches from 1 - 1/108 down to 1/2; on average 54 - 55/4 = 40.25 of them survive."""
    found = [survival(unit) for unit in units((18, 18, 18), (16, 32, 64))]
    assert len(found) == 54 and found[0] == pytest.approx(107 / 108) and found[-1] == 0.5
    assert sum(found) == pytest.approx(40.25) and (np.diff(found) < 0).all()


@pytest.mark.parametrize("changes", [{}, SKIP], ids=["flat", "skip"])
def test_each_unit_of_the_network_has_its_own(changes):
    model = applications.StochasticDepth110(**TINY, **changes)
    kind = SkippedBranch if changes else StochasticDepth
    gates = [layer.survival for layer in model.layers if isinstance(layer, kind)]
    assert gates == [0.875, 0.75, 0.625, 0.5]


def test_parameters_by_hand():
    """Without biases: 3x3 convolutions, two scalars for each normalized channel, 64 x 10 + 10 for the classes."""
    first = 9 * 3 * 16 + 2 * 16
    stages = sum(9 * w * w * 36 + 2 * w * 36 for w in (16, 32, 64)) - sum(9 * w * w // 2 for w in (32, 64))
    assert first + stages + 650 == applications.StochasticDepth110.params == applications.ResNet110.params


def test_the_shortcut_averages_pairs_and_pads_with_zeros():
    x = RANDOM.normal(size=(2, 6, 4, 3)).astype("float32")
    unit = next(unit for unit in units((1, 1), (3, 5)) if unit.stride == 2)
    inputs = keras.Input((6, 4, 3))
    y = np.asarray(keras.Model(inputs, pool_and_pad(inputs, 5, unit))(x))
    np.testing.assert_allclose(y[..., :3], x.reshape(2, 3, 2, 2, 2, 3).mean((2, 4)), rtol=1e-5, atol=1e-6)
    assert y.shape == (2, 3, 2, 5) and not y[..., 3:].any()


def test_inference_weighs_the_branch_by_its_survival():
    """Equation 5 at the first unit: relu(shortcut + p_1 f)."""
    model = applications.StochasticDepth110(**TINY)
    shortcut, f, y = (model.get_layer(name).output for name in ("relu", "layer1.0.bn2", "layer1.0.relu"))
    shortcut, f, y = keras.Model(model.input, [shortcut, f, y])(X)
    np.testing.assert_allclose(y, np.maximum(shortcut + 0.875 * np.asarray(f), 0), atol=1e-5)


@pytest.fixture(scope="module")
def forms():
    models = [applications.StochasticDepth110(**TINY, **changes) for changes in ({}, SKIP)]
    for variable in models[0].variables:
        if variable.path.endswith(("beta", "moving_mean")):
            variable.assign(RANDOM.normal(size=variable.shape))
    copy(*models)
    return models


def test_both_forms_load_one_checkpoint(forms, tmp_path):
    flat, nested = forms
    assert sorted(state_dict_names(flat)) == sorted(state_dict_names(nested))
    assert [v.path for v in flat.trainable_weights] == [v.path for v in nested.trainable_weights]
    np.testing.assert_allclose(nested(X), flat(X), atol=1e-6)
    torch = {}
    for name, variable in state_dict_names(flat).items():
        value = np.asarray(variable)
        if name.endswith("weight") and value.ndim > 1:
            value = np.moveaxis(value, (-1, -2), (0, 1)) if value.ndim == 4 else value.T
        torch[name] = value
    np.savez(tmp_path / "weights.npz", **torch)
    for changes in ({}, SKIP):
        loaded = applications.StochasticDepth110(weights=tmp_path / "weights.npz", **TINY, **changes)
        np.testing.assert_allclose(loaded(X), flat(X), atol=1e-6)
    with pytest.raises(ValueError, match="layer3.0.bn1.weight"):
        assign(nested, {name: value for name, value in read(tmp_path / "weights.npz").items() if "layer3" not in name})


def test_the_skipping_form_saves_exports_and_counts_like_the_flat_one(forms, tmp_path):
    flat, nested = forms
    nested.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(reloaded(X), nested(X))
    assert list(state_dict_names(reloaded)) == list(state_dict_names(nested))
    assert nested.origin.changes["connect"] == "stochastic(skip=True)"
    assert count_macs(nested) == count_macs(flat)
    folded = for_inference(nested)
    np.testing.assert_allclose(folded(X), flat(X), atol=1e-6)
    assert not [weight for weight in folded.weights if "moving" in weight.path]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_the_skipping_form_trains_under_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    model = applications.StochasticDepth110(**TINY, **SKIP)
    model.compile(keras.optimizers.SGD(0.05), "sparse_categorical_crossentropy")
    losses = model.fit(X, np.arange(4), epochs=6, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]


def test_any_residual_network_takes_it():
    tiny = dict(depths=(1, 1, 1, 1), widths=(4, 8, 8, 8), input_shape=(32, 32, 3))
    model = applications.ResNet50(connect=bind(stochastic, last=0.8, per="sample"), **tiny)
    assert [layer.survival for layer in model.layers if isinstance(layer, StochasticDepth)] == pytest.approx(
        [0.95, 0.9, 0.85, 0.8]
    )
    plain = applications.ResNet50(**tiny)
    assert set(state_dict_names(model)) == set(state_dict_names(plain))


def test_a_batch_is_skipped_as_a_whole():
    with pytest.raises(ValueError, match="needs per='batch'"):
        applications.StochasticDepth110(connect=bind(stochastic, skip=True, per="sample"))

"""The paper's own claims about its network."""

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from kvision import applications
from tests.applications.test_vit import images, permuted
from tests.weights.test_loader import state_dict

RANDOM = np.random.default_rng(0)
SMALL = dict(patch=8, depth=2, width=6, tokens=10, channels=12, classes=5)


def small(**changes):
    """A small network with every weight but the norms' gains away from its initial value."""
    model = applications.Mixer_B16(input_shape=(32, 32, 3), **{**SMALL, **changes})
    for variable in model.trainable_variables:
        if variable.name != "gamma":
            variable.assign(RANDOM.normal(0, 0.3, variable.shape))
    return model


def switch_off(model, perceptron):
    for number in range(2):
        layer = model.get_layer(f"blocks.{number}.{perceptron}.fc2")
        layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])


def test_224_pixels_are_196_tokens(without_values):
    assert applications.Mixer_B16(include_top=False, depth=1).output_shape == (None, 196, 768)
    assert applications.Mixer_B32(include_top=False, depth=1).output_shape == (None, 49, 768)


def test_without_token_mixing_the_order_of_patches_does_not_matter():
    model = small(classifier_activation=None)
    x, order = images(), RANDOM.permutation(16)
    moved = permuted(x, 8, order)
    assert np.abs(np.array(model(x) - model(moved))).max() > 1e-3
    switch_off(model, "mlp_tokens")
    np.testing.assert_allclose(model(x), model(moved), atol=1e-5)


def test_without_either_mixing_a_block_is_the_identity():
    model = small()
    switch_off(model, "mlp_tokens")
    switch_off(model, "mlp_channels")
    before, after = keras.Model(model.input, [model.get_layer("stem").output, model.get_layer("blocks.1.add2").output])(
        images()
    )
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(("start", "end", "axis"), [("norm1", "tokens_first", 2), ("norm2", "mlp_channels.fc2", 1)])
def test_one_mixing_keeps_channels_apart_and_the_other_tokens(start, end, axis):
    """Between a normalization and the sum: a change in one channel (or token) changes that alone."""
    model = small()
    inputs, outputs = (model.get_layer(f"blocks.0.{name}").output for name in (start, end))
    mixing = keras.Model(inputs, outputs)
    x = RANDOM.normal(size=(1, 16, 6)).astype("float32")
    changed = np.moveaxis(x.copy(), axis, 0)
    changed[3] += 1
    difference = np.abs(np.array(mixing(x) - mixing(np.moveaxis(changed, 0, axis))))
    per_place = difference.max(axis=tuple({0, 1, 2} - {axis}))
    assert per_place[3] > 1e-2 and np.delete(per_place, 3).max() == 0


def test_all_channels_share_the_token_mixing():
    model = small()
    mixing = keras.Model(model.get_layer("blocks.0.norm1").output, model.get_layer("blocks.0.tokens_first").output)
    x, order = RANDOM.normal(size=(1, 16, 6)).astype("float32"), RANDOM.permutation(6)
    np.testing.assert_allclose(mixing(x[..., order]), np.array(mixing(x))[..., order], atol=1e-6)


def test_a_network_takes_one_size(tmp_path):
    model = small()
    with pytest.raises(ValueError, match=r"expected shape=\(None, 32, 32, 3\), found shape=\(1, 40, 40, 3\)"):
        model(images(1, 40))
    save_file(state_dict(model), tmp_path / "model.safetensors")
    loaded = applications.Mixer_B16(input_shape=(32, 32, 3), weights=tmp_path / "model.safetensors", **SMALL)
    np.testing.assert_array_equal(loaded(x := images()), model(x))
    with pytest.raises(ValueError, match=r"mlp_tokens.fc1.weight \(10, 16\), the model has \(10, 25\)"):
        applications.Mixer_B16(input_shape=(40, 40, 3), weights=tmp_path / "model.safetensors", **SMALL)


def test_starts_from_equal_scores():
    model = applications.Mixer_B16(input_shape=(32, 32, 3), **SMALL)
    np.testing.assert_allclose(model(images()), np.full((2, 5), 0.2), atol=1e-7)


def test_paper_counts_of_parameters_are_without_the_classifier():
    """Table 1, in millions."""
    names = ("S32", "S16", "B32", "B16", "L32", "L16", "H14")
    for name, printed in zip(names, (19, 18, 60, 59, 206, 207, 431), strict=True):
        row = getattr(applications, f"Mixer_{name}")
        assert round((row.params - 1000 * (row.architecture.width + 1)) / 1e6) == printed

"""The paper's own claims about its network, and fine-tuning at another resolution."""

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from kvision import applications
from kvision.applications import vit
from kvision.weights import state_dict_names

RANDOM = np.random.default_rng(0)
SMALL = dict(patch=8, depth=2, width=16, hidden=24, heads=2, classes=5)


def small(size=32, **changes):
    """A small network with every weight but the norms' gains away from its initial value."""
    model = applications.ViT_B16(input_shape=(size, size, 3), **{**SMALL, **changes})
    for variable in model.trainable_variables:
        if variable.name != "gamma":
            variable.assign(RANDOM.normal(0, 2 if "pos_embed" in variable.path else 0.3, variable.shape))
    return model


def images(count=2, size=32) -> np.ndarray:
    return RANDOM.normal(size=(count, size, size, 3)).astype("float32")


def permuted(x, patch, order):
    """Images with their patches in another order."""
    count, size = len(x), x.shape[1] // patch
    parts = (
        x.reshape(count, size, patch, size, patch, 3).transpose(0, 1, 3, 2, 4, 5).reshape(count, -1, patch, patch, 3)
    )
    parts = parts[:, order].reshape(count, size, size, patch, patch, 3).transpose(0, 1, 3, 2, 4, 5)
    return parts.reshape(x.shape)


def test_224_pixels_are_196_patches_and_a_class_token(without_values):
    model = applications.ViT_Ti16(depth=1)
    assert model.get_layer("patch_embed").output.shape == (None, 196, 192)
    assert model.get_layer("norm").output.shape == (None, 197, 192)
    assert applications.ViT_Ti16(include_top=False, depth=1).output_shape == (None, 197, 192)


@pytest.mark.parametrize("class_token", [True, False])
def test_without_positions_the_order_of_patches_does_not_matter(class_token):
    model = small(class_token=class_token, classifier_activation=None)
    x, order = images(), RANDOM.permutation(16)
    moved = permuted(x, 8, order)
    assert np.abs(np.array(model(x) - model(moved))).max() > 1e-3
    positions = model.get_layer("pos_embed")
    positions.set_weights([np.zeros_like(weight) for weight in positions.get_weights()])
    np.testing.assert_allclose(model(x), model(moved), atol=1e-5)


def test_without_its_last_products_a_block_is_the_identity():
    model = small(dropout=0.1)
    for number in range(2):
        attention = model.get_layer(f"blocks.{number}.attn")
        for layer in (attention.proj, model.get_layer(f"blocks.{number}.mlp.fc2")):
            layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    tapped = keras.Model(model.input, [model.get_layer(name).output for name in ("pos_drop", "blocks.1.add2")])
    before, after = tapped(images())
    np.testing.assert_array_equal(before, after)


def test_the_class_is_read_from_the_class_token_or_from_the_mean_of_patches():
    x = images()
    for class_token in (True, False):
        model = small(class_token=class_token, classifier_activation=None)
        tokens = np.array(keras.Model(model.input, model.get_layer("norm").output)(x))
        assert tokens.shape == (2, 17 if class_token else 16, 16)
        read = tokens[:, 0] if class_token else tokens.mean(axis=1)
        kernel, bias = model.get_layer("head").get_weights()
        np.testing.assert_allclose(model(x), read @ kernel + bias, atol=1e-5)


def test_pooling_leaves_the_class_token_out():
    model = small(include_top=False, pooling="avg")
    tokens = np.array(keras.Model(model.input, model.get_layer("norm").output)(x := images()))
    np.testing.assert_allclose(model(x), tokens[:, 1:].mean(axis=1), atol=1e-5)


def test_starts_from_equal_scores():
    """The classifier starts from zero; before it, pre-training may have a layer with tanh."""
    model = applications.ViT_B16(input_shape=(32, 32, 3), representation=6, **SMALL)
    np.testing.assert_allclose(model(images()), np.full((2, 5), 0.2), atol=1e-7)
    representation = model.get_layer("pre_logits.fc")
    assert representation.output.shape == (None, 6) and representation.activation is keras.activations.tanh
    assert not np.any(model.get_layer("cls_token").get_weights()[0])


@pytest.mark.parametrize(("row", "dropout"), [("ViT_Ti16", 0), ("ViT_B32", 0), ("ViT_L16", 0.1), ("ViT_H14", 0.1)])
def test_dropout_follows_the_positions_and_every_dense_layer_but_qkv(row, dropout):
    model = getattr(applications, row)(input_shape=(32, 32, 3), **SMALL)
    drops = {layer.name: layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)}
    places = ["pos_drop"] + [f"blocks.{n}.{place}" for n in (0, 1) for place in ("drop", "mlp.drop1", "mlp.drop2")]
    assert drops == ({name: dropout for name in places} if dropout else {})


def test_attention_maps_share_the_weights_and_leave_the_network_as_it_is(tmp_path):
    model, x = small(), images()
    scores = model.predict_on_batch(x)
    maps = vit.attention_maps(model)
    answers = maps(x)
    assert [answer.shape for answer in answers] == [(2, 2, 17, 17)] * 2
    for answer in answers:
        np.testing.assert_allclose(np.sum(answer, -1), 1, atol=1e-6)
    layer = model.get_layer("blocks.1.attn")
    layer.qkv.set_weights([np.zeros_like(weight) for weight in layer.qkv.get_weights()])
    np.testing.assert_allclose(maps(x)[1], np.full((2, 2, 17, 17), 1 / 17), atol=1e-6)
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(reloaded.predict_on_batch(x), model.predict_on_batch(x))
    assert np.abs(scores - model.predict_on_batch(x)).max() > 1e-4
    with pytest.raises(ValueError, match="has no layer MultiHeadSelfAttention"):
        vit.attention_maps(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))


def published(model) -> dict[str, np.ndarray]:
    """The model's weights as its publishers keep them."""
    arrays = {name: np.array(variable) for name, variable in state_dict_names(model).items()}
    axes = {2: (1, 0), 4: (3, 2, 0, 1)}
    arrays = {
        name: np.ascontiguousarray(array.transpose(axes[array.ndim])) if name.endswith(".weight") and array.ndim > 1
        else array
        for name, array in arrays.items()
    }  # fmt: skip
    arrays["cls_token"], arrays["pos_embed"] = arrays.pop("cls_token.token"), arrays.pop("pos_embed.embedding")
    return arrays


def test_fine_tuning_at_another_resolution_resamples_the_positions(tmp_path):
    """Section 3.2. Everything but the positions is taken as it is, and the class token's stays."""
    model = small()
    arrays = published(model)
    assert arrays["blocks.0.attn.qkv.weight"].shape == (48, 16) and arrays["pos_embed"].shape == (1, 17, 16)
    save_file(arrays, tmp_path / "model.safetensors")
    model.save(tmp_path / "model.keras")
    for file in ("model.safetensors", "model.keras"):
        larger = applications.ViT_B16(input_shape=(56, 48, 3), weights=tmp_path / file, **SMALL)
        for name, array in published(larger).items():
            if name != "pos_embed":
                np.testing.assert_array_equal(array, arrays[name])
        positions = published(larger)["pos_embed"]
        assert positions.shape == (1, 1 + 7 * 6, 16)
        np.testing.assert_array_equal(positions[:, 0], arrays["pos_embed"][:, 0])
        old, new = arrays["pos_embed"][0, 1:].reshape(4, 4, 16), positions[0, 1:].reshape(7, 6, 16)
        np.testing.assert_allclose(new[::6, ::5], old[::3, ::3], atol=1e-6)
        np.testing.assert_allclose(new[1, 0], (old[0, 0] + old[1, 0]) / 2, atol=1e-6)
        assert np.isfinite(larger(RANDOM.normal(size=(1, 56, 48, 3)))).all()


def test_no_square_grid_of_positions_is_an_error(tmp_path):
    arrays = published(small())
    arrays["pos_embed"] = arrays["pos_embed"][:, :14]
    save_file(arrays, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"pos_embed \(1, 14, 16\), the model has \(1, 17, 16\)"):
        applications.ViT_B16(input_shape=(32, 32, 3), weights=tmp_path / "model.safetensors", **SMALL)


def test_weights_of_384_pixels_make_a_network_of_384_pixels(tmp_path):
    changes = {**SMALL, "patch": 16, "depth": 1}
    save_file(published(applications.ViT_S16(input_shape=(384, 384, 3), **changes)), tmp_path / "model.safetensors")
    arguments = dict(weights=tmp_path / "model.safetensors", lineage="vit_small_patch16_384.augreg_in1k", **changes)
    assert applications.ViT_S16(**arguments).input_shape == (None, 384, 384, 3)
    assert applications.ViT_S16(input_shape=(224, 224, 3), **arguments).input_shape == (None, 224, 224, 3)
    assert applications.ViT_S16(include_top=False, **arguments).input_shape == (None, 384, 384, 3)
    del arguments["lineage"]
    assert applications.ViT_S16(**arguments).input_shape == (None, 224, 224, 3)


def test_a_checkpoint_without_a_classifier(tmp_path):
    """ViT-H/14 is published so."""
    arrays = published(small())
    del arrays["head.weight"], arrays["head.bias"]
    save_file(arrays, tmp_path / "model.safetensors")
    arguments = dict(input_shape=(32, 32, 3), weights=tmp_path / "model.safetensors", **SMALL)
    assert applications.ViT_H14(include_top=False, **arguments).output_shape == (None, 17, 16)
    with pytest.raises(ValueError, match="not in the checkpoint"):
        applications.ViT_H14(**arguments)


def test_at_384_pixels(without_values):
    model = applications.ViT_B16(input_shape=(384, 384, 3))
    assert model.count_params() == 86_859_496
    keras.backend.clear_session()

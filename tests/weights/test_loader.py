"""Checkpoints by name: what fits is loaded exactly, what does not is explained, and nothing is half loaded."""

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from kvision import applications
from kvision.weights import assign, read, state_dict_names

TINY = dict(input_shape=(32, 32, 3), depths=(1, 1, 1, 1), widths=(4, 4, 4, 4))


def state_dict(model) -> dict[str, np.ndarray]:
    """The model's weights as PyTorch would keep them."""
    arrays = {name: np.array(variable) for name, variable in state_dict_names(model).items()}
    axes = {2: (1, 0), 4: (3, 2, 0, 1)}
    return {name: np.ascontiguousarray(array.transpose(axes.get(array.ndim, (0,)))) for name, array in arrays.items()}


@pytest.fixture(scope="module")
def arrays():
    keras.utils.set_random_seed(1)
    return state_dict(applications.ResNet50(classes=7, stride_first=False, **TINY))


def save(arrays, path):
    (save_file if path.suffix == ".safetensors" else lambda a, p: np.savez(p, **a))(arrays, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_a_local_file_loads_in_the_rows_lineage(arrays, tmp_path, suffix):
    """A fine-tune of timm's ResNet-50 to 7 classes: its strides come with the lineage, its counters are passed over."""
    counters = {"bn1.num_batches_tracked": np.array(3)}
    path = save({**arrays, **counters}, tmp_path / f"finetuned{suffix}")
    model = applications.ResNet50(weights=path, classes=7, **TINY)
    assert model.origin.changes["stride_first"] is False and model.origin.weights == path.name
    assert model.origin.preprocess == applications.ResNet50.preprocessing()
    for name, array in state_dict(model).items():
        np.testing.assert_array_equal(array, arrays[name])
    assert arrays["layer1.0.conv2.weight"].shape == (4, 4, 3, 3) and arrays["fc.weight"].shape == (7, 16)


def test_without_the_top_the_checkpoints_top_is_left_out(arrays, tmp_path):
    path = save(arrays, tmp_path / "finetuned.safetensors")
    model = applications.ResNet50(include_top=False, weights=path, **{**TINY, "input_shape": None})
    np.testing.assert_array_equal(state_dict(model)["conv1.weight"], arrays["conv1.weight"])


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (lambda a: a.pop("layer2.0.bn3.running_var"), ["not in the checkpoint (1)", "layer2.0.bn3.running_var"]),
        (lambda a: a.update({"layer9.weight": a["fc.bias"]}), ["not in the model (1)", "layer9.weight"]),
        (
            lambda a: a.update({"fc.weight": np.zeros((1000, 16), "float32")}),
            ["Of another shape", "fc.weight (1000, 16), the model has (7, 16)"],
        ),
    ],
    ids=["missing", "extra", "misshapen"],
)
def test_a_wrong_checkpoint_shows_both_sides_and_changes_nothing(arrays, change, messages):
    wrong = dict(arrays)
    change(wrong)
    model = applications.ResNet50(classes=7, stride_first=False, **TINY)
    before = state_dict(model)
    with pytest.raises(ValueError) as error:
        assign(model, wrong)
    assert all(message in str(error.value) for message in messages)
    for name, array in state_dict(model).items():
        np.testing.assert_array_equal(array, before[name])


def test_rename_pairs_apply_in_order(arrays):
    model = applications.ResNet50(classes=7, stride_first=False, **TINY)
    foreign = {name.replace("layer", "stage.").replace("fc.", "head."): array for name, array in arrays.items()}
    assign(model, foreign, rename=((r"^stage\.(\d)", r"layer\1"), (r"^head\.", "fc.")))
    np.testing.assert_array_equal(state_dict(model)["fc.bias"], arrays["fc.bias"])


@pytest.mark.parametrize("name", ["model.safetensors", "model.npz"])
@pytest.mark.parametrize("damage", ["garbage", "truncated", "empty"])
def test_corrupt_files_are_found_before_anything_is_loaded(arrays, tmp_path, name, damage):
    path = save(arrays, tmp_path / name)
    content = path.read_bytes()
    path.write_bytes({"garbage": b"<html>" * 99, "truncated": content[: len(content) // 2], "empty": b""}[damage])
    with pytest.raises(ValueError, match=f"{name}.* is no readable"):
        applications.ResNet50(weights=path, classes=7, **TINY)


def test_pickles_are_never_read(tmp_path):
    path = tmp_path / "pickled.npz"
    np.savez(path, **{"fc.weight": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(ValueError, match="no readable npz file of plain arrays"):
        read(path)
    with pytest.raises(ValueError, match=r"read from .safetensors and .npz.*Convert a torch pickle"):
        read(tmp_path / "model.pth")


def test_keras_files_load_by_name_and_by_position(tmp_path):
    model = applications.ResNet50(classes=7, **TINY)
    model.save_weights(tmp_path / "model.weights.h5")
    model.save(tmp_path / "model.keras")
    for arguments in (
        dict(weights=tmp_path / "model.keras"),
        dict(weights=tmp_path / "model.weights.h5", stride_first=True),
    ):
        again = applications.ResNet50(classes=7, **TINY, **arguments)
        for mine, other in zip(again.weights, model.weights, strict=True):
            np.testing.assert_array_equal(mine, other)


def test_a_weights_file_that_cannot_say_its_lineage(tmp_path):
    """Positions, not names: ResNet50's strides could be the authors' or the torch lineage's."""
    applications.ResNet50(classes=7, **TINY).save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(ValueError, match="cannot say whether.*stride_first.*Pass lineage="):
        applications.ResNet50(classes=7, weights=tmp_path / "model.weights.h5", **TINY)


def test_a_keras_file_that_says_it_was_built_otherwise(tmp_path):
    applications.ResNet50(classes=7, stride_first=False, **TINY).save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="ResNet50 with the changes .*'stride_first': False.*belong to its own"):
        applications.ResNet50(classes=7, weights=tmp_path / "model.keras", **TINY)


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
def test_a_keras_file_of_another_network(tmp_path, name):
    other = applications.ResNet50(classes=5, **TINY)
    (other.save if name.endswith(".keras") else other.save_weights)(tmp_path / name)
    with pytest.raises(ValueError, match="does not fit resnet50"):
        applications.ResNet50(classes=7, weights=tmp_path / name, stride_first=True, **TINY)


def test_a_cached_file_of_the_hub_is_found(arrays, tmp_path, monkeypatch):
    """A tag that timm has downloaded before on this machine; nothing is fetched."""
    import huggingface_hub

    asked = []
    path = save(arrays, tmp_path / "model.safetensors")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *a: asked.append(a) or str(path))
    with pytest.raises(ValueError, match="`classes` should be 1000. Received classes=7"):
        applications.ResNet50(weights="imagenet", classes=7, **TINY)
    model = applications.ResNet50(weights="imagenet", include_top=False, **{**TINY, "input_shape": None})
    assert asked[-1] == ("timm/resnet50.a1_in1k", "model.safetensors")
    assert model.origin.weights == "timm/resnet50.a1_in1k" and model.origin.preprocess.size == (288, 288)
    np.testing.assert_array_equal(state_dict(model)["conv1.weight"], arrays["conv1.weight"])


def test_depthwise_kernels_have_pytorchs_order():
    """There a group of one channel for each filter, `(C m, 1, h, w)`, the m filters of a channel side by side."""
    inputs = keras.Input((5, 7, 3))
    model = keras.Model(
        inputs, keras.layers.DepthwiseConv2D(2, depth_multiplier=2, use_bias=False, name="conv")(inputs)
    )
    array = np.random.default_rng(0).normal(size=(6, 1, 2, 2)).astype("float32")
    assign(model, {"conv.weight": array})
    image = np.zeros((1, 5, 7, 3), "float32")
    image[0, 0, 0] = 1, 10, 100
    expected = array[:, 0, 0, 0] * [1, 1, 10, 10, 100, 100]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(image))[0, 0, 0], expected, rtol=1e-6)
    with pytest.raises(ValueError, match="Of another shape"):
        assign(model, {"conv.weight": array[:4]})


def test_a_transposed_kernel_of_a_plain_convolution_does_not_fit():
    """Only a depthwise kernel is read as one: (3, 1, 2, 2) is no convolution of three channels to one."""
    inputs = keras.Input((5, 7, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(1, 2, use_bias=False, name="conv")(inputs))
    with pytest.raises(ValueError, match="Of another shape"):
        assign(model, {"conv.weight": np.zeros((3, 1, 2, 2), "float32")})

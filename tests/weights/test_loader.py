"""Checkpoints by name: what fits is loaded exactly, what does not is explained, and nothing is half loaded."""

import keras
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from kvision import applications
from kvision.applications._suggest import suggest
from kvision.weights import Lineage, assign, read, state_dict_names
from tests.golden import seeded
from tests.weights.test_lineage import GOLDEN

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
    assign(model, foreign, Lineage(rename=(("^stage.", "^layer"), ("^head.", "^fc."))))
    np.testing.assert_array_equal(state_dict(model)["fc.bias"], arrays["fc.bias"])


@pytest.mark.parametrize("name", ["model.safetensors", "model.npz"])
@pytest.mark.parametrize("damage", ["garbage", "truncated", "empty"])
def test_corrupt_files_are_found_before_anything_is_loaded(arrays, tmp_path, name, damage):
    path = save(arrays, tmp_path / name)
    content = path.read_bytes()
    path.write_bytes({"garbage": b"<html>" * 99, "truncated": content[: len(content) // 2], "empty": b""}[damage])
    with pytest.raises(ValueError, match=f"{name}.* is no readable"):
        applications.ResNet50(weights=path, classes=7, **TINY)


def test_half_precision_is_read(tmp_path):
    numbers = np.array([0.5, -1.25, 3.0], "float32")
    arrays = {"half": numbers.astype("float16"), "brain": numbers.astype(ml_dtypes.bfloat16)}
    save_file(arrays, tmp_path / "model.safetensors")
    for array in read(tmp_path / "model.safetensors").values():
        np.testing.assert_array_equal(np.asarray(array, "float32"), numbers)
    save_file({"eighth": numbers.astype(ml_dtypes.float8_e4m3fn)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="eighth of .*model.safetensors' has numbers of type F8_E4M3; read are F64"):
        read(tmp_path / "model.safetensors")


def test_pickles_are_never_read(tmp_path):
    path = tmp_path / "pickled.npz"
    np.savez(path, **{"fc.weight": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(ValueError, match="no readable npz file of plain arrays"):
        read(path)
    for call in (lambda path: read(path), lambda path: applications.ResNet18(weights=path)):
        with pytest.raises(ValueError, match=r"read from .safetensors and .npz.*Convert a torch pickle"):
            call(tmp_path / "model.pth")


def test_a_new_head(arrays, tmp_path):
    """A checkpoint of 7 classes for 5: everything but its classification layer."""
    path = save(arrays, tmp_path / "finetuned.safetensors")
    with pytest.raises(ValueError, match=r"fc.weight \(7, 16\), the model has \(5, 16\)(.|\n)*new_head=True leaves"):
        applications.ResNet50(weights=path, classes=5, **TINY)
    model = applications.ResNet50(weights=path, classes=5, new_head=True, **TINY)
    found = state_dict(model)
    assert found["fc.weight"].shape == (5, 16) and found["fc.weight"].any() and not found["fc.bias"].any()
    for name in found.keys() - {"fc.weight", "fc.bias"}:
        np.testing.assert_array_equal(found[name], arrays[name])


def test_a_new_head_of_a_keras_file(tmp_path):
    """Of a network without published weights, whose layer of classes has a name of its own."""
    old = applications.AlexNet(classes=7, hidden=(8, 8), input_shape=(95, 95, 3))
    old.save(tmp_path / "model.keras")
    old.save_weights(tmp_path / "model.weights.h5")
    arguments = dict(classes=5, hidden=(8, 8), input_shape=(95, 95, 3), new_head=True)
    model = applications.AlexNet(weights=tmp_path / "model.keras", **arguments)
    np.testing.assert_array_equal(state_dict(model)["fc7.weight"], state_dict(old)["fc7.weight"])
    assert model.output_shape == (None, 5)
    with pytest.raises(ValueError, match="holds positions, not names, so that its head cannot be left out"):
        applications.AlexNet(weights=tmp_path / "model.weights.h5", **arguments)


def test_a_grey_image_is_read_as_three_equal_channels(arrays, tmp_path):
    path = save(arrays, tmp_path / "finetuned.safetensors")
    grey = applications.ResNet50(weights=path, classes=7, **{**TINY, "input_shape": (32, 32, 1)})
    rgb = applications.ResNet50(weights=path, classes=7, **TINY)
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 1)).astype("float32")
    np.testing.assert_allclose(grey(x), rgb(np.repeat(x, 3, -1)), atol=1e-5)
    assert grey.origin.preprocess.mean == pytest.approx((sum(rgb.origin.preprocess.mean) / 3,))
    assert grey.origin.preprocess.std == pytest.approx((sum(rgb.origin.preprocess.std) / 3,))


def test_more_channels_repeat_red_green_and_blue(arrays, tmp_path):
    """Six that are an RGB image twice answer as the image; four are scaled as timm does."""
    path = save(arrays, tmp_path / "finetuned.safetensors")
    six = applications.ResNet50(weights=path, classes=7, **{**TINY, "input_shape": (32, 32, 6)})
    rgb = applications.ResNet50(weights=path, classes=7, **TINY)
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(six(np.tile(x, 2)), rgb(x), atol=1e-5)
    four = applications.ResNet50(weights=path, classes=7, **{**TINY, "input_shape": (32, 32, 4)})
    kernel = arrays["conv1.weight"]
    np.testing.assert_allclose(state_dict(four)["conv1.weight"], kernel[:, [0, 1, 2, 0]] * 3 / 4, rtol=1e-6)
    red, green, blue = rgb.origin.preprocess.mean
    assert four.origin.preprocess.mean == (red, green, blue, red)


def test_another_size_of_the_image():
    """A ViT's positions are resampled (test_vit.py); a Mixer has a weight for each pair of places."""
    mixer = dict(patch=8, depth=1, width=4, tokens=4, channels=4, classes=2)
    large = applications.Mixer_B16(input_shape=(32, 32, 3), **mixer)
    small = applications.Mixer_B16(input_shape=(16, 16, 3), **mixer)
    with pytest.raises(ValueError, match=r"mlp_tokens.fc1.weight \(4, 16\), the model has \(4, 4\)"):
        assign(small, state_dict(large))


def test_another_size_of_a_file_says_why(tmp_path):
    mixer = dict(patch=32, depth=1, width=4, tokens=4, channels=4, classes=2)
    arrays = state_dict(applications.Mixer_B16(input_shape=(224, 224, 3), **mixer))
    path = save(arrays, tmp_path / "mixer.safetensors")
    applications.Mixer_B16(weights=path, **mixer)
    with pytest.raises(
        ValueError, match=r"is for images of \(224, 224\). Asked for is \(256, 256\).*weights for every"
    ):
        applications.Mixer_B16(weights=path, input_shape=(256, 256, 3), **mixer)


class Shapes(dict):
    """A checkpoint of which only names and shapes are known."""

    def shape(self, name):
        return self[name]


@pytest.mark.parametrize(
    ("source", "classes", "changes", "calls"),
    [
        ("legacy_seresnet50", 37, {}, ["SEResNet50(classes=37, lineage='timm/legacy_seresnet50.in1k')"]),
        ("resnet50", 37, {}, ["ResNet50(classes=37, lineage='timm/resnet50.a1_in1k')"]),
        ("resnet50", None, {}, ["ResNet50(include_top=False, lineage='timm/resnet50.a1_in1k')"]),
        ("resnet50", 1000, {"conv1.weight": [64, 1, 7, 7]}, []),
        ("googlenet", 1000, {}, ["GoogLeNet(classes=1000, lineage='torchvision/googlenet')"]),
        (
            "vit_small_patch16_384",
            5,
            {},
            ["ViT_S16(classes=5, lineage='timm/vit_small_patch16_224.augreg_in21k_ft_in1k')"],
        ),
    ],
)
def test_what_a_checkpoint_would_fit(source, classes, changes, calls):
    """Told by its names and shapes, whatever the number of classes."""
    shapes = seeded.shapes(GOLDEN / f"{source}.npz")
    head = [name for name in shapes if name.startswith(("fc.", "last_linear.", "head."))]
    for name in head:
        shapes[name] = [classes, *shapes[name][1:]]
        if classes is None:
            del shapes[name]
    message = suggest(Shapes({**shapes, **changes}))
    assert message == "".join(f"\n  It fits {call}." for call in calls) or not calls
    assert calls or "It fits no network" in message


def test_a_checkpoint_of_another_network_says_whose_it_is(tmp_path):
    shapes = seeded.shapes(GOLDEN / "resnet18.npz")
    path = save({name: np.zeros(shape, "float32") for name, shape in shapes.items()}, tmp_path / "mine.safetensors")
    with pytest.raises(ValueError) as error:
        applications.ResNet34(weights=path)
    assert "layer1.2.conv1.weight" in str(error.value) and str(error.value).endswith(
        "\n  It fits ResNet18(classes=1000, lineage='timm/resnet18.a1_in1k')."
    )


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

"""The way back to timm. That every network's file has timm's names, shapes and numbers is in test_parity.py."""

import pathlib

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.weights import read, state_dict_names, to_torch

TINY = dict(input_shape=(32, 32, 3), depths=(1, 1, 1, 1), widths=(4, 4, 4, 4), classes=7)
RANDOM = np.random.default_rng(0)


def randomized(model):
    """Every weight, and every moving statistic, with a value of its own."""
    for name, variable in state_dict_names(model).items():
        low = 0.5 if name.endswith("running_var") else -0.5
        variable.assign(RANDOM.uniform(low, 1, variable.shape))
    return model


@pytest.mark.parametrize(
    ("row", "name", "arguments"),
    [
        (applications.ResNet18, "resnet18", dict(input_shape=(64, 48, 3))),
        (applications.ResNet18, "resnet18", dict(input_shape=(64, 48, 1))),
        (applications.SEResNet50, "seresnet50", dict(input_shape=(64, 48, 3), lineage="seresnet50.a1_in1k")),
        (applications.ViT_Ti16, "vit_tiny_patch16_224", {}),
    ],
)
def test_timm_loads_the_file_and_answers_alike(row, name, arguments, tmp_path):
    timm = pytest.importorskip("timm")
    import torch

    model = row(classes=37, classifier_activation=None, **arguments)
    channels = model.input_shape[-1]
    file = str(to_torch(model, tmp_path / "model.safetensors"))
    other = timm.create_model(name, num_classes=37, in_chans=channels, checkpoint_path=file).eval()
    x = RANDOM.normal(size=(2, *model.input_shape[1:])).astype("float32")
    with torch.no_grad():
        expected = other(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
    answer = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(answer, expected, atol=1e-5 * np.abs(expected).max())


def test_there_and_back(tmp_path):
    """And through a `.keras` file, in which the lineage stays with the model."""
    model = randomized(applications.SEResNet50(lineage="seresnet50.a1_in1k", **TINY))
    model.save(tmp_path / "model.keras")
    to_torch(keras.models.load_model(tmp_path / "model.keras"), tmp_path / "model.safetensors")
    again = applications.SEResNet50(weights=tmp_path / "model.safetensors", lineage="seresnet50.a1_in1k", **TINY)
    for mine, other in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(mine, other)
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".safetensors"] == ["model.safetensors"]


def test_classifiers_for_training_stay_here(tmp_path):
    arguments = dict(pooled=(4,), widths=(4,), expansions=1, input_shape=(299, 299, 3))
    model = applications.InceptionV3(aux=True, lineage="inception_v3.tv_in1k", **arguments)
    assert model.heads
    names = list(read(to_torch(model, tmp_path / "model.safetensors")))
    assert names and not [name for name in names if name.startswith("AuxLogits")]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: applications.ResNet50(**TINY), "follows no published lineage.*Build it with lineage="),
        (lambda: applications.LeNet5Modern(), "follows no published lineage"),
        (lambda: keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), "follows no published lineage"),
        (
            lambda: applications.AlexNetOWT(input_shape=(288, 288, 3), hidden=(8, 8), classes=7),
            r"fc6.weight reads a feature map of 16384 numbers; in torchvision/alexnet it is one of .* \(256, 6, 6\)",
        ),
    ],
)
def test_what_cannot_go_back(model, message, tmp_path):
    """The paper's ResNet-50 would load in timm, and answer something else: its strides are elsewhere."""
    with pytest.raises(ValueError, match=message):
        to_torch(model(), tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_another_ending():
    with pytest.raises(ValueError, match=r"written to a .safetensors file. Received: 'model.pth'"):
        to_torch(applications.ResNet18(**TINY), "model.pth")


def test_a_write_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(Exception, match="No such file"):
        to_torch(applications.ResNet18(**TINY), tmp_path / "nowhere" / "model.safetensors")
    assert list(pathlib.Path(tmp_path).iterdir()) == []

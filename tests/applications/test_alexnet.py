"""Figure 2 and sections 3 to 5 of the paper."""

import keras
import numpy as np
import pytest

from kvision import applications

SMALL = dict(input_shape=(67, 67, 3), widths=(4, 8, 8, 8, 8), hidden=(8, 8), classes=3)


@pytest.mark.parametrize(
    ("row", "widths"),
    [
        (applications.AlexNet, (96, 256, 384, 384, 256)),
        (applications.AlexNetUngrouped, (96, 256, 384, 384, 256)),
        (applications.AlexNetOWT, (64, 192, 384, 256, 256)),
    ],
)
def test_shapes(row, widths, without_values):
    model = row()
    first, second, *rest = widths
    maps = [(55, first), (27, first), (27, second), (13, second), *((13, width) for width in rest), (6, rest[-1])]
    names = ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5")
    shapes = [model.get_layer(name).output.shape[1:] for name in names]
    assert shapes == [(size, size, width) for size, width in maps]


def test_the_papers_own_input_size_does_not_fit_its_figures():
    """(224 - 11) / 4 is no integer: with 224 the first map would be 54, not the 55 of Figure 2."""
    assert applications.AlexNet(include_top=False, input_shape=(224, 224, 3)).get_layer("conv1").output.shape[1] == 54


def test_the_towers_do_not_see_each_other():
    """A change in one half of the first maps leaves one half of the second maps alone; both meet in the third."""
    model = applications.AlexNet(**SMALL)
    tower = keras.Model(model.get_layer("pool1").output, [model.get_layer(f"conv{i}.relu").output for i in (2, 3)])
    x = np.random.default_rng(0).uniform(size=(1, 7, 7, 4)).astype("float32")
    changed = x.copy()
    changed[..., 2:] += 1
    (second, third), (other_second, other_third) = ([np.array(y) for y in tower(value)] for value in (x, changed))
    np.testing.assert_array_equal(second[..., :4], other_second[..., :4])
    assert (second[..., 4:] != other_second[..., 4:]).any() and (third[..., :4] != other_third[..., :4]).any()


def test_order_of_normalization_and_pooling():
    def order(model):
        names = [layer.name for layer in model.layers]
        return [name for name in names if name in ("conv1.relu", "norm1", "pool1")]

    assert order(applications.AlexNet(**SMALL)) == ["conv1.relu", "norm1", "pool1"]
    assert order(applications.AlexNet(pool_first=True, **SMALL)) == ["conv1.relu", "pool1", "norm1"]


def test_initialization_is_the_authors():
    """Section 5: weights from N(0, 0.01); biases 1 in three of the convolutions and in the hidden layers."""
    model = applications.AlexNet(**{**SMALL, "widths": (96, 64, 64, 64, 64)})
    biases = {layer.name: np.unique(layer.bias) for layer in model.layers if getattr(layer, "bias", None) is not None}
    ones = [name for name, bias in biases.items() if bias.tolist() == [1.0]]
    assert ones == ["conv2", "conv4", "conv5", "fc6", "fc7"]
    assert all(bias.tolist() == [0.0] for name, bias in biases.items() if name not in ones)
    assert np.std(model.get_layer("conv2").kernel) == pytest.approx(0.01, rel=0.02)


def test_torchvisions_file_by_its_names_and_its_order_of_flattening(tmp_path):
    theirs = {"conv1": 0, "conv2": 3, "conv3": 6, "conv4": 8, "conv5": 10, "fc6": 1, "fc7": 4, "fc8": 6}
    small = dict(hidden=(8, 8), classes=3)
    model, arrays = applications.AlexNetOWT(**small), {}
    for name, index in theirs.items():
        kernel, bias = (np.array(weight) for weight in model.get_layer(name).weights)
        if name == "fc6":
            kernel = kernel.reshape(6, 6, 256, 8).transpose(2, 0, 1, 3).reshape(9216, 8)
        name = f"{'features' if name.startswith('conv') else 'classifier'}.{index}"
        arrays[f"{name}.weight"] = kernel.T if kernel.ndim == 2 else kernel.transpose(3, 2, 0, 1)
        arrays[f"{name}.bias"] = bias
    np.savez(tmp_path / "alexnet.npz", **arrays)
    loaded = applications.AlexNetOWT(weights=tmp_path / "alexnet.npz", **small)
    for mine, expected in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(mine, expected)

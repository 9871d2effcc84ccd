import keras
import numpy as np
import pytest

from kvision.blocks.conv import At, conv, conv3x3, conv_norm
from kvision.layers import GroupedConv2D, PointwiseConv2D

X = np.random.default_rng(0).normal(size=(1, 7, 8, 4)).astype("float32")


def build(block, *arguments, **keywords):
    inputs = keras.Input(X.shape[1:])
    return keras.Model(inputs, block(inputs, *arguments, **keywords))


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, (1, 7)])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
def test_pads_evenly_as_caffe_and_torch_do(kernel, stride, groups):
    """Against a direct sum over the evenly padded image."""
    model = build(conv, 6, kernel, stride, groups=groups, name="conv")
    weights = np.array(model.get_layer("conv").kernel, "float64")
    kh, kw = weights.shape[:2]
    padded = np.pad(X[0].astype("float64"), ((kh // 2, kh // 2), (kw // 2, kw // 2), (0, 0)))
    rows, columns = range(0, X.shape[1], stride), range(0, X.shape[2], stride)
    expected = np.zeros((len(rows), len(columns), 6))
    for i, top in enumerate(rows):
        for j, left in enumerate(columns):
            window = padded[top : top + kh, left : left + kw]
            for g in range(groups):
                c, f = slice(g * 4 // groups, (g + 1) * 4 // groups), slice(g * 6 // groups, (g + 1) * 6 // groups)
                expected[i, j, f] = np.tensordot(window[..., c], weights[..., f], 3)
    np.testing.assert_allclose(model(X)[0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (dict(kernel=1), PointwiseConv2D),
        (dict(kernel=1, stride=2), keras.layers.Conv2D),
        (dict(kernel=3, groups=2), GroupedConv2D),
    ],
)
def test_which_layer_computes_it(arguments, kind):
    assert type(build(conv, 6, name="conv", **arguments).get_layer("conv")) is kind


def test_batch_norm_constants_are_caffes():
    """Epsilon 1e-5 and momentum 0.9; Keras's own are 1e-3 and 0.99."""
    layer = build(conv_norm, 6, at=At("conv", "bn", "relu")).get_layer("bn")
    assert (layer.epsilon, layer.momentum) == (1e-5, 0.9)


def test_names_are_the_checkpoints_paths():
    model = build(conv3x3, 6, 2, at=At("layer1.0.conv1", "layer1.0.bn1", "layer1.0.relu1"))
    assert [layer.name for layer in model.layers[1:]] == [
        "layer1.0.conv1.pad",
        "layer1.0.conv1",
        "layer1.0.bn1",
        "layer1.0.relu1",
    ]

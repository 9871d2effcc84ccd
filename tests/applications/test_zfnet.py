"""Figure 3 and section 3 of the paper."""

import numpy as np
import pytest

from kvision import applications
from kvision.layers import LRN, ContrastNormalization

SMALL = dict(input_shape=(67, 67, 3), widths=(8, 64, 64, 64, 64), hidden=(64, 8), classes=3)


@pytest.mark.parametrize(
    ("row", "widths"),
    [(applications.ZFNet, (96, 256, 384, 384, 256)), (applications.ZFNetWide, (96, 256, 512, 1024, 512))],
)
def test_stage_shapes(row, widths, without_values):
    model = row()
    ends = ["conv1", "norm1", "conv2", "norm2", "conv3", "conv4", "conv5", "pool5"]
    sizes = (110, 55, 26, 13, 13, 13, 13, 6)
    channels = (widths[0], widths[0], widths[1], *widths[1:], widths[4])
    expected = [(size, size, width) for size, width in zip(sizes, channels, strict=True)]
    assert [model.get_layer(name).output.shape[1:] for name in ends] == expected
    assert [model.get_layer(name).units for name in ("fc6", "fc7", "fc8")] == [4096, 4096, 1000]
    assert model.get_layer("fc6").kernel.shape[0] == 6 * 6 * widths[4]


def test_differs_from_alexnet_in_the_first_two_convolutions(without_values):
    """Section 4.1: 7x7 of stride 2 for 11x11 of stride 4. The towers are gone, as in AlexNetUngrouped."""
    extra = (11**2 - 7**2) * 3 * 96
    assert applications.AlexNetUngrouped.params - applications.ZFNet.params == extra
    model = applications.ZFNet(**SMALL)
    assert [model.get_layer(f"conv{i}").strides[0] for i in range(1, 6)] == [2, 2, 1, 1, 1]
    assert [model.get_layer(f"conv{i}").kernel_size[0] for i in range(1, 6)] == [7, 5, 3, 3, 3]


def test_rectified_then_pooled_then_normalized():
    """The order in the caption of Figure 3."""
    kept = ("conv1.relu", "pool1", "norm1", "conv2.relu", "pool2", "norm2")
    model = applications.ZFNet(**SMALL)
    assert tuple(layer.name for layer in model.layers if layer.name in kept) == kept
    assert type(model.get_layer("norm1")) is ContrastNormalization
    assert type(applications.ZFNet(normalize=LRN, **SMALL).get_layer("norm2")) is LRN
    assert "norm1" not in [layer.name for layer in applications.ZFNet(normalize=None, **SMALL).layers]


def test_initialization():
    """Section 3: weights of the order of 0.01, biases 0."""
    linear = [layer for layer in applications.ZFNet(**SMALL).layers if layer.weights]
    assert [layer.name for layer in linear] == [f"conv{i}" for i in range(1, 6)] + ["fc6", "fc7", "fc8"]
    assert not any(np.any(layer.bias) for layer in linear)
    for layer in linear[1:6]:
        assert np.std(layer.kernel) == pytest.approx(0.01, rel=0.05)


def test_the_hidden_layers_drop_half():
    assert [applications.ZFNet(**SMALL).get_layer(f"fc{i}.drop").rate for i in (6, 7)] == [0.5, 0.5]

"""Claims of section 4.2 and the appendix."""

import keras
import pytest

from kvision import applications
from kvision.applications import googlenet
from kvision.blocks.bind import bind
from kvision.blocks.pool import average_pool
from kvision.blocks.towers import normalized
from kvision.evaluation import count_macs
from kvision.layers import LRN, BatchNormalization
from tests.applications.test_contract import parameters

NAMES = ["3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]

REDUCING = ["3c", "4e"]


@pytest.mark.parametrize(
    ("row", "fourth"),
    [(applications.BNInception, [576, 576, 608, 608, 1056]), (applications.BNInceptionSlim, [576] * 4 + [1024])],
)
def test_figure_5(row, fourth, without_values):
    model = row()
    shapes = [model.get_layer(f"inception{name}").output.shape[1:] for name in NAMES]
    assert [shape[-1] for shape in shapes] == [256, 320, 576, *fourth, 1024, 1024]
    # 3c and 4e halve the resolution themselves.
    assert [shape[0] for shape in shapes] == [28, 28, 14, 14, 14, 14, 14, 7, 7, 7]
    keras.backend.clear_session()


def test_what_changes_from_googlenet(without_values):
    """Section 4.2.1 and appendix: no LRN, no dropout, no bias before a normalization, two 3x3 for each 5x5."""
    model = applications.BNInception()
    assert not any(isinstance(layer, (LRN, keras.layers.Dropout)) for layer in model.layers)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert not any(layer.use_bias for layer in convolutions) and len(convolutions) == 69
    assert sum(isinstance(layer, BatchNormalization) for layer in model.layers) == len(convolutions)
    assert {layer.kernel_size for layer in convolutions} == {(1, 1), (3, 3), (7, 7)}
    # The last pooling is a maximum, all others within a module but the reducing ones are averages.
    kinds = {
        name: type(model.get_layer(f"inception{name}.branch4.0")).__name__ for name in NAMES if name not in REDUCING
    }
    assert kinds.pop("5b") == "MaxPooling2D" and set(kinds.values()) == {"AveragePooling2D"}
    keras.backend.clear_session()


def test_the_separable_stem(without_values):
    """Section 4.2: the first convolution has a depth multiplier of 8."""
    separable = bind(googlenet.separable, convolve=normalized)
    plain, slim = applications.BNInceptionSlim(), applications.BNInceptionSlim(first=separable)
    assert parameters(plain) - parameters(slim) == 7 * 7 * 3 * 64 - (7 * 7 * 3 * 8 + 24 * 64)
    assert count_macs(plain) - count_macs(slim) == 112**2 * (9_408 - 2_712)
    keras.backend.clear_session()


def test_averages_that_count_the_border_differ_only_there():
    x = keras.ops.ones((1, 6, 6, 2))
    inside, counted = (average_pool(x, name="p", count_border=border) for border in (False, True))
    assert keras.ops.convert_to_numpy(inside).min() == 1.0
    counted = keras.ops.convert_to_numpy(counted)[0, :, :, 0]
    assert counted[0, 0] == pytest.approx(4 / 9) and counted[0, 2] == pytest.approx(6 / 9)
    assert (counted[1:-1, 1:-1] == 1.0).all()

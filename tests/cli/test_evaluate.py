import pytest

from kvision.cli.evaluate import protocol
from kvision.data import Crops144, Mirrored, TenCrops


def test_protocols_have_the_proportions_of_the_papers():
    assert protocol(2, (8, 6), 0.9, "bicubic") == Mirrored((8, 6), 0.9, "bicubic")
    assert protocol(10, (224, 224), 1.0, "bilinear") == TenCrops()
    assert protocol(144, (224, 224), 1.0, "bilinear") == Crops144()
    assert protocol(144, (112, 112), 1.0, "bicubic") == Crops144(112, (128, 144, 160, 176), "bicubic")
    assert protocol(10, (299, 299), 1.0, "bilinear").shorter == 342


@pytest.mark.parametrize(("size", "message"), [(None, "which takes any"), ((8, 6), "is not: 8 x 6")])
def test_protocols_need_a_square(size, message):
    with pytest.raises(ValueError, match=message):
        protocol(10, size, 1.0, "bilinear")

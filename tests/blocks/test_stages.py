import pytest

from kvision.blocks.stages import units


def test_the_first_unit_of_each_later_stage_halves_the_resolution():
    places = list(units((2, 1, 2), (16, 32, 64)))
    assert [(u.name, u.width, u.stride) for u in places] == [
        ("layer1.0", 16, 1),
        ("layer1.1", 16, 1),
        ("layer2.0", 32, 2),
        ("layer3.0", 64, 2),
        ("layer3.1", 64, 1),
    ]
    assert [(u.index, u.count) for u in places] == [(i, 5) for i in range(5)]
    assert next(units((1,), (16,), name="s{}.b{}", stride=2)).at(2) == ("s1.b0.conv2", "s1.b0.bn2", "s1.b0.relu2")


def test_stages_are_counted_from_where_the_checkpoint_counts_them():
    places = [(unit.name, unit.stride) for unit in units((1, 1), (16, 32), "stages.{}.blocks.{}", start=0)]
    assert places == [("stages.0.blocks.0", 1), ("stages.1.blocks.0", 2)]


def test_depths_and_widths_agree():
    with pytest.raises(ValueError, match="zip"):
        list(units((1, 2), (16,)))

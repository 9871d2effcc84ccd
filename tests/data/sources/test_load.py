import pytest

from kvision.data import load


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("digits", {"split": "val"}, 'split must be "train", "validation" or "test", got \'val\''),
        ("digits", {"validation": 0.6, "test": 0.4}, "together below 1, got 0.6 and 0.4"),
        ("digits", {"validation": -0.1}, "0 or more and together below 1, got -0.1"),
        ("digits", {"split": "test", "test": 0}, "the test split is empty"),
        ("digits", {"on_error": "ignore"}, 'on_error must be "skip" or "raise", got \'ignore\''),
        ("digits", {"class_names": list("0123456789")}, "class_names is for a pair of arrays"),
        (3, {}, "source must be .* got int"),
    ],
)
def test_bad_arguments_are_named(source, options, message):
    with pytest.raises(ValueError, match=message):
        load(source, **options)

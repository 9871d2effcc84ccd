import numpy as np
import pytest
import tensorflow as tf

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


def test_a_fingerprint_tells_examples_apart(tmp_path):
    def photos(name, contents):
        for label in ("cat", "dog"):
            (tmp_path / name / label).mkdir(parents=True)
            for i, content in enumerate(contents):
                image = tf.io.encode_png(np.full((4, 5, 3), content, "uint8")).numpy()
                (tmp_path / name / label / f"{i}.png").write_bytes(image + bytes(content))
        return tmp_path / name

    images, labels = np.arange(40, dtype="uint8").reshape(10, 2, 2, 1), np.arange(10) % 2
    other = np.where(np.arange(10) == 3, 1 - labels, labels)
    sources = ["digits", (images, labels), (images[::-1], labels), (images, other), photos("a", [3, 4, 5])]
    found = [load(source, validation=0.2, test=0.2).fingerprint for source in sources]
    found += [
        load("digits", seed=1).fingerprint,
        load("digits", "test").fingerprint,
        load(photos("b", [3, 4]), validation=0, test=0).fingerprint,
    ]
    assert len(set(found)) == len(found) and all(len(value) == 32 for value in found)
    again = [load(source, validation=0.2, test=0.2).fingerprint for source in [*sources[:4], photos("c", [3, 4, 5])]]
    assert again == found[:5]  # wherever the folder lies

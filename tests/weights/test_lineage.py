"""Names there and back, for every lineage and every tensor that timm has for it."""

import pathlib

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.weights import Lineage, assign
from tests.golden import seeded

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


def lineages():
    rows = map(applications.get_model, applications.list_models())
    found = [weights for row in rows for weights in row.weights + row.lineages if weights.layout == "torch"]
    return {weights.source.partition("/")[2].partition(".")[0]: weights for weights in found}


def test_names_there_and_back():
    for source, weights in lineages().items():
        names = seeded.shapes(GOLDEN / f"{source}.npz")
        ours = [weights.ours(name) for name in names]
        assert [weights.theirs(name) for name in ours] == list(names) and len(set(ours)) == len(names), source


def test_pairs_are_literal_and_in_order():
    lineage = Lineage(rename=((".a.", ".b."), ("^b.", "^c."), (".d$", ".e$"), ("^f$", "^g$")))
    names = {"b.a.d": "c.b.e", "xb.d.d": "xb.d.e", "bxd": "bxd", "f": "g", "ff": "ff"}
    assert {name: lineage.ours(name) for name in names} == names
    assert {lineage.theirs(ours): ours for ours in names.values()} == names


def test_a_lineage_survives_json():
    import json

    for weights in lineages().values():
        plain = json.loads(json.dumps(weights.plain()))
        assert plain == weights.plain() and Lineage(**plain).plain() == plain


def test_layers_that_are_one_here():
    """Three arrays with an axis for heads become one kernel and one bias; a part of another size does not."""
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(12, name="qkv")(inputs))
    parts = ("query", "key", "value")
    arrays = {f"{part}.weight": np.full((4, 2, 2), number, "float32") for number, part in enumerate(parts)}
    arrays |= {f"{part}.bias": np.full((2, 2), number, "float32") for number, part in enumerate(parts)}
    lineage = Lineage(joined={"qkv": parts}, layout="keras")
    assign(model, arrays, lineage)
    for weight in model.get_weights():
        np.testing.assert_array_equal(weight, np.broadcast_to(np.repeat([0, 1, 2], 4), weight.shape))
    arrays["key.weight"] = np.zeros((2, 4, 2), "float32")
    with pytest.raises(
        ValueError, match=r"query.weight \(4, 2, 2\) \+ key.weight .2, 4, 2. \+ .*the model has \(4, 12\)"
    ):
        assign(model, arrays, lineage)
    del arrays["key.weight"]
    with pytest.raises(ValueError, match=r"In the model, not in the checkpoint \(1\)"):
        assign(model, arrays, lineage)

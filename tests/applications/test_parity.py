"""Logits equal timm's under the same seeded weights, within 1e-5 of the largest logit. Needs neither torch nor network.

The smallest network of each block is tested by default; all of them, with their differences, by

    pytest tests/applications/test_parity.py -m "slow or not slow" -rP
"""

import json
import pathlib

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.weights import assign
from tests.golden import seeded

TOLERANCE = 1e-5
# Under the seeded weights float32 rounds the logits of this network by more than the tolerance, PyTorch's float32 too
# (75 layers without a shortcut): it is computed in float64.
DOUBLE = ("inception_v4",)
GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
REGENERATE = "pip install -e '.[parity]' && python tests/golden/generate.py {}"


def cases():
    """One case for each timm architecture; slow but for the smallest of each family, block and lineage."""
    quick, found = set(), {}
    for row in sorted(map(applications.get_model, applications.list_models(weights=True)), key=lambda r: r.params):
        for weights in row.weights:
            source = weights.source.partition("/")[2].partition(".")[0]
            kind = (
                type(row.architecture),
                *(getattr(row.architecture, hole, None) for hole in ("block", "convolve")),
                str(weights.changes),
            )
            if source not in found and source not in seeded.LARGER:
                marks = () if kind not in quick else pytest.mark.slow
                found[source] = pytest.param(row, weights, source, id=source, marks=marks)
            quick.add(kind)
    return found.values()


def seeded_arrays(golden) -> dict[str, np.ndarray]:
    """timm's state dict: the seeded parameters and the stored statistics, by its names and in its shapes."""
    shapes = json.loads(str(golden["shapes"]))
    statistics = [name for name in shapes if name.endswith(("running_mean", "running_var"))]
    arrays = seeded.parameters({name: shape for name, shape in shapes.items() if name not in statistics})
    values, start = seeded.unpack(golden["statistics"]), 0
    for name in statistics:
        arrays[name], start = values[start : start + shapes[name][0]], start + shapes[name][0]
    assert start == len(values)
    return arrays


@pytest.mark.parametrize(("row", "weights", "source"), cases())
def test_parity(row, weights, source):
    path = GOLDEN / f"{source}.npz"
    assert path.exists(), f"no golden file for {source}; write it with: {REGENERATE.format(source)}"
    golden = np.load(path)
    images = seeded.images(size=tuple(golden["size"]))
    changes, without = ({"aux": True}, ()) if "auxiliary" in golden else ({}, weights.auxiliary)
    arguments = dict(lineage=weights.source, input_shape=images.shape[1:], classifier_activation=None, **changes)
    if source in DOUBLE:
        keras.config.set_dtype_policy("float64")
    model = row(**arguments)
    assign(model, seeded_arrays(golden), weights.rename, without, flattened=weights.flattened)
    answers = {"logits": model(images)}
    if "auxiliary" in golden:
        tapped = keras.Model(model.input, model.get_layer(model.heads[0].name.removesuffix(".head")).output)
        answers["auxiliary"] = model.heads[0](tapped(images))
    for key, answer in answers.items():
        difference = np.abs(keras.ops.convert_to_numpy(answer) - golden[key]).max() / np.abs(golden[key]).max()
        print(f"{source} {key}: {difference:.1e} of the largest (timm {golden['timm']})")
        assert difference < TOLERANCE, f"golden files are rewritten with: {REGENERATE.format(source)}"


def test_parity_would_notice_the_stride_placement():
    """The authors' strides load timm's ResNet-50 without a murmur: the tensors fit, and the answers are others."""
    golden, images = np.load(GOLDEN / "resnet50.npz"), seeded.images()
    model = applications.ResNet50(input_shape=images.shape[1:], classifier_activation=None)
    assign(model, seeded_arrays(golden))
    logits = keras.ops.convert_to_numpy(model(images))
    assert np.abs(logits - golden["logits"]).max() / np.abs(golden["logits"]).max() > 0.01

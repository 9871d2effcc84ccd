"""Independent runtimes answer what the networks answer. All kinds, with the differences:

pytest tests/export/test_runtimes.py -m "slow or not slow" -rP
"""

import sys

import keras
import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter

from kvision.classifier import Preprocess
from kvision.export import converted, litert, onnx
from tests.applications.test_contract import TINY
from tests.applications.test_serving import spread_out

QUICK = ("STCNN", "SENet154", "CapsNet", "ViT_B16")  # sampling, groups, routing, attention
HALF = Preprocess((0.5,), (0.3,))


def ask_onnx(path, pixels):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"pixels": pixels}), strict=True))


def ask_litert(path, pixels):
    return Interpreter(str(path)).get_signature_runner("tensor")(pixels=pixels)


RUNTIMES = {"onnx": (onnx, ask_onnx), "litert": (litert, ask_litert)}


def kinds():
    for tiny in TINY:
        name = tiny.row.name
        yield pytest.param(tiny, id=name, marks=() if name in QUICK else pytest.mark.slow)


@pytest.mark.parametrize("tiny", list(kinds()))
def test_the_same_answers(tiny, tmp_path):
    model = tiny(classifier_activation=None)
    spread_out(model)
    random, channels = np.random.default_rng(1), model.input_shape[-1]
    shades = np.array([[0, 0, 128, 64], [128, 64, 0, 96]], "float32")[:, None, None, :channels]
    pixels = random.uniform(0, 128, (2, *model.input_shape[1:])).astype("float32") + shades
    expected = model.predict_on_batch(HALF(pixels))
    largest = np.abs(expected).max()
    assert np.ptp(expected, axis=0).max() > 1e-3 * largest, "the scores do not depend on the image"
    differences = {}
    for name, (write, ask) in RUNTIMES.items():
        answers = ask(write(model, tmp_path / name, HALF), pixels)
        assert set(answers) == {"scores"}
        differences[name] = np.abs(answers["scores"] - expected).max() / largest
    print(f"{tiny.row.name:24}" + "".join(f"{name} {value:8.1e}   " for name, value in differences.items()))
    assert max(differences.values()) < 1e-5


@pytest.fixture(scope="module")
def small():
    inputs = keras.Input((8, 8, 2))
    x = keras.layers.Conv2D(3, 3, name="conv")(inputs)
    return keras.Model(inputs, keras.layers.Dense(4)(keras.layers.Flatten()(x)), name="small")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_other_outputs_and_any_number_of_channels(small, tmp_path, runtime):
    write, ask = RUNTIMES[runtime]
    path = write(small, tmp_path / "file", HALF, outputs={"maps": "conv"})
    pixels = np.random.default_rng(0).uniform(0, 255, (5, 8, 8, 2)).astype("float32")
    answers, both = ask(path, pixels), keras.Model(small.input, [small.output, small.get_layer("conv").output])
    for name, expected in zip(("scores", "maps"), both(HALF(pixels)), strict=True):
        np.testing.assert_allclose(answers[name], expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_file_with_other_answers_is_not_kept_and_none_is_overwritten(small, tmp_path, runtime, monkeypatch):
    write, _ = RUNTIMES[runtime]
    with monkeypatch.context() as patch:
        patch.setattr(converted, "TOLERANCE", -1.0)
        with pytest.raises(ValueError, match="answers otherwise than the network: scores differs by"):
            write(small, tmp_path / "file", HALF)
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="exists and is kept"):
        write(small, tmp_path / "file", HALF)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(("runtime", "package"), [("onnx", "tf2onnx"), ("litert", "ai_edge_litert.interpreter")])
def test_the_extra_is_named_where_it_is_missing(small, tmp_path, monkeypatch, runtime, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=rf"pip install kvision\[{runtime}\]"):
        RUNTIMES[runtime][0](small, tmp_path / "file", HALF)

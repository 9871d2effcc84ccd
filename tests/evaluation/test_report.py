import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.evaluation import Evaluation, evaluate
from kvision.evaluation.report import Mistake

NAMES = ["cat", "dog", "fox"]
# One example a row, its scores as its "image". Truth and prediction:  0 0, 0 1, 1 1, 1 0 (a tie: the lower index), 0 1.
SCORES = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.1, 0.8, 0.1], [0.5, 0.5, 0], [0.0, 0.9, 0.1]], "float32")
TRUTHS = np.array([0, 0, 1, 1, 0])


def identity(classes):
    """A model whose scores are its input."""
    inputs = keras.Input((classes,))
    return keras.Model(inputs, keras.layers.Activation("linear")(inputs))


def batches(scores=SCORES, truths=TRUTHS, size=2):
    return tf.data.Dataset.from_tensor_slices((scores, truths)).batch(size)


@pytest.fixture(scope="module")
def evaluation():
    return evaluate(identity(3), batches(), NAMES, progress=False)


def test_counts_by_hand(evaluation):
    assert (evaluation.examples, evaluation.top1, evaluation.top5) == (5, 2 / 5, 1.0)
    assert evaluation.confusion.dtype == "int64"
    np.testing.assert_array_equal(evaluation.confusion, [[1, 2, 0], [1, 1, 0], [0, 0, 0]])
    assert evaluation.per_class == [
        {"name": "cat", "support": 3, "precision": 1 / 2, "recall": 1 / 3, "f1": 2 / 5},
        {"name": "dog", "support": 2, "precision": 1 / 3, "recall": 1 / 2, "f1": 2 / 5},
        {"name": "fox", "support": 0, "precision": None, "recall": None, "f1": None},
    ]
    assert [mistake[:3] for mistake in evaluation.mistakes] == [(4, 0, 1), (1, 0, 1), (3, 1, 0)]
    np.testing.assert_allclose([mistake.score for mistake in evaluation.mistakes], [0.9, 0.6, 0.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("scores", "truths", "top1", "top5"),
    [
        (np.zeros((7, 7)), np.arange(7), 1 / 7, 5 / 7),  # ties go to the lower index: classes 0 to 4 are the top five
        (np.arange(6.0)[None].repeat(6, 0), np.arange(6), 1 / 6, 5 / 6),
        (np.array([[-np.inf, -3.0, -np.inf]]), np.array([1]), 1, 1),  # logits, two classes masked out
    ],
)
def test_accuracy_is_that_of_tf_top_k(scores, truths, top1, top5):
    names = list(map(str, range(scores.shape[1])))
    result = evaluate(identity(scores.shape[1]), batches(scores, truths), names, progress=False)
    assert (result.top1, result.top5) == (top1, top5)
    for k, accuracy in (1, top1), (5, top5):
        best = tf.math.top_k(scores, min(k, len(names))).indices.numpy()
        assert (best == truths[:, None]).any(1).mean() == accuracy


def test_inference_mode_and_at_most_one_retrace():
    class Counting(keras.layers.Layer):
        traces = []

        def call(self, x, training=None):
            self.traces.append(training)
            return x

    inputs = keras.Input((3,))
    model = keras.Model(inputs, Counting()(keras.layers.Dropout(0.9)(inputs)))
    Counting.traces.clear()
    assert evaluate(model, batches(), NAMES, progress=False).top1 == 2 / 5
    assert Counting.traces == [False, False]


def test_progress_and_plain_lists(capsys):
    pairs = [(SCORES[:4], TRUTHS[:4].tolist()), (SCORES[4:], TRUTHS[4:].tolist())]
    assert evaluate(identity(3), pairs, NAMES).examples == 5
    assert "2/2" in (printed := capsys.readouterr().out) and "top1: 0.4" in printed
    assert evaluate(identity(3), iter(pairs), NAMES).examples == 5
    assert "top1: 0.4" in capsys.readouterr().out
    evaluate(identity(3), pairs, NAMES, progress=False)
    assert capsys.readouterr().out == ""


def test_saves_and_loads(evaluation, tmp_path):
    path = tmp_path / "new" / "report.json"
    evaluation.save(path)
    loaded = Evaluation.load(path)
    assert loaded.class_names == evaluation.class_names == tuple(NAMES)
    np.testing.assert_array_equal(loaded.confusion, evaluation.confusion)
    assert loaded.confusion.dtype == "int64"
    assert (loaded.top1, loaded.top5, loaded.mistakes) == (evaluation.top1, evaluation.top5, evaluation.mistakes)
    assert loaded.per_class == evaluation.per_class and str(loaded) == str(evaluation)
    assert loaded.calibration == evaluation.calibration and loaded.figures == evaluation.figures

    report = json.loads(path.read_text())
    assert report["top1"] == 0.4 and report["examples"] == 5 and report["per_class"] == evaluation.per_class
    assert '  "confusion": [\n    [1, 2, 0],\n    [1, 1, 0],\n    [0, 0, 0]\n  ]' in path.read_text()
    assert [file.name for file in path.parent.iterdir()] == ["report.json"]

    told = dataclasses.replace(evaluation, protocol={"split": "test", "views": 10})
    told.save(path)
    assert Evaluation.load(path).protocol == told.protocol and evaluation.protocol == {}


def test_reports_from_before_calibration_are_read(evaluation, tmp_path):
    """As version 0.1.0 wrote them first."""
    evaluation.save(tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    names = ("examples", "top1", "top5", "class_names", "per_class", "confusion", "mistakes")
    (tmp_path / "old.json").write_text(json.dumps({name: report[name] for name in names}))
    loaded = Evaluation.load(tmp_path / "old.json")
    assert loaded.top1 == 2 / 5 and loaded.calibration is None and loaded.figures == {"top1": 0.4, "top5": 1.0}
    assert "calibration" not in str(loaded)
    broken = {**report, "calibration": [{"count": 1}]}
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    with pytest.raises(ValueError, match=r"broken\.json is not a report.*confidence"):
        Evaluation.load(tmp_path / "broken.json")


def test_the_interval_of_the_accuracy():
    """Wilson's for 2 of 5 and for 10 of 10, from the formula by hand; of many examples it closes in."""

    def interval(right, of):
        return Evaluation(("a", "b"), np.array([[right, of - right], [0, 0]]), 1.0, ()).top1_interval

    np.testing.assert_allclose(interval(2, 5), (0.1176, 0.7693), atol=1e-4)
    np.testing.assert_allclose(interval(10, 10), (0.7225, 1), atol=1e-4)
    np.testing.assert_allclose(interval(0, 10), (0, 0.2775), atol=1e-4)
    assert np.ptp(interval(30_000, 40_000)) < 0.01


def test_a_failed_save_keeps_the_old_report(evaluation, tmp_path):
    evaluation.save(tmp_path / "report.json")
    before = (tmp_path / "report.json").read_bytes()
    broken = Evaluation(("cat",), np.ones((1, 1), "int64"), 1.0, (Mistake(0, 0, 0, float("nan")),))
    with pytest.raises(ValueError, match="JSON"):
        broken.save(tmp_path / "report.json")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before]


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"class_names": ["cat"]}'])
def test_loads_nothing_else(text, tmp_path):
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(ValueError, match=r"other\.json is not a report"):
        Evaluation.load(tmp_path / "other.json")


def test_reads_well(evaluation):
    assert str(evaluation) == (
        "5 examples, 3 classes: top-1 40.00%, top-3 100.00%\n"
        "calibration error 50.00%, 90.00% in the worst bin; negative log likelihood 18.2148, Brier score 0.7560\n"
        "     support  precision  recall      f1\n"
        "cat        3      50.0%   33.3%   40.0%\n"
        "dog        2      33.3%   50.0%   40.0%\n"
        "fox        0          -       -       -"
    )
    many = Evaluation(tuple(map(str, range(30))), np.eye(30, dtype="int64"), 1.0, ())
    assert len(str(many).splitlines()) == 13


MODEL = identity(3)
TWO_OUTPUTS = keras.Model(MODEL.inputs, [MODEL.output, MODEL.output])
SPATIAL = keras.Model(MODEL.inputs, keras.layers.Reshape((1, 3))(MODEL.output))


@pytest.mark.parametrize(
    ("model", "data", "names", "message"),
    [
        (MODEL, [], NAMES, "gave no example"),
        (MODEL, batches(truths=TRUTHS + 2), NAMES, r"lie in \[0, 3\).*Received: 3"),
        (MODEL, batches(truths=TRUTHS - 1), NAMES, r"lie in \[0, 3\).*Received: -1"),
        (MODEL, batches(truths=np.eye(3)[TRUTHS]), NAMES, r"float64 of shape \(2, 3\).*argmax"),
        (MODEL, batches(truths=TRUTHS.astype("float32")), NAMES, "float32"),
        (MODEL, batches(truths=TRUTHS + 1), ["cat", "dog"], "has 3 classes, `class_names` has 2"),
        (MODEL, [(SCORES, TRUTHS[:4])], NAMES, r"integers of shape \(5,\).*shape \(4,\)"),
        (TWO_OUTPUTS, batches(), NAMES, r"one output.*\(2, 3\), \(2, 3\)"),
        (SPATIAL, batches(), NAMES, r"\(2, 1, 3\)"),
        (MODEL, batches(SCORES * np.nan), NAMES, "NaN"),
    ],
)
def test_what_it_refuses(model, data, names, message):
    with pytest.raises(ValueError, match=message):
        evaluate(model, data, names, progress=False)

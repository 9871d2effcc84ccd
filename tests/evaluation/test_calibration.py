import math

import keras
import numpy as np
import pytest

from kvision.evaluation import Calibration, calibration, evaluate

# Five predictions in bins of a quarter: two sure and one of them wrong, three less sure and all right.
PROBABILITIES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.75, 0.25], [0.3, 0.7]])
LABELS = np.array([0, 0, 0, 0, 1])


def test_by_hand():
    found = calibration(PROBABILITIES, LABELS, bins=4)
    assert found.counts == (0, 0, 3, 2)  # 0.75 is the end of the third bin
    np.testing.assert_allclose(found.confidence, [0, 0, (0.6 + 0.75 + 0.7) / 3, 0.85])
    np.testing.assert_allclose(found.accuracy, [0, 0, 1, 0.5])
    gaps = 1 - 2.05 / 3, 0.35
    assert found.ece == pytest.approx(3 / 5 * gaps[0] + 2 / 5 * gaps[1])
    assert found.mce == pytest.approx(0.35)
    assert found.nll == pytest.approx(-sum(map(math.log, (0.9, 0.2, 0.6, 0.75, 0.7))) / 5)
    assert found.brier == pytest.approx(2 * sum(x**2 for x in (0.1, 0.8, 0.4, 0.25, 0.3)) / 5)
    assert found.edges == (0, 0.25, 0.5, 0.75, 1)
    assert found.bins[3] == {"above": 0.75, "to": 1, "count": 2, "confidence": pytest.approx(0.85), "accuracy": 0.5}


def test_a_calibrated_classifier_has_no_error():
    """80 % sure and right four times of five, in each of fifteen bins that has any."""
    rows = np.tile([[0.8, 0.15, 0.05]], (5, 1))
    found = calibration(rows, [0, 0, 0, 0, 1])
    assert len(found.counts) == 15 and found.ece == pytest.approx(0, abs=1e-12) and found.mce == pytest.approx(0)
    sure = calibration(np.eye(3)[[0, 1, 2]], [1, 1, 1])
    assert (sure.ece, sure.mce) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert sure.brier == pytest.approx(4 / 3) and math.isfinite(sure.nll)  # p = 0 of the truth counts as 1e-38


def test_the_brier_score_and_the_likelihood_are_those_of_other_libraries():
    from sklearn.metrics import log_loss

    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(7), 100)
    labels = random.integers(0, 7, 100)
    found = calibration(probabilities, labels)
    assert found.nll == pytest.approx(log_loss(labels, probabilities, labels=range(7)))
    assert found.brier == pytest.approx(np.mean(np.sum((probabilities - np.eye(7)[labels]) ** 2, 1)))


def identity(classes):
    inputs = keras.Input((classes,))
    return keras.Model(inputs, keras.layers.Activation("linear")(inputs))


def test_evaluate_measures_it_batch_by_batch_of_probabilities_only():
    random = np.random.default_rng(0)
    logits = random.normal(size=(50, 4)).astype("float32") * 3
    labels = random.integers(0, 4, 50)
    probabilities = np.asarray(keras.ops.softmax(logits))
    expected = calibration(probabilities, labels)
    for scores, from_logits in ((probabilities, False), (logits, True)):
        pairs = [(scores[:30], labels[:30]), (scores[30:], labels[30:])]
        found = evaluate(identity(4), pairs, "abcd", from_logits=from_logits, progress=False)
        assert found.calibration.counts == expected.counts
        np.testing.assert_allclose(list(found.calibration.figures.values()), list(expected.figures.values()), rtol=1e-5)
        worst = found.mistakes[0]
        assert worst.score == pytest.approx(probabilities[worst.index].max(), rel=1e-5)
    assert evaluate(identity(4), pairs, "abcd", progress=False).calibration is None  # logits
    mixed = [(probabilities[:30], labels[:30]), (logits[30:], labels[30:])]
    assert evaluate(identity(4), mixed, "abcd", progress=False).calibration is None


@pytest.mark.parametrize(
    ("probabilities", "labels", "bins", "message"),
    [
        (PROBABILITIES, LABELS[:4], 15, r"shapes \(5, 2\) and \(4,\)"),
        (PROBABILITIES[:0], LABELS[:0], 15, r"shapes \(0, 2\)"),
        (PROBABILITIES, LABELS, 0, "0 bins"),
        (PROBABILITIES[0], LABELS, 15, r"\(2,\)"),
        (2 * PROBABILITIES, LABELS, 15, "Are these logits"),
        (PROBABILITIES - [[0.5, -0.5]], LABELS, 15, "Are these logits"),
    ],
)
def test_what_it_refuses(probabilities, labels, bins, message):
    with pytest.raises(ValueError, match=message):
        calibration(probabilities, labels, bins)


def test_figures_are_named():
    assert list(Calibration((1,), (1.0,), (1.0,), 0.0, 0.0).figures) == ["ece", "mce", "nll", "brier"]

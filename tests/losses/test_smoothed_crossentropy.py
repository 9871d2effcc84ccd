import keras
import numpy as np
import pytest

from kvision.blocks.head import classify
from kvision.losses import SmoothedCrossentropy

LOGITS = np.array([[2.0, 1.0, 0.0]], "float32")


@pytest.mark.parametrize(("smoothing", "expected"), [(0.1, 0.5076059), (0.0, 0.4076059)])
def test_by_hand(smoothing, expected):
    """q' = (1 - eps) q + eps / K for logits 2, 1, 0 and the first class."""
    probabilities = keras.ops.softmax(LOGITS)
    assert float(SmoothedCrossentropy(smoothing)([0], probabilities)) == pytest.approx(expected, abs=1e-6)
    assert float(SmoothedCrossentropy(smoothing, from_logits=True)([[0]], LOGITS)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_equal_scores_cost_the_logarithm_of_the_classes(smoothing):
    """Of 1,000 classes ln 1000, whatever the target: what an untrained network should start from."""
    loss = SmoothedCrossentropy(smoothing, from_logits=True)
    assert float(loss([7, 999], np.full((2, 1000), 3.0, "float32"))) == pytest.approx(6.907755, abs=1e-5)


def test_scores_of_three_classes():
    """Scores 3.2, 5.1 and -1.7: exp gives 24.53, 164.02 and 0.18, their shares are the probabilities."""
    scores, shares = np.array([[3.2, 5.1, -1.7]], "float32"), [0.12998, 0.86905, 0.00097]
    inputs = keras.Input((3,))
    model = keras.Model(inputs, classify(inputs, 3, "softmax", initializer=keras.initializers.Identity))
    np.testing.assert_allclose(model(scores), [shares], atol=5e-6)
    for target, share in enumerate(shares):
        for loss, y in ((SmoothedCrossentropy(0.0), model(scores)), (SmoothedCrossentropy(0.0, True), scores)):
            assert float(loss([target], y)) == pytest.approx(-np.log(share), abs=6e-3)


@pytest.mark.parametrize(("classes", "least"), [(1000, 1.014848), (10, 0.500288)])
def test_least_attainable_loss(classes, least):
    target = np.full((1, classes), 0.1 / classes)
    target[0, 0] += 0.9
    assert float(SmoothedCrossentropy()([0], target.astype("float32"))) == pytest.approx(least, abs=1e-5)


def test_config_and_bad_arguments():
    loss = SmoothedCrossentropy(0.2, from_logits=True)
    again = SmoothedCrossentropy.from_config(loss.get_config())
    assert (again.label_smoothing, again.from_logits) == (0.2, True)
    with pytest.raises(ValueError, match="`label_smoothing` lies in"):
        SmoothedCrossentropy(1.0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_mixture_costs_the_mean_of_its_classes(smoothing):
    """As mixup defines it: p CE(first) + (1 - p) CE(second)."""
    loss = SmoothedCrossentropy(smoothing, from_logits=True)
    mixed = float(loss(np.array([[0.3, 0.0, 0.7]]), LOGITS))
    assert mixed == pytest.approx(0.3 * float(loss([0], LOGITS)) + 0.7 * float(loss([2], LOGITS)), abs=1e-6)


@pytest.mark.parametrize("labels", [np.zeros((1, 4)), np.zeros((1, 2), "int32"), np.zeros((1, 3, 1))])
def test_labels_of_another_shape_are_named(labels):
    with pytest.raises(ValueError, match=r"class ids \(B,\) or \(B, 1\), or parts of 3 classes \(B, 3\)"):
        SmoothedCrossentropy()(labels, LOGITS)

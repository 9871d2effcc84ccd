import keras
import numpy as np
import pytest

from kvision.losses import SmoothedCrossentropy

LOGITS = np.array([[2.0, 1.0, 0.0]], "float32")


@pytest.mark.parametrize(("smoothing", "expected"), [(0.1, 0.5076059), (0.0, 0.4076059)])
def test_by_hand(smoothing, expected):
    """q' = (1 - eps) q + eps / K for logits 2, 1, 0 and the first class."""
    probabilities = keras.ops.softmax(LOGITS)
    assert float(SmoothedCrossentropy(smoothing)([0], probabilities)) == pytest.approx(expected, abs=1e-6)
    assert float(SmoothedCrossentropy(smoothing, from_logits=True)([[0]], LOGITS)) == pytest.approx(expected, abs=1e-6)


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

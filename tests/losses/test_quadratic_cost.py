import keras
import numpy as np
import pytest

from kvision.losses import QuadraticCost

SCORES = np.array([[0.2, 0.9, 0.5], [1.0, 0.0, 0.0]], "float32")


@pytest.mark.parametrize("labels", [[1, 0], [[1], [0]], [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]])
def test_by_hand(labels):
    """(0.2^2 + 0.1^2 + 0.5^2) / 2 = 0.15, and 0 where the scores are the target: the mean is 0.075."""
    assert float(QuadraticCost()(np.array(labels), SCORES)) == pytest.approx(0.075)


def test_its_gradient_is_that_of_network_py():
    """`cost_derivative` returns a - y."""
    scores = keras.ops.convert_to_tensor(SCORES[:1])
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(scores)
        cost = QuadraticCost()([1], scores)
    np.testing.assert_allclose(tape.gradient(cost, scores), [[0.2, -0.1, 0.5]], rtol=1e-6)


def test_bad_labels_and_config():
    with pytest.raises(ValueError, match="class ids"):
        QuadraticCost()(np.zeros((2, 4)), SCORES)
    assert QuadraticCost.from_config(QuadraticCost(name="cost").get_config()).name == "cost"

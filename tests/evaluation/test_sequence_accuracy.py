import keras
import numpy as np
import pytest

from kvision.evaluation import SequenceAccuracy


def scores(*digits):
    return np.eye(11, dtype="float32")[np.array(digits)]


def test_by_hand():
    """The second image has one wrong digit of three, the third has all right."""
    metric = SequenceAccuracy()
    metric.update_state(np.array([[1, 2, 3], [1, 2, 3]]), scores([1, 2, 3], [1, 2, 4]))
    assert float(metric.result()) == 0.5
    metric.update_state(np.array([[1, 10, 10]]), scores([1, 10, 10]))
    assert float(metric.result()) == pytest.approx(2 / 3)
    metric.reset_state()
    metric.update_state(np.array([[1], [2], [3]]), scores([1], [2], [4]), sample_weight=np.array([1, 0, 1]))
    assert float(metric.result()) == 0.5


def test_in_a_compiled_model_that_is_saved(tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Reshape((3, 1))(inputs))
    model.compile(loss="mse", metrics=[SequenceAccuracy()])
    found = model.evaluate(np.ones((4, 3)), np.array([[0, 0, 0]] * 3 + [[0, 1, 0]]), verbose=0, return_dict=True)
    assert found["sequence_accuracy"] == 0.75
    model.save(tmp_path / "model.keras")
    assert (
        keras.models.load_model(tmp_path / "model.keras").evaluate(
            np.ones((1, 3)), np.zeros((1, 3)), verbose=0, return_dict=True
        )["sequence_accuracy"]
        == 1
    )


def test_other_shapes_are_a_clear_error():
    with pytest.raises(ValueError, match=r"labels \(B, N\) with scores \(B, N, classes\)"):
        SequenceAccuracy().update_state(np.array([1]), scores([1]))

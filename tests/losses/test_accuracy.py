import keras
import numpy as np
import pytest

from kvision.losses import LabelAccuracy, SmoothedCrossentropy

SCORES = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]], "float32")


@pytest.mark.parametrize(
    "labels",
    [
        [0, 1, 2, 2],
        [[0], [1], [2], [2]],
        [[0.7, 0.3, 0.0], [0.2, 0.8, 0.0], [0.4, 0.0, 0.6], [0.0, 0.5 - 1e-3, 0.5 + 1e-3]],
    ],
)
def test_three_of_four_are_right(labels):
    accuracy = LabelAccuracy()
    accuracy.update_state(np.array(labels), SCORES)
    assert float(accuracy.result()) == 0.75
    accuracy.update_state(np.array(labels)[2:3], SCORES[2:3], sample_weight=[4.0])
    assert float(accuracy.result()) == pytest.approx(3 / 8)


def test_trained_on_mixtures_and_validated_on_class_ids():
    """What `metrics=["accuracy"]` cannot: it says that no class id is right."""
    same = keras.layers.Dense(3, use_bias=False, kernel_initializer="identity")
    model = keras.Sequential([keras.Input((3,)), same])
    mixtures = np.array([[0.7, 0.3, 0.0], [0.2, 0.8, 0.0], [0.4, 0.0, 0.6], [0.0, 0.2, 0.8]], "float32")
    model.compile(keras.optimizers.SGD(1e-6), SmoothedCrossentropy(), metrics=[LabelAccuracy()])
    logs = model.fit(SCORES, mixtures, validation_data=(SCORES, np.array([0, 1, 1, 2])), verbose=0).history
    assert logs["accuracy"] == [0.75] and logs["val_accuracy"] == [1.0]
    again = LabelAccuracy.from_config(LabelAccuracy(name="right").get_config())
    assert again.name == "right"

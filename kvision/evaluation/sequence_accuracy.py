"""The share of images that are read without any mistake, where each shows several symbols."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class SequenceAccuracy(keras.metrics.MeanMetricWrapper):
    """The share of images all of whose positions are right; one minus the sequence error of house numbers.

    `update_state` takes labels `(B, N)`, integers, and scores `(B, N, classes)`, probabilities or logits.
    """

    def __init__(self, name="sequence_accuracy", dtype=None):
        super().__init__(_all_right, name, dtype)

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}


def _all_right(labels, scores):
    if len(labels.shape) != 2 or len(scores.shape) != 3:
        raise ValueError(
            "Sequence accuracy compares labels (B, N) with scores (B, N, classes). "
            f"Received: labels of shape {tuple(labels.shape)}, scores of shape {tuple(scores.shape)}"
        )
    return ops.all(ops.equal(ops.argmax(scores, axis=-1), ops.cast(labels, "int32")), axis=-1)

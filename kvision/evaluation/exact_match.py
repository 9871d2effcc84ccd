"""Exact match: Sabour, Frosst & Hinton, NIPS 2017, arXiv:1710.09829, section 6 (both digits of an image right)."""

import keras
from keras import ops


def exact_match(y_true, y_pred):
    """1 for each image whose k classes have the k largest scores, else 0. Ties are mistakes."""
    present = ops.cast(y_true, "bool")
    least = ops.min(ops.where(present, y_pred, float("inf")), axis=-1)
    return ops.cast(least > ops.max(ops.where(present, float("-inf"), y_pred), axis=-1), "float32")


@keras.saving.register_keras_serializable(package="kvision")
class ExactMatch(keras.metrics.MeanMetricWrapper):
    """The share of images all of whose classes are found, given how many they are.

    Labels `(B, classes)` with 1 for each class that is present, scores `(B, classes)`.
    """

    def __init__(self, name="exact_match", dtype=None):
        super().__init__(exact_match, name, dtype)

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}

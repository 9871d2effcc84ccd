"""The quadratic cost: Nielsen, Neural Networks and Deep Learning, 2015, chapter 1, equation 6, and network.py."""

import keras
from keras import ops

from kvision.losses.smoothed_crossentropy import class_parts


@keras.saving.register_keras_serializable(package="kvision")
class QuadraticCost(keras.losses.Loss):
    """Half of the squared distance between scores and target, which is 1 for the true class and 0 for the others.

    Labels: class ids `(B,)` or `(B, 1)`, or parts of classes `(B, classes)`. Scores `(B, classes)`.

    Raises:
        ValueError: labels of another shape.
    """

    def __init__(self, name="quadratic_cost", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return ops.sum(ops.square(class_parts(y_true, y_pred) - y_pred), axis=-1) / 2

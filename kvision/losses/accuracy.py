"""How many images are told right, whichever way their labels are given."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class LabelAccuracy(keras.metrics.MeanMetricWrapper):
    """The share of images whose highest score is that of their class, for the labels that `SmoothedCrossentropy` takes.

    What `metrics=["accuracy"]` means is decided by the first labels: after a training with mixtures it takes the class
    ids of a validation set for mixtures, and says that none is right. Of a mixture, the class of the largest part is to
    be found.

    `update_state` takes labels, class ids `(B,)` or `(B, 1)`, or parts of classes `(B, classes)`; and scores
    `(B, classes)`, probabilities, lengths or logits.
    """

    def __init__(self, name="accuracy", dtype=None):
        super().__init__(_right, name, dtype)

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}


def _right(labels, scores):
    labels, classes = ops.convert_to_tensor(labels), scores.shape[-1]
    if len(labels.shape) == 2 and labels.shape[-1] == classes > 1:
        labels = ops.argmax(labels, axis=-1)
    labels = ops.reshape(ops.cast(labels, "int32"), (-1,))
    return ops.equal(ops.cast(ops.argmax(scores, axis=-1), "int32"), labels)

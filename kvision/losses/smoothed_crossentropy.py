"""Label smoothing: Szegedy et al., CVPR 2016, arXiv:1512.00567, section 7."""

import keras


@keras.saving.register_keras_serializable(package="kvision")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy with label smoothing for class ids, which Keras offers for one-hot labels alone, and for mixtures.

    The target is `(1 - label_smoothing)` for the true class plus `label_smoothing / classes` for every class.

    Args:
        label_smoothing: in [0, 1).
        from_logits: whether predictions are logits instead of probabilities.

    Labels: class ids `(B,)` or `(B, 1)`, or parts of classes `(B, classes)` as mixup and CutMix give them. Predictions
    `(B, classes)`.

    Raises:
        ValueError: a label_smoothing outside [0, 1), or labels of another shape.
    """

    def __init__(self, label_smoothing=0.1, from_logits=False, name="smoothed_crossentropy", **kwargs):
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"`label_smoothing` lies in [0, 1). Received: {label_smoothing}")
        super().__init__(name=name, **kwargs)
        self.label_smoothing, self.from_logits = float(label_smoothing), from_logits

    def call(self, y_true, y_pred):
        targets = class_parts(y_true, y_pred)
        return keras.losses.categorical_crossentropy(
            targets, y_pred, from_logits=self.from_logits, label_smoothing=self.label_smoothing
        )

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing, "from_logits": self.from_logits}


def class_parts(labels, scores):
    """Class ids (B,) or (B, 1), or parts of classes (B, classes), as parts, in the dtype of the scores (B, classes).

    Raises:
        ValueError: labels of another shape.
    """
    labels, classes = keras.ops.convert_to_tensor(labels), scores.shape[-1]
    shape = tuple(labels.shape)
    if shape[1:] == (classes,) and classes > 1:
        return keras.ops.cast(labels, scores.dtype)
    if shape[1:] not in ((), (1,)):
        raise ValueError(
            f"Labels are class ids (B,) or (B, 1), or parts of {classes} classes (B, {classes}). "
            f"Received: labels of shape {shape}"
        )
    return keras.ops.one_hot(keras.ops.reshape(keras.ops.cast(labels, "int32"), (-1,)), classes, dtype=scores.dtype)

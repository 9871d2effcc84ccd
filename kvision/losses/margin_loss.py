"""The margin loss for digit existence: Sabour, Frosst & Hinton, NIPS 2017, arXiv:1710.09829, section 3."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class MarginLoss(keras.losses.Loss):
    """Long vectors for the classes that are present, short ones for the others; any number may be present.

    `L_k = T_k max(0, m+ - |v_k|)^2 + lambda (1 - T_k) max(0, |v_k| - m-)^2`, equation 4, summed over the classes k.

    Args:
        m_plus: the length from which on a class that is present costs nothing.
        m_minus: the length up to which an absent one costs nothing.
        down_weight: lambda, which keeps the first steps from shrinking all vectors.
        scale: of the loss; 1 is the paper's. The authors' code halves it and takes the mean over the classes, too:
            0.5 / classes. Beside its reconstruction loss that makes a factor of 20 for ten digits.

    Labels `(B,)` or `(B, 1)` class ids, or `(B, classes)` with 1 for each class that is present; lengths
    `(B, classes)`.

    Raises:
        ValueError: not 0 <= m_minus <= m_plus <= 1.
    """

    def __init__(self, m_plus=0.9, m_minus=0.1, down_weight=0.5, scale=1.0, name="margin_loss", **kwargs):
        if not 0 <= m_minus <= m_plus <= 1:
            raise ValueError(
                "Margins are lengths in [0, 1], and `m_minus` is not above `m_plus`. "
                f"Received: m_plus={m_plus}, m_minus={m_minus}"
            )
        super().__init__(name=name, **kwargs)
        self.m_plus, self.m_minus = float(m_plus), float(m_minus)
        self.down_weight, self.scale = float(down_weight), float(scale)

    def call(self, y_true, y_pred):
        classes = y_pred.shape[-1]
        if len(y_true.shape) == 2 and y_true.shape[-1] == classes:
            present = ops.cast(y_true, y_pred.dtype)
        else:
            present = ops.one_hot(ops.reshape(ops.cast(y_true, "int32"), (-1,)), classes, dtype=y_pred.dtype)
        short = ops.square(ops.relu(self.m_plus - y_pred))
        long = ops.square(ops.relu(y_pred - self.m_minus))
        return self.scale * ops.sum(present * short + self.down_weight * (1 - present) * long, axis=-1)

    def get_config(self):
        margins = {"m_plus": self.m_plus, "m_minus": self.m_minus}
        return {**super().get_config(), **margins, "down_weight": self.down_weight, "scale": self.scale}

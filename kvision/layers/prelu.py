"""PReLU: He, Zhang, Ren & Sun, "Delving Deep into Rectifiers", ICCV 2015, arXiv:1502.01852, section 2.1."""

import keras


@keras.saving.register_keras_serializable(package="kvision")
class PReLU(keras.layers.PReLU):
    """A rectifier that learns its slope below zero: `f(y_i) = max(0, y_i) + a_i min(0, y_i)` (equation 1).

    One slope for each channel, where Keras's own layer has one for each pixel and channel, which start at 0. The paper
    decays no slope: decay would push it to zero, and PReLU to ReLU. Keras's optimizers decay every variable, until
    told otherwise: `optimizer.exclude_from_weight_decay(var_names=["alpha"])`.

    Args:
        shared: whether all channels share one slope ("channel-shared").
        alpha_initializer: of the slopes; None for the paper's 0.25.
        alpha_regularizer, alpha_constraint: as Keras's.

    Input and output: `(B, ..., C)`. Parameters: C slopes, or 1.
    """

    def __init__(self, shared=False, alpha_initializer=None, alpha_regularizer=None, alpha_constraint=None, **kwargs):
        initializer = alpha_initializer or keras.initializers.Constant(0.25)
        super().__init__(initializer, alpha_regularizer, alpha_constraint, None, **kwargs)
        self.shared = bool(shared)

    def build(self, input_shape):
        self.shared_axes = list(range(1, len(input_shape) - (not self.shared)))
        super().build(input_shape)

    def get_config(self):
        config = {**super().get_config(), "shared": self.shared}
        del config["shared_axes"]  # follow from the input's
        return config

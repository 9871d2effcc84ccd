"""SkipInit: De & Smith, NeurIPS 2020, arXiv:2002.10444."""

import keras


@keras.saving.register_keras_serializable(package="kvision")
class SkipInit(keras.layers.Layer):
    """The end of a residual branch: `alpha gain f(x)`, with one learnable gain that starts at 0.

    Every block of a network starts as its shortcut, as batch normalization nearly makes it.

    Args:
        alpha: a constant factor.

    Input and output: `(B, ..., C)`. One parameter.
    """

    def __init__(self, alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        self.alpha = alpha

    def build(self, input_shape):
        self.gain = self.add_weight(name="gain", shape=(), initializer="zeros")

    def call(self, inputs):
        return inputs * (self.alpha * self.gain)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha}

"""Maxout: Goodfellow, Warde-Farley, Mirza, Courville & Bengio, "Maxout Networks", ICML 2013, arXiv:1302.4389."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class Maxout(keras.layers.Layer):
    """The maximum of every `pieces` consecutive channels: an activation that learns its (convex) shape.

    Section 3: `h_i = max_j z_ij`, `j = 1 ... k`, where z comes from a dense layer or a convolution without activation,
    of `pieces` times as many units.

    Args:
        pieces: affine pieces of each unit, k in the paper.

    Input `(B, ..., C)`, output `(B, ..., C / pieces)`.

    Raises:
        ValueError: `pieces` is less than 1, or does not divide C.
    """

    def __init__(self, pieces=2, **kwargs):
        super().__init__(**kwargs)
        if pieces < 1:
            raise ValueError(f"`pieces` is at least 1. Received: pieces={pieces}")
        self.pieces = pieces

    def call(self, inputs):
        units = self.compute_output_shape(inputs.shape)[-1]
        return ops.max(ops.reshape(inputs, (*ops.shape(inputs)[:-1], units, self.pieces)), axis=-1)

    def compute_output_shape(self, input_shape):
        if input_shape[-1] % self.pieces:
            raise ValueError(f"{self.pieces} `pieces` do not divide the {input_shape[-1]} channels of {input_shape}")
        return (*input_shape[:-1], input_shape[-1] // self.pieces)

    def get_config(self):
        return {**super().get_config(), "pieces": self.pieces}

"""Euclidean radial basis functions: LeCun, Bottou, Bengio & Haffner, Proc. IEEE 86(11), 1998, equation 7."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class EuclideanRBF(keras.layers.Layer):
    """Squared Euclidean distances to one centre for each unit: `y_i = sum_j (x_j - w_ij)^2`.

    A penalty: the better the input fits a unit's centre, the smaller its output. Up to a constant it is minus the
    logarithm of a Gaussian of variance 1/2 around the centre.

    Args:
        units: number of centres.
        centers_initializer: of the centres `(units, D)`. `trainable=False` keeps them where it puts them.

    Input `(B, ..., D)`, output `(B, ..., units)`.
    """

    def __init__(self, units, centers_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.centers_initializer = keras.initializers.get(centers_initializer)
        self.input_spec = keras.layers.InputSpec(min_ndim=2)

    def build(self, input_shape):
        shape = (self.units, input_shape[-1])
        self.centers = self.add_weight(shape, initializer=self.centers_initializer, name="centers")

    def call(self, inputs):
        # Not by |x|^2 - 2 x.w + |w|^2: near a centre, where it counts, the difference of large numbers loses digits.
        return ops.sum(ops.square(ops.expand_dims(inputs, -2) - self.centers), axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def count_macs(self, input_shape) -> int:
        """One square, added up, for each component of each centre."""
        return math.prod(input_shape) * self.units

    def get_config(self):
        initializer = keras.initializers.serialize(self.centers_initializer)
        return {**super().get_config(), "units": self.units, "centers_initializer": initializer}

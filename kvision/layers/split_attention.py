"""Split attention: Zhang et al., "ResNeSt: Split-Attention Networks", CVPR Workshops 2022, arXiv:2004.08955."""

import math

import keras
from keras import ops

from kvision.layers.batch_normalization import BatchNormalization
from kvision.layers.grouped_conv2d import GroupedConv2D
from kvision.layers.pointwise_conv2d import PointwiseConv2D
from kvision.layers.squeeze_excite import mean


@keras.saving.register_keras_serializable(package="kvision")
class SplitAttention(keras.layers.Layer):
    """A soft choice, for each channel, between `radix` splits of a feature map: `V = sum over i of a_i U_i`.

    The weights a come from the means over the image of the splits' sum, through a 1x1 convolution `fc1`, batch
    normalization `bn1`, a rectifier, and a 1x1 convolution `fc2`, each with a bias and in `cardinality` groups
    (section 3.1). A softmax over the splits makes their sum 1; with a single split the weight is a sigmoid, and the
    layer a gate as Squeeze-and-Excitation's. With `fc2` zero, V is the mean of the splits.

    Args:
        radix: R, the number of splits.
        cardinality: K, the number of groups of channels that know nothing of each other.
        ratio: by which `fc1` narrows its R C channels: to R C / ratio, but no fewer than 32, as in the authors' code.

    Input `(B, H, W, R C)`: the splits one after another, and in each the K groups (radix-major, section 3.2; the
    paper's U_{R(k-1)+r} numbers the groups first). Output `(B, H, W, C)`. Training normalizes over the batch: over one
    image alone, nothing would be left of it.

    Raises:
        ValueError: an argument is not positive, or the channels, or those behind `fc1`, cannot be divided so.
    """

    def __init__(self, radix=2, cardinality=1, ratio=4, **kwargs):
        super().__init__(**kwargs)
        if min(radix, cardinality, ratio) < 1:
            raise ValueError(
                "`radix`, `cardinality` and `ratio` are at least 1. "
                f"Received: radix={radix}, cardinality={cardinality}, ratio={ratio}"
            )
        self.radix, self.cardinality, self.ratio = radix, cardinality, ratio

    def build(self, input_shape):
        channels, rest = divmod(input_shape[-1], self.radix)
        hidden = max(input_shape[-1] // self.ratio, 32)
        if rest or channels % self.cardinality:
            raise ValueError(
                f"{self.radix} splits of {self.cardinality} groups need a multiple of {self.radix * self.cardinality} "
                f"channels. Received: an input of shape {tuple(input_shape)}"
            )
        if hidden % self.cardinality:
            raise ValueError(f"{hidden} hidden channels cannot be divided into {self.cardinality} groups")
        self.fc1 = self._convolution(hidden, "fc1")
        self.bn1 = BatchNormalization(0.9, 1e-5, dtype=self.dtype_policy, name="bn1")
        self.fc2 = self._convolution(input_shape[-1], "fc2")
        self.fc1.build((None, 1, 1, channels))
        self.bn1.build((None, 1, 1, hidden))
        self.fc2.build((None, 1, 1, hidden))

    def _convolution(self, filters, name):
        he = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
        options = dict(kernel_initializer=he, dtype=self.dtype_policy, name=name)
        if self.cardinality == 1:
            return PointwiseConv2D(filters, **options)
        return GroupedConv2D(filters, 1, groups=self.cardinality, **options)

    def call(self, inputs, training=None):
        batch, height, width, channels = (*ops.shape(inputs)[:3], inputs.shape[-1] // self.radix)
        # The sum of the splits' means is the mean of their sum, and no feature map is written for it.
        means = ops.reshape(mean(inputs, (1, 2)), (batch, self.radix, channels))
        means = ops.reshape(ops.sum(means, 1), (batch, 1, 1, channels))
        scores = self.fc2(ops.relu(self.bn1(self.fc1(means), training=training)))
        if self.radix == 1:
            return inputs * ops.sigmoid(scores)
        # A group's scores for all splits stand together.
        scores = ops.reshape(scores, (batch, self.cardinality, self.radix, channels // self.cardinality))
        weights = ops.transpose(ops.softmax(scores, axis=2), (0, 2, 1, 3))
        weights = ops.reshape(weights, (batch, 1, 1, self.radix, channels))
        # Nothing moves in this reshape. In float32 on a CPU it beats slicing the splits off and adding them.
        splits = ops.reshape(inputs, (batch, height, width, self.radix, channels))
        return ops.sum(splits * weights, axis=3)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] // self.radix)

    def count_macs(self, input_shape) -> int:
        """Two convolutions on one pixel; means and products are free."""
        return input_shape[0] * sum(math.prod(layer.kernel.shape) for layer in (self.fc1, self.fc2))

    def get_config(self):
        return {**super().get_config(), "radix": self.radix, "cardinality": self.cardinality, "ratio": self.ratio}

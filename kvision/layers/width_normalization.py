"""Width normalization of digits: Cireşan, Meier & Schmidhuber, CVPR 2012, arXiv:1202.2745, section 3."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kvision")
class WidthNormalization(keras.layers.Layer):
    """Each image's bounding box is rescaled to one width, keeps its height, and moves to the centre.

    The box holds every pixel with a value above `threshold` in any channel; what lies outside it becomes 0. Columns are
    resampled linearly, over a wider support where the box shrinks, so that no stroke falls between two of them. The box
    lands on whole pixels, half a pixel up and left of the centre where it must; what does not fit is cut off on both
    sides. An image without a box becomes 0. Worked out in float32 under every policy.

    Args:
        width: of the box afterwards, in pixels. The paper's are 10, 12, 14, 16, 18 and 20.
        size: height and width of the output. The paper's columns see 29x29.
        threshold: the background is dark: at this value or below. Images may have any range in which it is 0.

    Input `(B, H, W, C)`, output `(B, *size, C)`.

    Raises:
        ValueError: a width or size below 1.
    """

    def __init__(self, width, size=(29, 29), threshold=0.0, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.width, self.size, self.threshold = width, tuple(size), float(threshold)
        if width < 1 or len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(
                f"`width` is at least 1, and `size` a height and a width of at least 1. Received: width={width}, "
                f"size={self.size}"
            )
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, inputs):
        x = ops.cast(inputs, "float32")
        ink = ops.any(x > self.threshold, axis=-1)  # (B, H, W)
        rows = _resample(ops.any(ink, axis=2), self.size[0])
        columns = _resample(ops.any(ink, axis=1), self.size[1], self.width)
        x = ops.einsum("bvw,bhwc->bhvc", columns, x)
        return ops.cast(ops.einsum("buh,bhvc->buvc", rows, x), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.size, input_shape[-1])

    def get_config(self):
        arguments = {"width": self.width, "size": self.size, "threshold": self.threshold}
        return {**super().get_config(), **arguments}


def _resample(occupied, size, extent=None):
    """The weights `(B, size, N)` that bring the occupied part of N places to the centre, `extent` places long.

    Args:
        occupied: `(B, N)`, booleans.
        extent: None keeps the length.
    """
    count = ops.shape(occupied)[1]
    places = ops.cast(ops.arange(count), "float32")
    first = ops.min(ops.where(occupied, places, ops.cast(count, "float32")), axis=1)[:, None]  # beyond the last if none
    last = ops.max(ops.where(occupied, places, -1.0), axis=1)[:, None]
    length = last - first + 1
    extent = length if extent is None else float(extent)
    scale = length / extent
    position = ops.arange(size, dtype="float32") - ops.floor((size - extent) / 2)  # in the new box
    source = (first + (position + 0.5) * scale - 0.5)[..., None]  # (B, size, 1)
    weights = ops.maximum(1 - ops.abs(source - places) / ops.maximum(scale, 1)[..., None], 0)
    weights = ops.where(((places >= first) & (places <= last))[:, None], weights, 0.0)
    weights = weights / ops.maximum(ops.sum(weights, axis=-1, keepdims=True), 1e-6)
    return ops.where(((position >= 0) & (position < extent))[..., None], weights, 0.0)

"""One mechanism per file; what needs weights or randomness is a layer."""

from kvision.layers.batch_normalization import BatchNormalization
from kvision.layers.grouped_conv2d import GroupedConv2D
from kvision.layers.pointwise_conv2d import PointwiseConv2D

__all__ = ["BatchNormalization", "GroupedConv2D", "PointwiseConv2D"]

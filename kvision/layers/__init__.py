"""One mechanism per file; what needs weights or randomness is a layer. `MaxNorm` is a constraint."""

from kvision.layers.attention_mask import ChannelMask, SpatialMask
from kvision.layers.batch_normalization import BatchNormalization
from kvision.layers.capsule import Capsule, CapsuleLength, PrimaryCapsules
from kvision.layers.cbam import CBAM, ChannelGate, SpatialGate
from kvision.layers.contrast import AdaptiveHistogramEqualization, HistogramEqualization, ImageAdjustment
from kvision.layers.contrast_normalization import ContrastNormalization
from kvision.layers.difference_of_gaussians import DifferenceOfGaussians
from kvision.layers.drop_connect import DropConnect
from kvision.layers.euclidean_rbf import EuclideanRBF
from kvision.layers.fractal_join import FractalJoin, GlobalDropPath
from kvision.layers.gamma_activation import GammaActivation
from kvision.layers.global_contrast_normalization import GlobalContrastNormalization
from kvision.layers.grouped_conv2d import GroupedConv2D
from kvision.layers.highway import Highway
from kvision.layers.layer_normalization import LayerNormalization
from kvision.layers.lrn import LRN
from kvision.layers.max_norm import MaxNorm
from kvision.layers.maxout import Maxout
from kvision.layers.ode_block import ODEBlock
from kvision.layers.partial_conv2d import PartiallyConnectedConv2D
from kvision.layers.pointwise_conv2d import PointwiseConv2D
from kvision.layers.pooled_conv2d import PooledConv2D
from kvision.layers.position_embedding import ClassToken, PositionEmbedding
from kvision.layers.prelu import PReLU
from kvision.layers.recomputed import Recomputed
from kvision.layers.resize_like import ResizeLike
from kvision.layers.scaled_std_conv2d import ScaledStdConv2D
from kvision.layers.self_attention import MultiHeadSelfAttention
from kvision.layers.skip_init import SkipInit
from kvision.layers.spatial_transformer import SpatialSampler, SpatialTransformer
from kvision.layers.spatial_transforms import Affine, Attention, Projective, ThinPlateSpline, Translation
from kvision.layers.split_attention import SplitAttention
from kvision.layers.squeeze_excite import SqueezeExcite
from kvision.layers.stochastic_depth import SkippedBranch, StochasticDepth
from kvision.layers.stochastic_pooling import StochasticPooling2D
from kvision.layers.strided_conv2d import StridedConv2D
from kvision.layers.token_dense import TokenDense
from kvision.layers.trainable_subsampling import TrainableSubsampling
from kvision.layers.width_normalization import WidthNormalization
from kvision.layers.zca_whitening import ZCAWhitening

__all__ = [
    "CBAM",
    "LRN",
    "AdaptiveHistogramEqualization",
    "Affine",
    "Attention",
    "BatchNormalization",
    "ChannelGate",
    "ChannelMask",
    "Capsule",
    "CapsuleLength",
    "ClassToken",
    "ContrastNormalization",
    "DifferenceOfGaussians",
    "DropConnect",
    "EuclideanRBF",
    "FractalJoin",
    "GammaActivation",
    "GlobalDropPath",
    "GlobalContrastNormalization",
    "GroupedConv2D",
    "Highway",
    "HistogramEqualization",
    "ImageAdjustment",
    "LayerNormalization",
    "MaxNorm",
    "Maxout",
    "MultiHeadSelfAttention",
    "ODEBlock",
    "PReLU",
    "PartiallyConnectedConv2D",
    "PointwiseConv2D",
    "PooledConv2D",
    "PositionEmbedding",
    "Projective",
    "PrimaryCapsules",
    "Recomputed",
    "ResizeLike",
    "ScaledStdConv2D",
    "SkipInit",
    "SkippedBranch",
    "SpatialGate",
    "SplitAttention",
    "SpatialMask",
    "SpatialSampler",
    "SpatialTransformer",
    "SqueezeExcite",
    "StochasticDepth",
    "StochasticPooling2D",
    "StridedConv2D",
    "ThinPlateSpline",
    "TokenDense",
    "TrainableSubsampling",
    "Translation",
    "WidthNormalization",
    "ZCAWhitening",
]

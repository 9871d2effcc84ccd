"""The first layers, before the stages."""

import keras

from kvision.blocks.conv import At, conv_norm_relu
from kvision.blocks.pool import max_pool

FIRST = At("conv1", "bn1", "relu")


def halve(x, *, name="maxpool", ceil=False):
    """3x3 max-pooling of rectified values, of stride 2: `(B, H, W, C)` to `(B, ceil(H / 2), ceil(W / 2), C)`.

    With zeros on every side, as Torch's networks pool; `ceil` lets the last windows hang over the border instead, as
    Caffe's do: `(B, H // 2, W // 2, C)`.
    """
    if ceil:
        return max_pool(x, ceil=True, name=name)
    # Zeros are as good as minus infinity here: the rectifier's outputs are never below them.
    x = keras.layers.ZeroPadding2D(1, name=f"{name}.pad")(x)
    return keras.layers.MaxPooling2D(3, 2, name=name)(x)


def stem_7x7(x, width=64, *, at=FIRST, pool="maxpool", ceil=False):
    """7x7 convolution and pooling by `halve`, both of stride 2: `(B, H, W, C)` to `(B, H/4, W/4, width)`."""
    return halve(conv_norm_relu(x, width, 7, 2, at=at), name=pool, ceil=ceil)


def stem_3x3(x, width=16):
    """One 3x3 convolution for small images: `(B, H, W, C)` to `(B, H, W, width)`."""
    return conv_norm_relu(x, width, 3, at=FIRST)

"""The first layers, before the stages."""

import keras

from kvision.blocks.conv import At, conv_norm_relu

FIRST = At("conv1", "bn1", "relu")


def stem_7x7(x, width=64, *, at=FIRST, pool="maxpool"):
    """7x7 convolution and 3x3 max-pooling, both of stride 2: `(B, H, W, C)` to `(B, H/4, W/4, width)`."""
    x = conv_norm_relu(x, width, 7, 2, at=at)
    # Zeros are as good as minus infinity here: the rectifier's outputs are never below them.
    x = keras.layers.ZeroPadding2D(1, name=f"{pool}.pad")(x)
    return keras.layers.MaxPooling2D(3, 2, name=pool)(x)


def stem_3x3(x, width=16):
    """One 3x3 convolution for small images: `(B, H, W, C)` to `(B, H, W, width)`."""
    return conv_norm_relu(x, width, 3, at=FIRST)

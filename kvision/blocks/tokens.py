"""What networks on tokens share: patches, normalization, and the perceptron of their blocks."""

import keras

from kvision.layers import LayerNormalization, TokenDense


def patches(x, size: int, width: int, *, name: str):
    """Each patch of `size` x `size` pixels becomes a token: `(B, H, W, C)` to `(B, H/size W/size, width)`, row by row.

    Initialized as by Flax, in which the authors of ViT and MLP-Mixer work.

    Raises:
        ValueError: height or width is unknown, or no multiple of the patch's.
    """
    height, width_ = x.shape[1:3]
    if not height or not width_ or height % size or width_ % size:
        raise ValueError(
            f"The network has weights for every patch: height and width are known, and multiples of the patch size, "
            f"{size}. Received: {x.shape}. Pass a fitting input_shape=(H, W, C)."
        )
    x = keras.layers.Conv2D(width, size, size, kernel_initializer="lecun_normal", name=f"{name}.proj")(x)
    return keras.layers.Reshape((-1, width), name=name)(x)


def layer_norm(x, *, name: str):
    """Of each token, with the transformers' epsilon of 1e-6."""
    return LayerNormalization(name=name)(x)


def drop(x, rate: float, *, name: str):
    """Dropout, if any."""
    return keras.layers.Dropout(rate, name=name)(x) if rate else x


def mlp(x, hidden: int, *, name: str, activation="gelu", dropout=0.0, kernel="lecun_normal", bias="zeros"):
    """Two dense layers with an activation between them, over the last axis: `(B, N, C)` to `(B, N, C)`.

    Args:
        hidden: width of the first.
        dropout: after each.
        kernel, bias: initializers.
    """
    width, options = x.shape[-1], dict(kernel_initializer=kernel, bias_initializer=bias)
    x = TokenDense(hidden, activation, name=f"{name}.fc1", **options)(x)
    x = drop(x, dropout, name=f"{name}.drop1")
    x = TokenDense(width, name=f"{name}.fc2", **options)(x)
    return drop(x, dropout, name=f"{name}.drop2")

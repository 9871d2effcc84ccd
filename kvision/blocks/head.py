"""From the last feature map to class probabilities."""

import keras


def pool(x, pooling: str):
    """Global average (`"avg"`) or maximum (`"max"`), in float32.

    Over the pixels or the tokens: `(B, H, W, C)` or `(B, N, C)` to `(B, C)`.
    """
    layers = {
        ("avg", 3): keras.layers.GlobalAveragePooling1D,
        ("max", 3): keras.layers.GlobalMaxPooling1D,
        ("avg", 4): keras.layers.GlobalAveragePooling2D,
        ("max", 4): keras.layers.GlobalMaxPooling2D,
    }
    layer = layers[pooling, len(x.shape)]
    return layer(dtype="float32", name=f"{pooling}_pool")(x)


def small_normal() -> keras.initializers.Initializer:
    """N(0, 0.01): Goyal et al., arXiv:1706.02677, section 5.1, and Krizhevsky et al. 2012, section 5."""
    return keras.initializers.RandomNormal(0.0, 0.01)


def classify(x, classes: int, activation, name: str = "fc", initializer=small_normal):
    """A dense layer and the activation, in float32 under every policy: `(B, C)` to `(B, classes)`."""
    return keras.layers.Dense(
        classes, activation=activation, kernel_initializer=initializer(), dtype="float32", name=name
    )(x)


def pool_and_classify(x, classes: int, activation, dropout: float = 0.0):
    """Global average pooling, then `classify`: the head of most networks since Network In Network.

    `dropout` is the share of the averages that training drops.
    """
    x = pool(x, "avg")
    if dropout:
        x = keras.layers.Dropout(dropout, dtype="float32", name="dropout")(x)
    return classify(x, classes, activation)


def flatten(x):
    """`(B, H, W, C)` to `(B, H W C)`, for the dense heads before global pooling.

    Raises:
        ValueError: height or width is unknown, or nothing is left of the image.
    """
    if None in x.shape[1:] or 0 in x.shape[1:]:
        raise ValueError(
            f"Dense layers on a feature map need its size. Received: {x.shape}. Pass a larger or known "
            "input_shape=(H, W, C), or include_top=False."
        )
    return keras.layers.Flatten(name="flatten")(x)


def dense_relu(x, units: int, *, name: str, dropout: float = 0.5, bias: float = 0.0, initializer=small_normal):
    """A hidden dense layer, rectified, with dropout (Srivastava et al. 2014): `(B, C)` to `(B, units)`.

    Args:
        dropout: the share that is dropped in training, 1 - p: the paper's p is the share that is kept.
        bias: the value that the bias starts from.
    """
    x = keras.layers.Dense(
        units,
        activation="relu",
        kernel_initializer=initializer(),
        bias_initializer=keras.initializers.Constant(bias),
        name=name,
    )(x)
    return keras.layers.Dropout(dropout, name=f"{name}.drop")(x)

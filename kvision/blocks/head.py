"""From the last feature map to class probabilities."""

import keras


def pool(x, pooling: str):
    """Global average (`"avg"`) or maximum (`"max"`) over the pixels, in float32: `(B, H, W, C)` to `(B, C)`."""
    layer = keras.layers.GlobalAveragePooling2D if pooling == "avg" else keras.layers.GlobalMaxPooling2D
    return layer(dtype="float32", name=f"{pooling}_pool")(x)


def classify(x, classes: int, activation, name: str = "fc"):
    """A dense layer and the activation, in float32 under every policy: `(B, C)` to `(B, classes)`.

    Weights start from N(0, 0.01) (Goyal et al., arXiv:1706.02677, section 5.1).
    """
    initializer = keras.initializers.RandomNormal(0.0, 0.01)
    return keras.layers.Dense(
        classes, activation=activation, kernel_initializer=initializer, dtype="float32", name=name
    )(x)


def pool_and_classify(x, classes: int, activation):
    """Global average pooling, then `classify`: the head of most networks since Network In Network."""
    return classify(pool(x, "avg"), classes, activation)

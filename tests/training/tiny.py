"""A network that is traced in a moment: two convolutions with normalization, and a head; in three groups of layers."""

import keras

from kvision.classifier import Classifier, Origin
from kvision.layers import BatchNormalization


def tiny(classes=2, size=8, activation="softmax", preprocess=None) -> Classifier:
    x = inputs = keras.Input((size, size, 3))
    for name in ("stem", "body"):
        x = keras.layers.Conv2D(4, 3, use_bias=False, name=f"{name}.conv")(x)
        x = keras.layers.Activation("relu", name=f"{name}.relu")(BatchNormalization(0.9, name=f"{name}.bn")(x))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(classes, activation=activation, dtype="float32", name="fc")(x)
    return Classifier(inputs, x, name="tiny", origin=Origin("Tiny", preprocess=preprocess))

"""Keras's own augmentation layers as augmentations of this package: stateless, and in the dtype of the images."""

import keras
import tensorflow as tf

from kvision.data.augmentation.base import Augmentation, rounded

# These would be wrong in silence: labels stay as they are here; AugMix asks Python's random module for its operations,
# once for all batches of a dataset.
INSTEAD = {"MixUp": "kvision.data.Mixup", "CutMix": "kvision.data.CutMix", "AugMix": "kvision.data.AugMix"}


@keras.saving.register_keras_serializable(package="kvision")
class FromKeras(Augmentation):
    """A layer such as `keras.layers.RandomRotation` whose random numbers come from the seed of the call.

    Keras's layers draw from a state that each call changes: on several threads no run is like another. This wrapper
    has a copy of the layer, in float32 and channels last, and answers whenever it asks for its seed generator.
    `RandAugment` of Keras draws its operations once for the batch; `kvision.data.RandAugment` for each image.

    Args:
        layer: an augmentation or preprocessing layer of `keras.layers` that changes images alone.

    Raises:
        ValueError: another layer, or `MixUp`, `CutMix` or `AugMix`: this package has its own.
        TypeError: a layer that does not accept its own configuration: in Keras 3.15 `RandomShear(0.2)`, but not
            `RandomShear((0.0, 0.2))`.
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs):
        super().__init__(**kwargs)
        name = type(layer).__name__
        if not hasattr(layer, "_get_seed_generator"):
            raise ValueError(f"FromKeras takes an image preprocessing layer of keras.layers, got {layer!r}")
        if name in INSTEAD:
            raise ValueError(f"FromKeras takes layers that draw statelessly and keep labels: use {INSTEAD[name]}")
        config = {**layer.get_config(), "dtype": "float32"}
        if "data_format" in config:
            config["data_format"] = "channels_last"
        self.layer = type(layer).from_config(config)
        self._serialized = keras.saving.serialize_keras_object(self.layer)
        for part in self.layer._flatten_layers():  # the layer itself, and what RandAugment and others are made of
            part._get_seed_generator = lambda backend=None: self._keys
        # In a graph the layer computes with TensorFlow on every Keras backend, and is traced by one thread at a time.
        self._traced = tf.function(self._draw, autograph=False)

    def call(self, images, seed):
        return self._traced(images, seed)

    def _draw(self, images, seed):
        self._keys = Keys(seed)
        return rounded(self.layer(tf.cast(images, tf.float32), training=True), images.dtype)

    def get_config(self):
        return {**super().get_config(), "layer": self._serialized}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "layer": keras.saving.deserialize_keras_object(config["layer"])})


class Keys(keras.random.SeedGenerator):
    """A seed generator without a state: the n-th key it gives is made of n and the key that it was given."""

    def __init__(self, key: tf.Tensor):  # not SeedGenerator's, which makes a variable
        self.key, self.drawn = key, 0

    def next(self, ordered=True):
        self.drawn += 1
        return tf.random.experimental.stateless_fold_in(self.key, tf.constant(self.drawn, tf.int64))

"""The base of layers that own a model and decide when it is computed."""

import keras


class Nested(keras.layers.Layer):
    """A layer around a built model: the same variables under the same paths as if its layers stood in the graph.

    The model's layers are named and built before this layer exists, so that weights go back and forth by name between
    a network with this layer and one without. Taps walk in by `layer.model.get_layer(name)`.

    A subclass offers `for_inference()`: a plain model that shares the weights. Export folds inside it, and its
    multiply-adds are those of the layer.

    Args:
        model: a built Functional model.
    """

    def __init__(self, model, **kwargs):
        super().__init__(autocast=False, **kwargs)  # the model's layers cast for themselves
        if not isinstance(model, keras.Model) or not hasattr(model, "operations"):
            raise ValueError(f"`model` is a Functional Keras model. Received: {type(model).__name__}")
        self.model = model

    def build(self, input_shape):
        """The model came built."""

    def values(self):
        """What the model's variables hold now: the trainable ones, and the others (statistics, random states)."""
        trainable, others = self.model.trainable_variables, self.model.non_trainable_variables
        # Copies: on TensorFlow `value` is the variable itself, which would be read at its every use.
        return [keras.ops.copy(variable) for variable in trainable], [keras.ops.copy(variable) for variable in others]

    def keep(self, state):
        """Puts new values into the variables that are not trainable."""
        for variable, value in zip(self.model.non_trainable_variables, state, strict=True):
            variable.assign(value)

    def get_config(self):
        return {**super().get_config(), "model": keras.saving.serialize_keras_object(self.model)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "model": keras.saving.deserialize_keras_object(config["model"])})

"""A part of a network as a model of its own, for the layers that own one."""

from collections.abc import Callable

import keras


def submodel(function: Callable, x, *, name: str) -> keras.Model:
    """The model of `function(x)` on inputs of the shapes and types of x, a tensor or a list of them."""
    inputs = keras.tree.map_structure(lambda tensor: keras.Input(tensor.shape[1:], dtype=tensor.dtype), x)
    return keras.Model(inputs, function(inputs), name=name)

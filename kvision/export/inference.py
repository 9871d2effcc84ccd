"""The same function in fewer operations: batch norms folded away, layers in their inference form, one dtype."""

from dataclasses import dataclass

import keras

from kvision.export import batch_norms
from kvision.export.strides import Strides, move_strides

POOLS = (
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
)


@dataclass(frozen=True)
class Surgery:
    """What is done to a network before it is exported. All of it is exact; each can be left out, to compare.

    Dropout, stochastic depth and the like are gone in any case: they do nothing at inference.

    Args:
        batch_norms: those next to convolutions and dense layers disappear into them (see `batch_norms`).
        strides: positions that nothing reads are not computed (see `strides`).
        layers: those that offer `for_inference()` are replaced by what it gives: standardised kernels are worked out
            once, models inside layers are opened, and treated in the same way.
    """

    batch_norms: bool = True
    strides: bool = True
    layers: bool = True


def for_inference(model: keras.Model, dtype: str = "float32", surgery: Surgery | None = None) -> keras.Model:
    """A copy of a Functional model that answers the same, faster; the model itself is left as it is.

    Models inside the model, such as the columns of a committee, are treated in the same way. In float32 the copy is
    equal within 1e-5 of the largest logit.

    Args:
        model: a Functional model, such as a Classifier, or a built Sequential one.
        dtype: "float32", "bfloat16" or "float16", of weights and computation. Global pooling and the layers that give
            the model's outputs compute in float32 always; batch norms that stay keep their statistics in it.
        surgery: what is done; None is all of it.

    Raises:
        ValueError: another dtype, or a model that is not Functional.
    """
    if dtype not in ("float32", "bfloat16", "float16"):
        raise ValueError(f'`dtype` is "float32", "bfloat16" or "float16". Received: {dtype!r}')
    model, surgery = functional(model), surgery or Surgery()
    folds = batch_norms.find(model) if surgery.batch_norms else batch_norms.Folds()
    folded, norms = folds.layers, folds.norms
    moved = move_strides(model) if surgery.strides else Strides()
    outputs = {id(tensor._keras_history.operation) for tensor in model.outputs}
    originals = {}

    def inference_form(layer):
        wanted = surgery.layers or id(layer) in moved.layers  # a matrix product has no strides
        return layer.for_inference() if wanted and hasattr(layer, "for_inference") else layer

    def precision(layer) -> str:
        if isinstance(layer, POOLS) or id(layer) in outputs or dtype == "float32":
            return "float32"
        return f"mixed_{dtype}" if isinstance(layer, keras.layers.BatchNormalization) else dtype

    def clone(layer):
        copy = layer  # an operation of keras.ops has no state
        graph = inference_form(layer)
        if _is_graph(graph):
            copy = for_inference(graph, dtype, surgery)
        elif isinstance(layer, keras.layers.Layer):
            changes = {"dtype": precision(layer)}
            if id(layer) in folded:
                changes["use_bias"] = True
            config = layer.get_config()
            changes |= {key: "zeros" for key in config if key.endswith("kernel_initializer")}  # overwritten below
            copy = type(layer).from_config({**config, **changes})
            copy = copy if graph is layer else copy.for_inference()
            if id(layer) in moved.layers:
                strides = {"strides": moved.layers[id(layer)], "padding": "valid"}
                copy = type(copy).from_config({**copy.get_config(), **strides})
        originals[id(copy)] = layer
        return copy

    def call(copy, *args, **kwargs):
        layer = originals[id(copy)]
        if id(layer) in moved.layers and max(layer.kernel_size) > 1:
            padding = [(size - 1) // 2 for size in layer.kernel_size]
            args = (keras.layers.ZeroPadding2D(padding, dtype=copy.dtype_policy)(args[0]),)
        strides = {place: stride for (of, place), stride in moved.inputs.items() if of == id(layer)}
        if strides:
            tensors = keras.tree.flatten(args)
            for place, stride in strides.items():  # a pooling over one pixel: twenty times faster than slicing
                tensors[place] = keras.layers.MaxPooling2D(1, stride, dtype=copy.dtype_policy)(tensors[place])
            args = keras.tree.pack_sequence_as(args, tensors)
        return args[0] if id(layer) in norms else copy(*args, **kwargs)

    inference = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for copy in inference.layers:
        layer = originals.get(id(copy))
        if layer is not None and layer.weights and not _is_graph(copy):
            weights = getattr(layer, "inference_weights", None) if surgery.layers else None
            copy.set_weights(folds.weights(layer) if id(layer) in folded else (weights or layer.get_weights)())
    return inference


def functional(model: keras.Model) -> keras.Model:
    """The model itself, or the Functional one of a built Sequential.

    Raises:
        ValueError: another kind of model.
    """
    if isinstance(model, keras.Sequential) and model.built:
        return keras.Model(model.inputs, model.outputs, name=model.name)
    if not isinstance(model, keras.Model) or not hasattr(model, "operations"):
        raise ValueError(f"A Functional Keras model is needed. Received: {type(model).__name__}")
    return model


def _is_graph(layer) -> bool:
    return isinstance(layer, keras.Sequential) or (isinstance(layer, keras.Model) and hasattr(layer, "operations"))

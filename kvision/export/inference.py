"""The same function in fewer operations: batch norms folded away, layers in their inference form, one dtype."""

import keras
import numpy as np

from kvision.export.strides import CONVOLUTIONS, move_strides

LINEAR = (*CONVOLUTIONS, keras.layers.DepthwiseConv2D, keras.layers.Dense)
POOLS = (
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
)


def for_inference(model: keras.Model, dtype: str = "float32") -> keras.Model:
    """A copy of a Functional model that answers the same, faster; the model itself is left as it is.

    - A batch norm disappears into the convolution or dense layer before it, where that is exact: the layer is linear,
      called once, and read by that norm alone. Scales are worked out in float64.
    - Positions that nothing reads are not computed (see `strides`).
    - Layers that offer `for_inference()` are replaced by what it gives, with the same weights or those that they offer
      as `inference_weights()`.
    - Models inside the model, such as the columns of a committee or what such a layer gives, are treated in the same
      way.

    In float32 the copy is equal within 1e-5 of the largest logit.

    Args:
        model: a Functional model, such as a Classifier, or a built Sequential one.
        dtype: "float32", "bfloat16" or "float16", of weights and computation. Global pooling and the layers that give
            the model's outputs compute in float32 always.

    Raises:
        ValueError: another dtype, or a model that is not Functional.
    """
    if dtype not in ("float32", "bfloat16", "float16"):
        raise ValueError(f'`dtype` is "float32", "bfloat16" or "float16". Received: {dtype!r}')
    if isinstance(model, keras.Sequential) and model.built:
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    if not isinstance(model, keras.Model) or not hasattr(model, "operations"):
        raise ValueError(f"A Functional Keras model is needed. Received: {type(model).__name__}")
    producers = {id(producer): norm for producer, norm in foldable(model)}
    norms = {id(norm) for norm in producers.values()}
    moved = move_strides(model)
    outputs = {id(tensor._keras_history.operation) for tensor in model.outputs}
    originals = {}

    def clone(layer):
        copy = layer  # an operation of keras.ops has no state
        graph = layer.for_inference() if hasattr(layer, "for_inference") else layer
        if _is_graph(graph):
            copy = for_inference(graph, dtype)
        elif isinstance(layer, keras.layers.Layer):
            changes = {"dtype": "float32" if isinstance(layer, POOLS) or id(layer) in outputs else dtype}
            if id(layer) in producers:
                changes["use_bias"] = True
            config = layer.get_config()
            changes |= {key: "zeros" for key in config if key.endswith("kernel_initializer")}  # overwritten below
            copy = type(layer).from_config({**config, **changes})
            copy = copy.for_inference() if hasattr(copy, "for_inference") else copy
            if id(layer) in moved.layers:
                strides = {"strides": moved.layers[id(layer)], "padding": "valid"}
                copy = type(copy).from_config({**copy.get_config(), **strides})
        originals[id(copy)] = layer
        return copy

    def call(copy, *args, **kwargs):
        layer = originals[id(copy)]
        if id(layer) in norms:
            return args[0]
        if id(layer) in moved.layers and max(layer.kernel_size) > 1:
            padding = [(size - 1) // 2 for size in layer.kernel_size]
            args = (keras.layers.ZeroPadding2D(padding, dtype=copy.dtype_policy)(args[0]),)
        strides = {place: stride for (of, place), stride in moved.inputs.items() if of == id(layer)}
        if strides:
            tensors = keras.tree.flatten(args)
            for place, stride in strides.items():  # a pooling over one pixel: twenty times faster than slicing
                tensors[place] = keras.layers.MaxPooling2D(1, stride, dtype=copy.dtype_policy)(tensors[place])
            args = keras.tree.pack_sequence_as(args, tensors)
        return copy(*args, **kwargs)

    inference = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for copy in inference.layers:
        layer = originals.get(id(copy))
        if layer is not None and layer.weights and not _is_graph(copy):
            norm = producers.get(id(layer))
            weights = getattr(layer, "inference_weights", layer.get_weights)
            copy.set_weights(weights() if norm is None else _folded(layer, norm))
    return inference


def _is_graph(layer) -> bool:
    return isinstance(layer, keras.Sequential) or (isinstance(layer, keras.Model) and hasattr(layer, "operations"))


def foldable(model: keras.Model) -> list[tuple[keras.layers.Layer, keras.layers.BatchNormalization]]:
    """Pairs of a linear layer and the batch norm that can be folded into it."""
    calls, readers = {}, {}
    nodes = [node for nodes in model._nodes_by_depth.values() for node in nodes]
    for node in nodes:
        calls[id(node.operation)] = calls.get(id(node.operation), 0) + 1
        for tensor in node.input_tensors:
            readers.setdefault(id(tensor), []).append(node.operation)
    outputs = {id(tensor) for tensor in model.outputs}
    pairs = []
    for node in nodes:  # not `norm.input`, which may be another model's
        norm = node.operation
        if not isinstance(norm, keras.layers.BatchNormalization) or calls[id(norm)] != 1 or norm.renorm:
            continue
        (tensor,) = node.input_tensors
        producer = tensor._keras_history.operation
        if (
            type(producer) in LINEAR
            and producer.activation is keras.activations.linear
            and calls[id(producer)] == 1
            and readers[id(tensor)] == [norm]
            and id(tensor) not in outputs
            and norm.axis in (-1, len(tensor.shape) - 1)
        ):
            pairs.append((producer, norm))
    return pairs


def _folded(layer, norm) -> list[np.ndarray]:
    """Kernel and bias of `norm(layer(x))` as one linear layer, with the moving statistics."""

    def exact(variable, default):
        return default if variable is None else keras.ops.convert_to_numpy(variable).astype("float64")

    kernel = exact(layer.kernel, None)
    scale = exact(norm.gamma, 1.0) / np.sqrt(exact(norm.moving_variance, None) + norm.epsilon)
    bias = exact(norm.beta, 0.0) + (exact(layer.bias, 0.0) - exact(norm.moving_mean, None)) * scale
    # A depthwise kernel ends in (C, multiplier), whose product is the output's channels; the others in the channels.
    channels = kernel.shape[-2:] if isinstance(layer, keras.layers.DepthwiseConv2D) else kernel.shape[-1:]
    return [kernel * scale.reshape(channels), bias]

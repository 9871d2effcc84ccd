"""The same function in fewer operations: batch norms folded away, layers in their inference form, one dtype."""

import keras
import numpy as np

LINEAR = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)


def for_inference(model: keras.Model, dtype: str = "float32") -> keras.Model:
    """A copy of a Functional model that answers the same, faster; the model itself is left as it is.

    A batch norm disappears into the convolution or dense layer before it, where that is exact: the layer is linear,
    called once, and read by that norm alone. Layers that offer `for_inference()` are replaced by what it gives.
    Scales are worked out in float64: in float32 the copy is equal within 1e-5 of the largest logit.

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
    folds = foldable(model)
    folded = {id(norm): producer for producer, norm in folds}
    producers = {id(producer): norm for producer, norm in folds}
    exact = {id(tensor._keras_history.operation) for tensor in model.outputs}

    def clone(layer):
        if not isinstance(layer, keras.layers.Layer):
            return layer  # an operation of keras.ops has no state
        if id(layer) in folded:
            return keras.layers.Identity(name=layer.name)
        pools = isinstance(layer, (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D))
        changes = {"dtype": "float32" if pools or id(layer) in exact else dtype}
        if id(layer) in producers:
            changes["use_bias"] = True
        copy = type(layer).from_config({**layer.get_config(), **changes})
        return copy.for_inference() if hasattr(copy, "for_inference") else copy

    copies = {}

    def remembered(layer):
        copies[id(layer)] = clone(layer)
        return copies[id(layer)]

    def call(layer, *args, **kwargs):
        return args[0] if isinstance(layer, keras.layers.Identity) and layer.name in norms else layer(*args, **kwargs)

    norms = {norm.name for _, norm in folds}
    copy = keras.models.clone_model(model, clone_function=remembered, call_function=call)
    for layer in model.layers:
        if id(layer) in producers:
            copies[id(layer)].set_weights(_folded(layer, producers[id(layer)]))
        elif id(layer) not in folded and layer.weights:
            copies[id(layer)].set_weights(layer.get_weights())
    return copy


def foldable(model: keras.Model) -> list[tuple[keras.layers.Layer, keras.layers.BatchNormalization]]:
    """Pairs of a linear layer and the batch norm that can be folded into it."""
    calls, readers = {}, {}
    for node in (node for nodes in model._nodes_by_depth.values() for node in nodes):
        calls[id(node.operation)] = calls.get(id(node.operation), 0) + 1
        for tensor in node.input_tensors:
            readers.setdefault(id(tensor), []).append(node.operation)
    outputs = {id(tensor) for tensor in model.outputs}
    pairs = []
    for norm in model.layers:
        if not isinstance(norm, keras.layers.BatchNormalization) or calls[id(norm)] != 1 or norm.renorm:
            continue
        tensor = norm.input
        producer = tensor._keras_history.operation
        if (
            isinstance(producer, LINEAR)
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

"""Multiply-adds of a model, counted over its graph: the cost that papers report beside the number of parameters."""

import inspect
import math
from functools import partial, singledispatch

import keras
from keras import tree
from keras.src.layers.convolutional.base_conv import BaseConv
from keras.src.layers.convolutional.base_conv_transpose import BaseConvTranspose
from keras.src.layers.convolutional.base_depthwise_conv import BaseDepthwiseConv
from keras.src.layers.convolutional.base_separable_conv import BaseSeparableConv
from keras.src.ops import nn, numpy


def count_macs(model: keras.Model, input_shape: tuple[int, ...] | None = None) -> int:
    """Multiply-adds of one forward pass on one example.

    Counted: convolutions, dense and einsum layers, attention, and the operations of `keras.ops` that multiply matrices
    or convolve. A shared layer counts at every call, a nested model as its layers, and so does a layer whose
    `for_inference()` is a model. Free: biases, activations, normalizations, poolings, elementwise products, look-ups,
    and any other layer without matrices among its weights. Padding counts as data does. A subclass costs what its base
    class does.

    A layer with a mechanism of its own says what it costs by a method `count_macs(input_shape) -> int`, which is asked
    before any rule here. It receives one shape, with a batch of 1, for each argument of its `call` that holds a tensor,
    in the order of the signature (a list of shapes, where the argument is a list of tensors).

    Args:
        model: Functional or Sequential, or any other with a method `count_macs(input_shape)`.
        input_shape: `(H, W, C)`, or whatever follows the batch in the shape of the model's only input. None takes the
            model's own. Shapes alone go through the graph: nothing is built or allocated.

    Returns:
        The count. VGG-16 at 224 x 224 has 15,470,264,320.

    Raises:
        ValueError: the shape is not fully known, or does not fit the model.
        TypeError: a layer with matrices among its weights that has neither a rule here nor a `count_macs`.
    """
    inputs = model.inputs if getattr(model, "inputs", None) else [keras.KerasTensor((None,) * 4)]
    shapes = [tensor.shape[1:] for tensor in inputs]
    if input_shape is not None:
        if len(inputs) > 1:
            raise ValueError(f"`input_shape` is for models with one input. '{model.name}' has {len(inputs)}.")
        shapes = [tuple(input_shape)]
    if any(size is None for shape in shapes for size in shape):
        raise ValueError(
            f"The multiply-adds of '{model.name}' depend on the size of its input: pass input_shape=(H, W, C), "
            f"without None. Received: {shapes[0]}"
        )
    counter = _Counter()
    specs = [keras.KerasTensor((1, *shape), tensor.dtype) for shape, tensor in zip(shapes, inputs, strict=True)]
    counter.call(model, specs if len(specs) > 1 else specs[0])
    return counter.macs


class _Counter:
    """Runs a graph on shapes alone, the way Keras infers shapes, and adds up what every call costs."""

    def __init__(self):
        self.macs = 0

    def call(self, operation, *args, **kwargs):
        first = [*args, *kwargs.values()][0]
        own = getattr(operation, "count_macs", None)
        if own is None and isinstance(inference := _for_inference(operation), keras.Model):
            operation = inference
        graph = getattr(operation, "_functional", operation)  # where a Sequential model keeps its graph
        if own is None and isinstance(graph, keras.Function):
            return graph._run_through_graph(first, operation_fn=lambda inner: partial(self.call, inner))
        if isinstance(operation, keras.layers.Layer):
            operation._assert_input_compatibility(first)  # a Dense on the wrong size infers a shape without complaint
        if isinstance(operation, keras.layers.EinsumDense):  # its own answer keeps the None of `output_shape=(None, 5)`
            output = numpy.Einsum(operation.equation).compute_output_spec(first, operation.kernel)
        else:
            output = operation.compute_output_spec(*args, **kwargs)
        inputs = inspect.signature(operation.call).bind(*args, **kwargs).arguments
        try:
            self.macs += own(*_shapes(inputs)) if own else _cost(operation, inputs, output)
        except _Unknown as size:
            raise ValueError(
                f"The multiply-adds of '{operation.name}' ({type(operation).__name__}) need static shapes. "
                f"Received: a shape {size} for an input of {list(_shapes(inputs))}"
            ) from None
        return output


def _for_inference(operation):
    """What stands for a layer in inference, where it has another form."""
    return operation.for_inference() if hasattr(operation, "for_inference") else operation


class _Unknown(Exception):
    """A shape with None in it."""


def _size(tensor) -> int:
    if None in tensor.shape:
        raise _Unknown(tensor.shape)
    return math.prod(tensor.shape)


def _shapes(inputs: dict) -> list:
    """The shapes of the arguments that hold tensors."""
    held = [value for value in inputs.values() if any(hasattr(x, "shape") for x in tree.flatten(value))]
    return [tree.map_structure(lambda x: tuple(x.shape), value) for value in held]


@singledispatch
def _cost(operation, inputs: dict, output) -> int:
    """Multiply-adds of one call: `inputs` are the arguments of `call` by name, `output` what it returns."""
    if isinstance(operation, keras.layers.Layer) and any(len(weight.shape) > 1 for weight in operation.weights):
        matrices = [f"{weight.name} {tuple(weight.shape)}" for weight in operation.weights if len(weight.shape) > 1]
        raise TypeError(
            f"No rule counts the multiply-adds of layer '{operation.name}' ({type(operation).__name__}, with "
            f"{', '.join(matrices)}). Give it a method `count_macs(input_shape) -> int`."
        )
    return 0


@_cost.register(keras.layers.Embedding)
@_cost.register(keras.layers.PReLU)
@_cost.register(keras.layers.LayerNormalization)
@_cost.register(keras.layers.Normalization)
def _free(layer, inputs, output):
    """Weights of any rank, but only looked up, added or multiplied elementwise."""
    return 0


@_cost.register
def _conv(layer: BaseConv, inputs, output):
    return _size(output) * math.prod(layer.kernel.shape[:-1])  # (*k, C / groups, filters)


@_cost.register
def _conv_transpose(layer: BaseConvTranspose, inputs, output):
    return _size(inputs["inputs"]) * math.prod(layer.kernel.shape[:-1])  # (*k, filters, C)


@_cost.register
def _depthwise_conv(layer: BaseDepthwiseConv, inputs, output):
    return _size(output) * math.prod(layer.kernel.shape[:-2])  # (*k, C, multiplier)


@_cost.register
def _separable_conv(layer: BaseSeparableConv, inputs, output):
    pixels = _size(output) // layer.filters
    return pixels * (math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape))


@_cost.register
def _dense(layer: keras.layers.Dense, inputs, output):
    return _size(output) * layer.kernel.shape[0]


@_cost.register
def _einsum_dense(layer: keras.layers.EinsumDense, inputs, output):
    return _einsum(layer.equation, [inputs["inputs"], layer.kernel], output)


@_cost.register
def _dot_layer(layer: keras.layers.Dot, inputs, output):
    return _contraction(*inputs["inputs"], output)


@_cost.register
def _attention(layer: keras.layers.Attention, inputs, output):
    query, value, *key = inputs["inputs"]
    pairs = _size(query) // query.shape[-1] * value.shape[-2]
    scores = (key[0] if key else value).shape[-1] if layer.score_mode == "dot" else 0  # else additive: sum of tanh
    return pairs * (scores + value.shape[-1])


@_cost.register
def _additive_attention(layer: keras.layers.AdditiveAttention, inputs, output):
    query, value, *_ = inputs["inputs"]
    return _size(query) // query.shape[-1] * value.shape[-2] * value.shape[-1]


@_cost.register
def _multi_head_attention(layer: keras.layers.MultiHeadAttention, inputs, output):
    query, value = inputs["query"], inputs["value"]
    key = value if inputs.get("key") is None else inputs["key"]
    projections = [(query, layer.query_dense), (key, layer.key_dense), (value, layer.value_dense)]
    projections += [(query, layer.output_dense)] + ([(query, layer._gate_dense)] if layer._use_gate else [])
    positions = _size(query) // query.shape[-1]
    attended = math.prod(key.shape[axis] for axis in layer.attention_axes)
    return positions * attended * layer.num_heads * (layer.key_dim + layer.value_dim) + sum(
        _size(x) // x.shape[-1] * math.prod(dense.kernel.shape) for x, dense in projections
    )


@_cost.register
def _matmul(operation: numpy.Matmul, inputs, output):
    return _size(output) * inputs["x1"].shape[-1]


@_cost.register(numpy.Dot)
@_cost.register(numpy.Inner)
@_cost.register(numpy.Vdot)
@_cost.register(numpy.Tensordot)
def _tensordot(operation, inputs, output):
    return _contraction(*inputs.values(), output)


@_cost.register
def _einsum_op(operation: numpy.Einsum, inputs, output):
    return _einsum(operation.subscripts, inputs["operands"], output)


@_cost.register
def _conv_op(operation: nn.Conv, inputs, output):
    return _size(output) * math.prod(inputs["kernel"].shape[:-1])


@_cost.register
def _conv_transpose_op(operation: nn.ConvTranspose, inputs, output):
    return _size(inputs["inputs"]) * math.prod(inputs["kernel"].shape[:-1])


@_cost.register
def _depthwise_conv_op(operation: nn.DepthwiseConv, inputs, output):
    return _size(output) * math.prod(inputs["kernel"].shape[:-2])


@_cost.register
def _dot_product_attention(operation: nn.DotProductAttention, inputs, output):
    return 2 * _size(inputs["query"]) * inputs["key"].shape[-3]  # (B, T, heads, dim) and (B, S, heads, dim)


def _contraction(x1, x2, output) -> int:
    """Of (A, K) and (K, B) to (A, B), each of A, B, K any number of axes: A K B = sqrt(AK KB AB)."""
    return math.isqrt(_size(x1) * _size(x2) * _size(output))


def _einsum(equation: str, operands, output) -> int:
    """One product per output element and per value of the contracted letters; elementwise, without any, it is free."""
    terms, _, result = equation.replace(" ", "").partition("->")
    terms = terms.split(",")
    if len(terms) > 2:
        raise TypeError(f"The multiply-adds of an einsum of more than two operands depend on their order: {equation!r}")
    sizes = {}
    for term, operand in zip(terms, operands, strict=True):
        head, _, tail = term.partition("...")
        sizes |= dict(zip(head, operand.shape, strict=False))
        sizes |= dict(zip(reversed(tail), reversed(operand.shape), strict=False))
    # A letter of one operand alone that the output lacks is summed over before the product.
    contracted = [sizes[letter] for letter in set(terms[0]) & set(terms[-1]) - set(result) - {"."}]
    return _size(output) * math.prod(contracted) if contracted and len(terms) == 2 else 0

"""Batch norms that disappear into their neighbours: with moving statistics they are linear, as convolutions are."""

from dataclasses import dataclass, field

import keras
import numpy as np

from kvision.export.strides import CONVOLUTIONS

LINEAR = (*CONVOLUTIONS, keras.layers.DepthwiseConv2D, keras.layers.Dense)
"""Exactly these: a subclass may do something else with its kernel."""


@dataclass
class Folds:
    """Which batch norms disappear, and where to. Keys are `id`s of layers of the model.

    Args:
        after: of a linear layer, the norm of its output.
        before: of a linear layer, the norm of its input.
    """

    after: dict[int, keras.layers.Layer] = field(default_factory=dict)
    before: dict[int, keras.layers.Layer] = field(default_factory=dict)

    @property
    def norms(self) -> set[int]:
        return {id(norm) for norm in (*self.after.values(), *self.before.values())}

    @property
    def layers(self) -> set[int]:
        return {*self.after, *self.before}

    def weights(self, layer) -> list[np.ndarray]:
        """Kernel and bias of the linear layer that does what this one and its norms did, worked out in float64."""
        kernel, bias = _exact(layer.kernel), _exact(layer.bias, 0.0)
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)  # its kernel ends in (C, multiplier)
        if id(layer) in self.before:
            scale, offset = _affine(self.before[id(layer)])
            if not depthwise:  # ends in (C / groups, filters), and each group of filters sees channels of its own
                groups = getattr(layer, "groups", 1)
                scale, offset = (
                    np.repeat(values.reshape(groups, -1).T, kernel.shape[-1] // groups, axis=1)
                    for values in (scale, offset)
                )
            else:
                scale, offset = scale[:, None], offset[:, None]
            summed = (0, 1) if depthwise else tuple(range(kernel.ndim - 1))
            bias = bias + (kernel * offset).sum(summed).ravel()
            kernel = kernel * scale
        if id(layer) in self.after:
            scale, offset = _affine(self.after[id(layer)])
            kernel = kernel * scale.reshape(kernel.shape[-2:] if depthwise else -1)
            bias = offset + bias * scale
        return [kernel, bias]


def find(model: keras.Model) -> Folds:
    """The batch norms of a model that can be folded exactly.

    One after a linear layer, where nothing else reads that layer. One before linear layers, where nothing else reads
    the norm, and where they pad with no zeros: those would stand for what the norm makes of zeros.
    """
    calls, readers = {}, {}
    nodes = [node for nodes in model._nodes_by_depth.values() for node in nodes]
    for node in nodes:
        calls[id(node.operation)] = calls.get(id(node.operation), 0) + 1
        for tensor in node.input_tensors:
            readers.setdefault(id(tensor), []).append(node.operation)
    outputs, folds = {id(tensor) for tensor in model.outputs}, Folds()

    def linear(layer) -> bool:
        last = getattr(layer, "data_format", "channels_last") == "channels_last"
        return type(layer) in LINEAR and calls[id(layer)] == 1 and last

    for node in nodes:  # not `norm.input`, which may be another model's
        norm = node.operation
        if not isinstance(norm, keras.layers.BatchNormalization) or calls[id(norm)] != 1 or norm.renorm:
            continue
        (before,), (after,) = node.input_tensors, node.output_tensors
        if norm.axis not in (-1, len(before.shape) - 1):
            continue
        producer = before._keras_history.operation
        followers = readers.get(id(after), [])
        if (
            linear(producer)
            and producer.activation is keras.activations.linear
            and readers[id(before)] == [norm]
            and id(before) not in outputs
        ):
            folds.after[id(producer)] = norm
        elif followers and id(after) not in outputs and all(linear(layer) and _unpadded(layer) for layer in followers):
            folds.before |= {id(layer): norm for layer in followers}
    return folds


def _unpadded(layer) -> bool:
    return isinstance(layer, keras.layers.Dense) or layer.padding == "valid" or set(layer.kernel_size) == {1}


def _affine(norm) -> tuple[np.ndarray, np.ndarray]:
    """Scale and offset `(C,)` of a norm with its moving statistics."""
    mean, variance = _exact(norm.moving_mean), _exact(norm.moving_variance)
    scale = _exact(norm.gamma, 1.0) / np.sqrt(variance + norm.epsilon)
    return scale, _exact(norm.beta, 0.0) - mean * scale


def _exact(variable, default=None):
    return default if variable is None else keras.ops.convert_to_numpy(variable).astype("float64")

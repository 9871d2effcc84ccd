"""A whole graph in less memory: Chen, Xu, Zhang & Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016.

arXiv:1604.06174.
"""

import math
from itertools import pairwise

import keras
import numpy as np
from keras import tree

from kvision.layers.recomputed import Recomputed

SIZE = 224
"""Where height or width of the input are unknown, the pixels that sizes of tensors are weighed at."""


class RecomputedGraph:
    """A Functional model's forward pass in training, cut into segments; what is inside them is computed twice.

    What segments hand to each other is kept for the backward pass, and each segment is `Recomputed` (section 3), but
    for the last one, whose backward pass comes next. The cuts make the memory at its highest the least: all that is
    kept up to a segment, and all that is inside it, in bytes of the outputs of its operations. The paper makes all
    segments as large (Algorithm 3); here the first are larger, since little else is kept by then.

    The model stays as it is, and its weights are trained: the same outputs, gradients, statistics and random numbers.

    Args:
        model: Functional. It may have several inputs and outputs, and more than one tensor may run side by side.

    Raises:
        ValueError: the model is too short: computing any part of it twice saves nothing.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        levels = [model._nodes_by_depth[depth] for depth in sorted(model._nodes_by_depth, reverse=True)]
        levels = [[node for node in level if not node.is_input] for level in levels]
        levels = [level for level in levels if level]
        cuts = _cuts(*_bytes(model, levels))
        if not cuts:
            raise ValueError(
                f"'{model.name}' saves no memory by recomputation: of its {sum(map(len, levels))} operations no first "
                "part could be computed twice without keeping as much. Build it without."
            )
        parts = [[node for level in levels[a:b] for node in level] for a, b in pairwise([0, *cuts, len(levels)])]
        self.segments = [_Segment(part, parts[place + 1 :], model.outputs) for place, part in enumerate(parts)]

    def __call__(self, inputs):
        """What the model gives for the inputs in training."""
        specs = self._model.inputs
        tensors = [keras.ops.convert_to_tensor(x, s.dtype) for x, s in zip(tree.flatten(inputs), specs, strict=True)]
        values = dict(zip(map(id, specs), tensors, strict=True))
        for segment in self.segments:
            segment(values)
        return tree.pack_sequence_as(self._model.output, [values[id(tensor)] for tensor in self._model.outputs])


class _Segment:
    """The nodes of a part of a graph as a model of its own, which reads tensors of earlier parts and gives its own."""

    def __init__(self, nodes, later, outputs):
        given = {id(tensor): tensor for node in nodes for tensor in node.outputs}
        wanted = {id(tensor) for part in later for node in part for tensor in node.input_tensors}
        wanted |= {id(tensor) for tensor in outputs}
        read = {id(tensor): tensor for node in nodes for tensor in node.input_tensors}
        self._reads = [key for key in read if key not in given]
        self._gives = [key for key in given if key in wanted]
        inputs = [keras.Input(batch_shape=read[key].shape, dtype=read[key].dtype) for key in self._reads]
        tensors = dict(zip(self._reads, inputs, strict=True))
        for node in nodes:
            args, kwargs = node.arguments.fill_in(tensors)
            results = tree.flatten(node.operation(*args, **kwargs))
            tensors.update(zip(map(id, node.outputs), results, strict=True))
        model = keras.Model(inputs, [tensors[key] for key in self._gives])
        self.layer = Recomputed(model) if later else model

    def __call__(self, values: dict) -> None:
        """Adds the tensors that it gives to the values of those before it, by the `id` of what stands for them."""
        outputs = self.layer([values[key] for key in self._reads], training=True)
        values.update(zip(self._gives, tree.flatten(outputs), strict=True))


def _bytes(model, levels) -> tuple[np.ndarray, np.ndarray]:
    """How much the first k levels of a graph put out, and how much of it is read behind them, for one example."""
    tensors = {id(tensor): tensor for tensor in model.inputs}
    tensors |= {id(tensor): tensor for level in levels for node in level for tensor in node.outputs}
    sizes = dict(zip(tensors, map(_size, _known(model, list(tensors.values()))), strict=True))
    born = {key: 0 for key in tensors}
    read = dict(born)
    for place, level in enumerate(levels):
        for node in level:
            read |= {id(tensor): place for tensor in node.input_tensors}
            born |= {id(tensor): place + 1 for tensor in node.outputs}
    read |= {id(tensor): len(levels) for tensor in model.outputs}
    put_out, alive = np.zeros(len(levels) + 1), np.zeros(len(levels) + 2)
    for key, size in sizes.items():
        put_out[born[key]] += size
        if read[key] >= born[key]:
            alive[born[key]] += size
            alive[read[key] + 1] -= size
    put_out[0] = 0  # the model's inputs
    return np.cumsum(put_out), np.cumsum(alive)[:-1]


def _known(model, tensors) -> list:
    """The tensors with heights and widths, if need be those of an input of SIZE."""
    if not any(size is None for tensor in tensors for size in tensor.shape[1:]):
        return tensors
    inputs = [keras.KerasTensor((1, *(size or SIZE for size in x.shape[1:])), x.dtype) for x in model.inputs]
    return keras.Function(model.inputs, tensors).compute_output_spec(inputs)


def _size(tensor) -> int:
    dtype = "float16" if tensor.dtype == "bfloat16" else tensor.dtype  # as wide; NumPy has no bfloat16
    return math.prod(size or 1 for size in tensor.shape[1:]) * np.dtype(dtype).itemsize


def _cuts(put_out: np.ndarray, alive: np.ndarray) -> list[int]:
    """Before which levels to cut, from first to last, so that memory at its highest is least (within 1 %)."""
    low, high, best = 0.0, put_out[-1] + alive[0], []
    while high - low > 0.01 * high:
        most = (low + high) / 2
        cuts = _cuts_within(most, put_out, alive)
        low, high, best = (most, high, best) if cuts is None else (low, most, cuts)
    return best


def _cuts_within(most: float, put_out: np.ndarray, alive: np.ndarray) -> list[int] | None:
    """Cuts with which memory stays within `most`, and which keep the least, or None."""
    kept, before = np.full(len(put_out), np.inf), np.zeros(len(put_out), int)
    kept[0] = alive[0]
    for level in range(1, len(put_out)):
        fits = kept[:level] + put_out[level] - put_out[:level] <= most
        if fits.any():
            before[level] = np.where(fits, kept[:level], np.inf).argmin()
            kept[level] = kept[before[level]] + alive[level]
    if not fits.any():
        return None
    cut = int(fits.argmax())  # the last segment, which is computed once, is as long as can be
    cuts = []
    while cut:
        cuts.insert(0, cut)
        cut = int(before[cut])
    return cuts

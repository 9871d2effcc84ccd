"""Residual networks as ensembles of paths: Veit, Wilber & Belongie, NIPS 2016, arXiv:1605.06431.

Figure 1 is `paths`, the lesions of section 4.1 and 4.2 are `without`, the shuffling of section 4.2 is `permuted`.
Nothing is trained or copied: the networks that are made share the layers of the network that they are made from.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import keras


@dataclass(frozen=True)
class Block:
    """A residual block of a network: an addition, and what leads to it.

    Args:
        name: of the addition.
        shortcut: which of its two inputs comes by the shortcut.
        branch: the operations that only the other input goes through, first to last.
    """

    name: str
    shortcut: int
    branch: tuple[keras.Operation, ...]


def blocks(model: keras.Model) -> list[Block]:
    """The residual blocks of a Functional model, in the order that a signal meets them.

    A block is an `Add` of two tensors. What leads to both has been before the block; of what leads to one of them
    alone, the branch is the longer, and the shortcut the shorter: nothing at all, or a projection.

    Raises:
        ValueError: the model has no graph.
    """
    if not isinstance(model, keras.Function):
        raise ValueError(f"Blocks are found in the graph of a Functional model. Received: {type(model).__name__}")
    before, found = {}, []  # what leads to each node of the graph, itself included
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            leading = [before[_node(tensor)] for tensor in node.input_tensors]
            before[node] = frozenset({node}).union(*leading)
            if isinstance(node.operation, keras.layers.Add) and len(leading) == 2 and leading[0] != leading[1]:
                alone = [leading[0] - leading[1], leading[1] - leading[0]]
                shortcut = int(len(alone[1]) < len(alone[0]))
                branch = tuple(step.operation for step in before if step in alone[1 - shortcut])
                found.append(Block(node.operation.name, shortcut, branch))
    return found


def _node(tensor: keras.KerasTensor):
    """The call that a tensor comes from. A layer has one of them in each network that it is part of."""
    operation, place, _ = tensor._keras_history
    return operation._inbound_nodes[place]


def paths(model: keras.Model) -> Iterator[tuple[str, ...]]:
    """All 2^n paths through n blocks, short ones first: the names of the blocks whose branches a path goes through.

    `math.comb(n, k)` of them have the length k: the lengths are distributed as Binomial(n, 1/2).
    """
    names = [block.name for block in blocks(model)]
    return itertools.chain.from_iterable(itertools.combinations(names, length) for length in range(len(names) + 1))


def without(model: keras.Model, names: Sequence[str]) -> keras.Model:
    """The network with these blocks deleted: of a block, only its shortcut is left, be it identity or projection.

    Raises:
        ValueError: a name that no block has.
    """
    known = {block.name: block for block in blocks(model)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"'{model.name}' has the blocks {list(known)}. Received: {unknown}")

    def call(operation, *args, **kwargs):
        if operation.name in names:
            return args[0][known[operation.name].shortcut]
        return operation(*args, **kwargs)

    return _rebuilt(model, call)


def permuted(model: keras.Model, order: Sequence[int]) -> keras.Model:
    """The network with its blocks in another order: at place i stands the block that stood at `order[i]`.

    Raises:
        ValueError: `order` does not name every block once, or exchanges blocks of different structure, such as those of
            different stages.
    """
    found = blocks(model)
    if sorted(order) != list(range(len(found))):
        raise ValueError(f"`order` names each of the {len(found)} blocks once, from 0. Received: {list(order)}")
    standing = {}
    for old, new in zip(found, (found[place] for place in order), strict=True):
        if [_structure(step) for step in old.branch] != [_structure(step) for step in new.branch]:
            raise ValueError(f"{new.name!r} cannot stand in the place of {old.name!r}: their layers differ.")
        standing.update(zip(old.branch, new.branch, strict=True))
    return _rebuilt(model, lambda operation, *args, **kwargs: standing.get(operation, operation)(*args, **kwargs))


def _structure(operation: keras.Operation):
    """What two operations have in common that can stand in each other's place."""
    config = {key: value for key, value in operation.get_config().items() if key != "name"}
    return type(operation), config, [weight.shape for weight in getattr(operation, "weights", ())]


def _rebuilt(model: keras.Model, call: Callable) -> keras.Model:
    """The same graph on the same layers, where `call(operation, *args, **kwargs)` decides what each does."""
    graph = keras.Model(model.input, model.output, name=model.name)
    return keras.models.clone_model(graph, clone_function=lambda operation: operation, call_function=call)

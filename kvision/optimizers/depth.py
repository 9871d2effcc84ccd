"""How far each layer of a network is from its input, in blocks: what rates by layer and gradual unfreezing go by."""

import keras

from kvision.optimizers.decay import decays


def layer_groups(model: keras.Model) -> list[list[keras.layers.Layer]]:
    """The layers that have weights, in groups from the input to the output: a stem, each block, the last layer.

    A group ends where all paths from input to output meet in one tensor: behind every plain layer, residual block,
    Inception module or layer of a dense block. The parts of what checkpoints number as one block (`blocks.3.attn` and
    `blocks.3.mlp`) are one group. Where two tensors run side by side through the whole network, as in NASNet, the first
    part of the layers' names (`cell_7`) parts them. Layers without a kernel, such as normalization, positions and
    gains, belong to the group before them.

    ResNet-50 has 18 groups (stem, 16 blocks, dense layer), ViT-B 14 (embedding, 12 blocks, head), VGG-16 16, Inception
    v3 17, DenseNet-121 63. What is not in the graph, as training-only heads, belongs to the last.

    Args:
        model: a built Functional or Sequential model; a model inside it is one layer.

    Raises:
        ValueError: a model without a graph of layers, or without weights.
    """
    graph = getattr(model, "_functional", None) or model  # Sequential keeps its own inside
    if not model.weights or not hasattr(graph, "_nodes_by_depth"):
        raise ValueError(
            "Groups of layers are read from the graph of a built Functional or Sequential model. "
            f"Received: {type(model).__name__} '{model.name}' with {len(model.weights)} weights"
        )
    groups, last, kernel = [], None, True
    for group in _segments(graph):
        block = _block(group)
        has_kernel = any(decays(variable) for layer in group for variable in layer.weights)
        if groups and (not kernel or (block == last if block else not has_kernel)):
            groups[-1] += group
            last, kernel = block or last, kernel or has_kernel
        else:
            groups.append(group)
            last, kernel = block, has_kernel
    inside = {id(variable) for group in groups for layer in group for variable in layer.weights}
    beside = model._flatten_layers(include_self=False, recursive=False)
    groups[-1] += [layer for layer in beside if any(id(variable) not in inside for variable in layer.weights)]
    return groups


def depths(model: keras.Model) -> dict[str, int]:
    """The number of its group, from 0 at the input, for each of a model's weights, by path. Errors as `layer_groups`.

    Raises:
        ValueError: also for weights of one path in two groups, as of models inside that name their layers alike.
    """
    found = {}
    for depth, group in enumerate(layer_groups(model)):
        for variable in (variable for layer in group for variable in layer.weights):
            if found.setdefault(variable.path, depth) != depth:
                raise ValueError(f"'{model.name}' has several weights with the path {variable.path!r}.")
    return found


def _segments(graph) -> list[list[keras.layers.Layer]]:
    """The layers with weights between one tensor that all paths pass through and the next."""
    nodes = [node for depth in sorted(graph._nodes_by_depth, reverse=True) for node in graph._nodes_by_depth[depth]]
    read = {}  # where a node's output is read for the last time
    for place, node in enumerate(nodes):
        for parent in node.parent_nodes:
            read[id(parent)] = place
    segments, reach, seen = [[]], 0, set()
    for place, node in enumerate(nodes):
        layer = node.operation
        if isinstance(layer, keras.layers.Layer) and layer.weights and id(layer) not in seen:
            seen.add(id(layer))
            segments[-1].append(layer)
        if place >= reach:  # nothing from before this node is read after it
            segments.append([])
        reach = max(reach, read.get(id(node), place))
    return [part for segment in segments if segment for part in _parts(segment)]


def _parts(segment):
    """By the first part of the layers' names, if each has several."""
    names = [layer.name.split(".") for layer in segment]
    if any(len(name) == 1 for name in names):
        return [segment]
    parts = {}
    for layer, name in zip(segment, names, strict=True):
        parts.setdefault(name[0], []).append(layer)
    return list(parts.values())


def _block(group) -> tuple[str, ...]:
    """`layer1.0` of `layer1.0.conv1` and `layer1.0.bn1`: what their names have in common up to a number, or ()."""
    common = []
    for parts in zip(*(layer.name.split(".")[:-1] for layer in group), strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    while common and not common[-1].isdigit():
        common.pop()
    return tuple(common)

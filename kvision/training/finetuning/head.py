"""A network for other classes: the same trunk under a new last layer."""

import keras

from kvision.classifier import Classifier

POOLING = (
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalMaxPooling1D,
)


def new_head(model: keras.Model, classes: int, seed: int | None = None) -> Classifier:
    """The network with a fresh last layer for so many classes, of the type and initializers of the one in its place.

    The last layer is a dense one, or a 1x1 convolution whose maps are averaged, as Network In Network has it. What
    stands behind it (poolings, the activation) stays. A network without its top (`include_top=False`, pooled or not)
    gets global averages, where it has none, and a dense layer "fc" from N(0, 0.01) with softmax. Classifiers that only
    training sees get new last layers, too.

    All other layers are shared with the model given, not copied: training one trains both. Origin and preprocessing
    are kept.

    Args:
        model: from images to scores `(B, classes)`, a feature map `(B, H, W, C)`, or averages or maxima `(B, C)` of
            it or of tokens: a `Classifier`, or another Functional model.
        classes: at least 1.
        seed: of the initializers; None draws on Keras's global seed.

    Raises:
        ValueError: `classes` out of its range, or a model without such a head: one that gives the lengths of capsules,
            several symbols, or tokens that are not pooled.
    """
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 1:
        raise ValueError(f"`classes` is an integer of at least 1. Received: classes={classes!r}")
    taps = list(zip(model._training_graph.output[1], model.heads, strict=True)) if getattr(model, "heads", ()) else []
    heads = [(tensor, _new_branch(head, classes, seed)) for tensor, head in taps]
    scores = _scores(model, classes, seed)
    inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    options = dict(origin=getattr(model, "origin", None), recompute=getattr(model, "recompute", False))
    return Classifier(inputs, scores, name=model.name, heads=heads, **options)


def _new_branch(head, classes, seed):
    branch = head.branch
    outputs = _scores(branch, classes, seed)
    return type(head)(keras.Model(branch.input, outputs, name=branch.name), head.weight, name=head.name)


def _scores(model, classes, seed):
    """The scores of the new head, on the tensors of the model."""
    outputs = keras.tree.flatten(model.outputs)
    if len(outputs) == 1:
        x, behind = outputs[0], []
        while (step := _weightless(x)) is not None:
            behind.insert(0, step[0])
            x = step[1]
        layer = x._keras_history.operation
        if _is_head(layer, outputs[0].shape, behind):
            x = _fresh(layer, classes, seed)(_input(x))
            for other in behind:
                x = type(other).from_config(other.get_config())(x)
            return x
        if len(outputs[0].shape) == 4:
            return _fully_connected(POOLING[0](dtype="float32", name="avg_pool")(outputs[0]), classes, seed)
        if behind and isinstance(behind[-1], POOLING):
            return _fully_connected(outputs[0], classes, seed)
    raise ValueError(
        f"'{model.name}' has no head that another could stand in for: a dense layer or averaged 1x1 convolution that "
        "gives scores (B, classes), or, without its top, a feature map (B, H, W, C) or its averages (B, C). "
        f"Received: outputs of shape {[tuple(output.shape) for output in outputs]}"
    )


def _weightless(x):
    """The layer without weights that gives x, and the one tensor that it reads; None for any other."""
    layer = x._keras_history.operation
    if not isinstance(layer, keras.layers.Layer) or isinstance(layer, keras.layers.InputLayer) or layer.weights:
        return None
    read = layer._inbound_nodes[x._keras_history.node_index].input_tensors
    return (layer, read[0]) if len(read) == 1 else None


def _input(x):
    return x._keras_history.operation._inbound_nodes[x._keras_history.node_index].input_tensors[0]


def _is_head(layer, shape, behind) -> bool:
    if len(shape) != 2:
        return False
    if isinstance(layer, keras.layers.Dense):
        return layer.units == shape[-1] and not any(isinstance(other, POOLING) for other in behind)
    # Only the scores of a head have an activation behind their averages.
    ends = [isinstance(other, kind) for other, kind in zip(behind, (POOLING, keras.layers.Activation), strict=False)]
    return isinstance(layer, keras.layers.Conv2D) and layer.kernel_size == (1, 1) and ends == [True, True]


def _fresh(layer, classes, seed):
    config = layer.get_config()
    config["units" if isinstance(layer, keras.layers.Dense) else "filters"] = classes
    for key in ("kernel_initializer", "bias_initializer"):
        if seed is not None and "seed" in config[key]["config"]:
            config[key]["config"]["seed"] = seed
    return type(layer).from_config(config)


def _fully_connected(x, classes, seed):
    """As `kvision.blocks.head.classify`."""
    initializer = keras.initializers.RandomNormal(0.0, 0.01, seed=seed)
    return keras.layers.Dense(
        classes, activation="softmax", kernel_initializer=initializer, dtype="float32", name="fc"
    )(x)

"""What a served network answers beside its scores: features, and any other tensor of its graph."""

import difflib
from collections.abc import Mapping

import keras
from absl import logging

TAKEN = ("images", "pixels", "scores", "labels", "ok", "features")


def with_outputs(
    model: keras.Model, features: str | bool = False, outputs: Mapping[str, str | keras.KerasTensor] | None = None
) -> keras.Model:
    """The network with its outputs by name: "scores", "features" where wanted, and the others; on the same layers.

    Args:
        model: a Functional model with one output.
        features: True for the input of the last dense layer, the name of a layer for its output, or False.
        outputs: the name of a layer, or a tensor of the model's graph, for each further name.

    Raises:
        ValueError: a layer that is not there or is called several times; a tensor of another graph, or whose first
            axis is not the batch; a name that cannot be an output's.
    """
    tensors = {"scores": model.outputs[0]}
    if features:
        tensor = _last_dense_input(model) if features is True else _output(model, features)
        if tensor is None:
            logging.warning(
                "'%s' has no dense layer, and is exported without the signature `features`. Name a layer by "
                "features=..., or pass features=False.",
                model.name,
            )
        else:
            tensors["features"] = tensor
    for name, wanted in (outputs or {}).items():
        if not name.isidentifier() or name in TAKEN:
            raise ValueError(f"An output's name is an identifier, and none of {TAKEN}. Received: {name!r}")
        tensors[name] = _output(model, wanted) if isinstance(wanted, str) else wanted
    for name, tensor in tensors.items():
        if not len(tensor.shape) or tensor.shape[0] is not None:
            raise ValueError(
                f"The first axis of an output is that of the images, of any number. Received: {name} {tensor.shape}"
            )
    # Through a layer of its own an output is float32, and what computes it is not.
    named = {
        name: tensor if name == "scores" else keras.layers.Identity(dtype="float32", name=f"output.{name}")(tensor)
        for name, tensor in tensors.items()
    }
    try:
        return keras.Model(model.inputs[0], named, name=model.name)
    except ValueError as error:
        raise ValueError(f"`outputs` has tensors that '{model.name}' does not compute: {error}") from error


def _last_dense_input(model):
    for depth in sorted(model._nodes_by_depth):  # from the output on
        for node in model._nodes_by_depth[depth]:
            if isinstance(node.operation, keras.layers.Dense):
                return node.input_tensors[0]
    return None


def _output(model, name: str):
    """The output of a layer in this model (`layer.output` may be another model's)."""
    nodes = [node for nodes in model._nodes_by_depth.values() for node in nodes]
    found = [node for node in nodes if node.operation.name == name]
    if len(found) != 1 or len(found[0].output_tensors) != 1:
        close = difflib.get_close_matches(name, [node.operation.name for node in nodes])
        raise ValueError(
            f"'{model.name}' has {'no' if not found else 'more than one output of a'} layer {name!r}."
            + (f" Did you mean {', '.join(close)}?" if close and not found else "")
        )
    return found[0].output_tensors[0]

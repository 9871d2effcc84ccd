"""The way back: a model's weights as a file that timm and PyTorch load."""

import os
import pathlib

import keras

from kvision.weights.lineage import Lineage
from kvision.weights.loader import depthwise_kernels, state_dict_names, to_torch_layout


def to_torch(model: keras.Model, path: str | pathlib.Path) -> pathlib.Path:
    """Writes a network's weights under the names and in the shapes of the lineage that it was built in.

    timm reads the file by `timm.create_model("resnet50", num_classes=37, checkpoint_path="model.safetensors")`, PyTorch
    by `safetensors.torch.load_file`. Classifiers that only training sees are left out.

    Args:
        model: a network of `kvision.applications` whose recipe is that of one of its row's lineages, so that the
            tensors mean there what they mean here.
        path: of the `.safetensors` file, which appears whole or not at all.

    Returns:
        The path.

    Raises:
        ValueError: the model has no lineage (its row has no counterpart in PyTorch, or was built as its paper says
            where the checkpoints depart from it), or the path has another ending.
    """
    from safetensors.numpy import save_file

    path = pathlib.Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"The weights are written to a .safetensors file. Received: {str(path)!r}")
    origin = getattr(model, "origin", None)
    if origin is None or origin.lineage is None:
        raise ValueError(
            f"{model.name} follows no published lineage: in PyTorch its tensors have no network to go to, or one that "
            "computes something else. Build it with lineage=, one of the tags that print(row) lists, if it has any."
        )
    lineage = Lineage(**origin.lineage)
    depthwise = depthwise_kernels(model._flatten_layers())
    unseen = {id(variable) for head in getattr(model, "heads", ()) for variable in head.variables}
    tensors = {}
    for name, variable in state_dict_names(model).items():
        if id(variable) not in unseen:
            array = keras.ops.convert_to_numpy(variable)
            array = to_torch_layout(array, name, lineage, id(variable) in depthwise)
            tensors[lineage.theirs(name)] = array.astype("float32", order="C")
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(tensors, aside, metadata={"format": "pt", "lineage": lineage.source})
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return path

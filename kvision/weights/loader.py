"""Arrays into a model: layer paths are the checkpoint's names, leaf names and transposes are generic."""

import pathlib
import re
import warnings
from collections.abc import Mapping, Sequence

import keras
import numpy as np

TORCH_LEAVES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
COUNTERS = "num_batches_tracked"  # PyTorch's batch norms count their batches; no network reads that


def state_dict_names(model: keras.Model) -> dict[str, keras.Variable]:
    """The model's variables by the names that a PyTorch state dict gives them: `layer1.0.conv1.weight`."""
    names = {}
    for variable in model.variables:
        if variable.path.startswith("seed_generator") or "/seed_generator" in variable.path:
            continue  # the state of a dropout layer, no weight
        layer, _, leaf = variable.path.replace("/", ".").rpartition(".")
        names[f"{layer}.{TORCH_LEAVES.get(leaf, leaf)}"] = variable
    return names


def assign(
    model: keras.Model,
    arrays: Mapping[str, np.ndarray],
    rename: Sequence[tuple[str, str]] = (),
    without: Sequence[str] = (),
    source: str = "the checkpoint",
    flattened: Mapping[str, Sequence[int]] | None = None,
) -> None:
    """Puts every array into its variable. Nothing is changed unless everything fits.

    Where weights depend on the size of the image, their layer offers `resampled(array) -> array`, which gets an array
    of another size and gives what stands for it at the layer's own (or the array itself, where nothing does).

    Args:
        model: a built model whose layer names are the checkpoint's paths.
        arrays: tensors by name, as PyTorch keeps them (convolutions `(out, in, h, w)`, dense `(out, in)`).
        rename: pairs (regular expression, replacement), applied to each name in order.
        without: paths of layers that the model leaves out on purpose, such as its top.
        source: what to call the checkpoint in an error.
        flattened: by name (after renaming), dense layers on a flattened feature map and its `(C, H, W)`, the order in
            which PyTorch flattens it; Keras's is `(H, W, C)`.

    Raises:
        ValueError: tensors that are missing, left over or of another shape; the message lists them all.
    """
    variables = state_dict_names(model)
    given = {}
    for name, array in arrays.items():
        for pattern, replacement in rename:
            name = re.sub(pattern, replacement, name)
        if not name.endswith(COUNTERS) and not any(name.startswith(f"{path}.") for path in without):
            given[name] = array
    missing = [name for name in variables if name not in given]
    extra = [name for name in given if name not in variables]
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.DepthwiseConv2D)]
    depthwise = {id(layer.kernel) for layer in layers}
    resized = {id(v): layer for layer in model._flatten_layers() if hasattr(layer, "resampled") for v in layer.weights}
    values, misshapen = {}, []
    for name, variable in variables.items():
        if name in given:
            value = np.asarray(given[name])
            if flattened and name in flattened and value.shape[1:] == (np.prod(flattened[name]),):
                value = value.reshape(-1, *flattened[name])
            value = _from_torch(value, name)
            if value.ndim == 4 and len(variable.shape) == 2:  # a dense layer kept as a convolution over its whole input
                value = value.reshape(-1, value.shape[-1])
            if value.shape[1:] == (1, 1, 1) and len(variable.shape) == 1:  # one gain for each filter
                value = value.reshape(-1)
            if id(variable) in depthwise and value.shape[2] == 1:  # PyTorch's is a convolution in groups of one channel
                value = value.reshape(*value.shape[:2], -1, variable.shape[-1])
            if value.shape != tuple(variable.shape) and id(variable) in resized:
                value = resized[id(variable)].resampled(value)
            if value.shape == tuple(variable.shape):
                values[name] = value
            else:
                expected = _to_torch_shape(tuple(variable.shape), name)
                misshapen.append(f"{name} {tuple(given[name].shape)}, the model has {expected}")
    if missing or extra or misshapen:
        raise ValueError(
            f"{source} does not fit {model.name}: {len(values)} of the model's {len(variables)} tensors agree."
            + _listed("In the model, not in the checkpoint", missing)
            + _listed("In the checkpoint, not in the model", extra)
            + _listed("Of another shape in the checkpoint", misshapen)
        )
    for name, value in values.items():
        variables[name].assign(value.astype("float32"))


def _from_torch(array: np.ndarray, name: str) -> np.ndarray:
    if not name.endswith(".weight") or array.ndim < 2:
        return array
    return array.T if array.ndim == 2 else np.moveaxis(array, (0, 1), (-1, -2))


def _to_torch_shape(shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    if not name.endswith(".weight") or len(shape) < 2:
        return shape
    return (shape[-1], shape[-2], *shape[:-2])


def _listed(title: str, names: Sequence[str], limit: int = 12) -> str:
    if not names:
        return ""
    more = f"\n    ... and {len(names) - limit} more" if len(names) > limit else ""
    return f"\n  {title} ({len(names)}):" + "".join(f"\n    {name}" for name in names[:limit]) + more


def copy(source: keras.Model, model: keras.Model, without: Sequence[str] = (), name: str = "the model") -> None:
    """Puts the weights of one model into another by the names of its layers; arguments and errors as of `assign`."""
    arrays = {key: keras.ops.convert_to_numpy(value) for key, value in state_dict_names(source).items()}
    assign(model, {key: _to_torch(array, key) for key, array in arrays.items()}, (), without, name)


def assign_positions(model: keras.Model, path: pathlib.Path) -> None:
    """Puts the weights of a `.weights.h5` file in, which has no names: the n-th layer's into the n-th layer.

    Raises:
        ValueError: the file is corrupt or does not fit by position and shape; nothing is changed then.
    """
    before = [keras.ops.convert_to_numpy(variable) for variable in model.variables]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Keras only warns about parts that it skips
            model.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)
        raise ValueError(
            f"{str(path)!r} does not fit {model.name}, compared by position and shape, since a .weights.h5 file has "
            f"no names: {error}"
        ) from error


def _to_torch(array: np.ndarray, name: str) -> np.ndarray:
    if not name.endswith(".weight") or array.ndim < 2:
        return array
    return array.T if array.ndim == 2 else np.moveaxis(array, (-1, -2), (0, 1))

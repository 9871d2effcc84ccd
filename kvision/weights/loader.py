"""Arrays into a model: layer paths are the checkpoint's names, leaf names and transposes are generic."""

import math
import pathlib
import warnings
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from kvision.weights.lineage import COUNTERS, Lineage, rule

TORCH_LEAVES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


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
    lineage: Lineage | None = None,
    without: Sequence[str] = (),
    source: str = "the checkpoint",
) -> None:
    """Puts every array into its variable. Nothing is changed unless everything fits.

    Three things fit in another shape than their own. Where weights depend on the size of the image, their layer offers
    `resampled(array) -> array`, which gets an array of another size and gives what stands for it at the layer's own (or
    the array itself, where nothing does). The kernel that reads an RGB image reads one of other channels: of one, the
    sum over the three; of n, those of red, green and blue in turn, times 3 / n. (So timm does it.) And what `lineage`
    says.

    Args:
        model: a built model whose layer names are the checkpoint's paths.
        arrays: tensors by name. Of a mapping with a method `shape(name)` values are asked for one by one.
        lineage: how they are kept; by default as PyTorch does, under our names.
        without: paths of layers that are left out on purpose, in the checkpoint and in the model, such as its top.
        source: what to call the checkpoint in an error.

    Raises:
        ValueError: tensors that are missing, left over or of another shape; the message lists them all.
    """
    places = _Places(model, lineage or Lineage(), without)
    sources, problems = places.match(shapes(arrays))
    if any(problems):
        missing, extra, misshapen = problems
        agree = len(sources) - len(misshapen)
        raise ValueError(
            f"{source} does not fit {model.name}: {agree} of the model's {len(places.variables)} tensors agree."
            + _listed("In the model, not in the checkpoint", missing)
            + _listed("In the checkpoint, not in the model", extra)
            + _listed("Of another shape in the checkpoint", misshapen)
        )
    for name, theirs in sources.items():
        value = places.convert([np.asarray(arrays[part]) for part in theirs], name)
        places.variables[name].assign(np.asarray(value, "float32"))


def differences(
    model: keras.Model, arrays: Mapping[str, np.ndarray], lineage: Lineage | None = None, without: Sequence[str] = ()
) -> list[str]:
    """What would keep these arrays from being assigned; empty where nothing would. Only their shapes are looked at."""
    problems = _Places(model, lineage or Lineage(), without).match(shapes(arrays))[1]
    return [line for problem in problems for line in problem]


def shapes(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    """By name, without reading values where the mapping has a method `shape(name)`."""
    shape = getattr(arrays, "shape", None) or (lambda name: arrays[name].shape)
    return {name: tuple(shape(name)) for name in arrays}


class _Places:
    """The variables of a model, and how a lineage's tensors become theirs."""

    def __init__(self, model: keras.Model, lineage: Lineage, without: Sequence[str]):
        self.lineage, self.without = lineage, tuple(f"{path}." for path in without)
        self.variables = {n: v for n, v in state_dict_names(model).items() if not n.startswith(self.without)}
        self.channels = model.inputs[0].shape[-1]
        layers = model._flatten_layers()
        self.depthwise = depthwise_kernels(layers)
        self.resized = {id(v): layer for layer in layers if hasattr(layer, "resampled") for v in layer.weights}

    def match(self, shapes: Mapping[str, tuple[int, ...]]) -> tuple[dict[str, list[str]], tuple[list[str], ...]]:
        """By our names, those of the tensors that go there; and what is missing, left over and of another shape."""
        sources, left, misshapen = {}, {}, []
        for name in shapes:
            ours = self.lineage.ours(name)
            if not ours.endswith(COUNTERS) and not ours.startswith(self.without):
                left[ours] = name
        for name in self.variables:
            parts = [name] if name in left else self._parts(name)
            if parts and all(part in left for part in parts):
                sources[name] = [left.pop(part) for part in parts]
        for name, theirs in sources.items():
            # Arrays of one repeated number have shapes and cost no memory.
            received = [np.broadcast_to(np.float32(0), shapes[part]) for part in theirs]
            if (expected := tuple(self.variables[name].shape)) != self.convert(received, name).shape:
                expected = self._theirs(np.broadcast_to(np.float32(0), expected), name).shape
                shown = " + ".join(f"{part} {shapes[part]}" for part in theirs)
                misshapen.append(f"{shown}, the model has {expected}")
        missing = [_both(self.lineage.theirs(name), name) for name in self.variables if name not in sources]
        return sources, (missing, [_both(theirs, ours) for ours, theirs in left.items()], misshapen)

    def _parts(self, name: str) -> list[str]:
        layer, _, leaf = name.rpartition(".")
        for whole, parts in self.lineage.joined.items():
            if layer.endswith(whole):
                return [f"{layer.removesuffix(whole)}{part}.{leaf}" for part in parts]
        return []

    def _theirs(self, array: np.ndarray, name: str) -> np.ndarray:
        if self.lineage.layout != "torch":
            return array
        return to_torch_layout(array, name, self.lineage, id(self.variables[name]) in self.depthwise)

    def convert(self, parts: Sequence[np.ndarray], name: str) -> np.ndarray:
        """The value of a variable, or an array of another shape, where nothing that fits can be made of it."""
        variable = self.variables[name]
        target = tuple(variable.shape)
        if self.lineage.layout == "torch":
            parts = [self._from_torch(part, name, target) for part in parts]
        else:
            share = (*target[:-1], target[-1] // len(parts)) if target else ()
            parts = [_merged(part, share) for part in parts]
        if len({part.shape[:-1] for part in parts}) > 1:
            return parts[0]  # which does not fit either
        value = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        if value.shape != target and id(variable) in self.resized:
            return self.resized[id(variable)].resampled(value)
        if value.ndim == len(target) == 4 and value.shape[2] == 3 != target[2] == self.channels:
            return _for_channels(value, self.channels)
        return value

    def _from_torch(self, value: np.ndarray, name: str, target: tuple[int, ...]) -> np.ndarray:
        if (size := rule(self.lineage.flattened, name)) and value.shape[1:] == (math.prod(size),):
            value = value.reshape(-1, *size)
        if value.shape[1:] == (1, 1, 1) and len(target) == 1:  # one gain for each filter
            return value.reshape(-1)
        if not name.endswith(".weight") or value.ndim < 2:
            return value
        value = value.T if value.ndim == 2 else np.moveaxis(value, (0, 1), (-1, -2))
        if value.ndim == 4 and len(target) == 2:  # a dense layer kept as a convolution over its whole input
            return value.reshape(-1, value.shape[-1])
        if id(self.variables[name]) in self.depthwise and value.shape[2] == 1:
            return value.reshape(*value.shape[:2], -1, target[-1])
        return value


def depthwise_kernels(layers) -> set[int]:
    """The ids of the kernels that PyTorch keeps as those of convolutions in groups of one channel."""
    return {id(layer.kernel) for layer in layers if isinstance(layer, keras.layers.DepthwiseConv2D)}


def to_torch_layout(array: np.ndarray, name: str, lineage: Lineage, depthwise: bool = False) -> np.ndarray:
    """A variable's value as PyTorch keeps it: what `assign` takes."""
    if name.endswith(".gain") and array.ndim == 1:
        return array.reshape(-1, 1, 1, 1)
    if not name.endswith(".weight") or array.ndim < 2:
        return array
    if depthwise:
        array = array.reshape(*array.shape[:2], 1, -1)
    if array.ndim > 2:
        return np.moveaxis(array, (-1, -2), (0, 1))
    flattened = rule(lineage.flattened, name)
    if size := flattened or rule(lineage.convolved, name):
        if size[0] > 0 and math.prod(size) != len(array):
            raise ValueError(
                f"{name} reads a feature map of {len(array)} numbers; in {lineage.source} it is one of (C, H, W) = "
                f"{tuple(size)}, whatever the size of the image."
            )
        array = np.moveaxis(array.reshape(*size[1:], size[0], array.shape[1]), (3, 2), (0, 1))
        return array.reshape(len(array), -1) if flattened else array
    return array.T


def _for_channels(kernel: np.ndarray, channels: int) -> np.ndarray:
    """Of an RGB image, `(h, w, 3, C)`, for one of so many channels."""
    if channels == 1:
        return kernel.sum(axis=2, keepdims=True)
    return kernel[:, :, np.arange(channels) % 3] * np.float32(3 / channels)


def _merged(value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array in that shape, if each of its axes is one, or several side by side, of the array's; else the array."""
    axis = 0
    for size in shape:
        product = 1
        while product < size and axis < value.ndim:
            product, axis = product * value.shape[axis], axis + 1
        if product != size:
            return value
    return value.reshape(shape) if axis == value.ndim else value


def _both(theirs: str, ours: str) -> str:
    return theirs if theirs == ours else f"{theirs} (here {ours})"


def _listed(title: str, names: Sequence[str], limit: int = 12) -> str:
    if not names:
        return ""
    more = f"\n    ... and {len(names) - limit} more" if len(names) > limit else ""
    return f"\n  {title} ({len(names)}):" + "".join(f"\n    {name}" for name in names[:limit]) + more


def copy(source: keras.Model, model: keras.Model, without: Sequence[str] = (), name: str = "the model") -> None:
    """Puts the weights of one model into another by the names of its layers; arguments and errors as of `assign`."""
    arrays = {key: keras.ops.convert_to_numpy(value) for key, value in state_dict_names(source).items()}
    assign(model, arrays, Lineage(layout="keras"), without, name)


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

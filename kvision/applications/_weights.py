"""Published checkpoints as records, and the way from the `weights` argument of a row to tensors in its model."""

import difflib
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from kvision import weights as room
from kvision.classifier import Preprocess

FOREIGN = (".safetensors", ".npz")
KERAS = (".keras", ".weights.h5")
PICKLES = (".pth", ".pt", ".bin", ".tar", ".pkl", ".ckpt")


@dataclass(frozen=True)
class Weights(room.Lineage):
    """A published checkpoint; among a row's `lineages` only the convention of files that people have.

    Args:
        source: its tag, such as "timm/resnet50.a1_in1k".
        rename, flattened, convolved, joined, layout: see `kvision.weights.Lineage`.
        changes: how its network departs from the paper's; applied when these weights are asked for.
        top: the paths that `include_top=False` leaves out, the classification layer last.
        auxiliary: the paths of its classifiers for training, left out unless the network has them too.
        classes: of its classification layer, 0 where it has none; None for the row's.
        preprocess: what it expects of its input.
        license: as its publisher states it, None where that is not known.
        address: of the torch pickle, where no hub has it as safetensors.
        revision: the commit of the hub's repository, None for the one that a machine uses first.
        sha256: of the file, None where no publisher states it.
        publisher_top1: what its publisher measured on ImageNet's validation set, in percent, and where that is stated.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    top: tuple[str, ...] = ("fc",)
    auxiliary: tuple[str, ...] = ()
    classes: int | None = None
    preprocess: Preprocess = Preprocess()
    license: str | None = None
    address: str | None = None
    revision: str | None = None
    sha256: str | None = None
    publisher_top1: tuple[float, str] | None = None

    def __str__(self):
        height, width = self.preprocess.size
        parts = [f"{height}x{width}", self.license or "license not stated"]
        if self.publisher_top1:
            parts.append("top-1 {} % ({})".format(*self.publisher_top1))
        if self.classes is not None:
            parts.append(f"{self.classes} classes" if self.classes else "no classification layer")
        if self.address:
            parts.append(f"a torch pickle at {self.address}")
        return f"{self.source}: {', '.join(parts)}"


@dataclass(frozen=True)
class Checkpoint:
    """What `weights=` turned out to mean: published weights or a file of the user's, and the lineage that it follows.

    Args:
        row: the lineage, or None.
        path: of a file of the user's, or None.
        label: what the model's origin calls its weights; None where it starts from random ones.
    """

    row: Weights | None = None
    path: pathlib.Path | None = None
    label: str | None = None

    @property
    def published(self) -> bool:
        return self.label is not None and self.path is None

    def load(self, model, name: str, fixed_size: bool, include_top: bool, new_head: bool) -> str | None:
        """Puts the weights into a model of the network `name`. Returns the commit of published ones.

        `fixed_size` is whether its weights depend on the size of the image, the others are `Variant`'s arguments.

        Raises:
            FileNotFoundError: published weights that are not here and cannot be fetched.
            ValueError: a file that is corrupt or does not fit; nothing is changed then.
        """
        if self.label is None:
            return None
        path, without = self.path, () if include_top else (self.row.top if self.row else ("fc",))
        if include_top and new_head:
            without += (head(model),)
        if self.row and (new_head or not model.heads):
            without += self.row.auxiliary
        if self.published:
            path = self._fetch(name)
        if path.name.endswith(FOREIGN):
            arrays = room.read(path)
            try:
                room.assign(model, arrays, self.row, without, str(path))
            except ValueError as error:
                head_may_go = include_top and not new_head
                raise ValueError(f"{error}{self._advice(model, arrays, without, head_may_go, fixed_size)}") from error
        elif path.suffix == ".keras":
            saved = keras.models.load_model(path, compile=False)
            origin = getattr(saved, "origin", None)
            if origin is not None and origin.changes != model.origin.changes:
                raise ValueError(
                    f"{str(path)!r} is a {origin.row} with the changes {origin.changes}; asked for is a "
                    f"{model.origin.row} with {model.origin.changes}. Its weights belong to its own."
                )
            room.copy(saved, model, without, str(path))
        elif new_head:
            raise ValueError(
                f"{str(path)!r} holds positions, not names, so that its head cannot be left out. Save a .keras file."
            )
        else:
            room.assign_positions(model, path)
        return path.parent.name if self.published else None

    def _advice(self, model, arrays, without, head_may_go: bool, fixed_size: bool) -> str:
        """Why the tensors do not fit, where that is known, or what they would fit."""
        from kvision.applications._suggest import suggest

        if head_may_go and not room.differences(model, arrays, self.row, (*without, head(model))):
            return "\n  All but the classification layer fits: new_head=True leaves the file's out."
        size = self.row and self.row.preprocess.size
        flexible = not fixed_size or any(hasattr(layer, "resampled") for layer in model.layers)
        if size and not flexible and model.inputs[0].shape[1:3] != size:
            return (
                f"\n  {self.row.source} is for images of {size}. Asked for is {model.inputs[0].shape[1:3]}, and "
                "the network has weights for every place, which nothing can stand for at another size."
            )
        return suggest(arrays)

    def _fetch(self, name: str) -> pathlib.Path:
        try:
            return room.fetch(self.row.source, self.row.revision, self.row.sha256)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{error} and pass {name}(weights='path/to/model.safetensors', lineage={self.row.source!r})."
            ) from error


def head(model: keras.Model) -> str:
    """The path of the classification layer: the last one with weights."""
    return [layer for layer in model.layers if layer.weights][-1].name


def resolve(
    name: str,
    rows: tuple[Weights, ...],
    lineages: tuple[Weights, ...],
    weights,
    lineage: str | None,
    changes: Mapping[str, Any],
) -> Checkpoint:
    """What the arguments `weights` and `lineage` of the network `name` ask for.

    Args:
        rows: its published weights.
        lineages: further conventions that a local file may follow.
    """
    row = find(name, rows + lineages, lineage, "lineage") if lineage is not None else None
    if weights is None:
        return Checkpoint(row)
    path = pathlib.Path(weights).expanduser()
    if path.name.endswith(FOREIGN + KERAS):
        return _local(name, rows, lineages, path, row, changes)
    if path.suffix in PICKLES:
        room.read(path)  # refuses, and says how to convert it
    if not isinstance(weights, str):
        raise _unknown(name, rows, weights)
    published = find(name, rows, weights)
    if row not in (None, published):
        raise ValueError(f"weights={weights!r} is another lineage than lineage={lineage!r}. Pass one of the two.")
    if published.address:
        raise FileNotFoundError(
            f"The weights {published.source!r} of {name} are published as a torch pickle only, at {published.address}, "
            f"and pickles are never read. Where torch is installed, write model.safetensors with\n"
            f"    {room.conversion(published.address)}\n"
            f"and pass {name}(weights='model.safetensors', lineage={published.source!r})."
        )
    return Checkpoint(published, label=published.source)


def _local(name, rows, lineages, path: pathlib.Path, row, changes: Mapping[str, Any]) -> Checkpoint:
    if not path.is_file():
        raise ValueError(f"There is no weights file {str(path)!r}.")
    if path.name.endswith(FOREIGN) and row is None:
        row = next(iter(rows + lineages), None)
    if path.name.endswith(".weights.h5") and row is None:
        departing = sorted({key for weights in rows for key in weights.changes} - set(changes))
        if departing:
            raise ValueError(
                f"{str(path)!r} holds positions, not names, and cannot say whether its {name} was built with "
                f"the paper's {', '.join(departing)} or a checkpoint's. Pass lineage= (one of "
                f"{[weights.source for weights in rows]}) or {departing[0]}=... itself."
            )
    return Checkpoint(row, path, path.name)


def find(name: str, rows: tuple[Weights, ...], tag: str, argument: str = "weights") -> Weights:
    """The row's weights by tag (with or without its publisher); "imagenet" is the first."""
    if tag == "imagenet" and rows:
        return rows[0]
    for weights in rows:
        if tag in (weights.source, weights.source.partition("/")[2]):
            return weights
    raise _unknown(name, rows, tag, argument)


def _unknown(name: str, rows: tuple[Weights, ...], received, argument: str = "weights") -> ValueError:
    tags = [weights.source for weights in rows]
    published = f"'imagenet' or one of its published tags {tags}" if tags else f"{name} has no published tags"
    close = difflib.get_close_matches(str(received), tags, 1)
    return ValueError(
        f"The `{argument}` argument should be either `None` (random initialization), {published}, or the path to the "
        f"weights file to be loaded ({', '.join(FOREIGN + KERAS)}). Received: {argument}={received!r}"
        + (f". Did you mean {close[0]!r}?" if close else "")
    )


def merge_changes(name: str, row: Weights | None, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The caller's changes and the lineage's; a contradiction is an error, since the tensors would still fit."""
    for key, value in (row.changes if row else {}).items():
        if changes.get(key, value) != value:
            raise ValueError(
                f"{key}={changes[key]!r} contradicts the weights {row.source!r} of {name}, which were trained "
                f"with {key}={value!r}: they would load without an error and give wrong answers."
            )
    return {**(row.changes if row else {}), **changes}

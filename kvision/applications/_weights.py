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


@dataclass(frozen=True)
class Weights:
    """A published checkpoint.

    Args:
        source: its tag, such as "timm/resnet50.a1_in1k".
        changes: how its network departs from the paper's; applied when these weights are asked for.
        rename: pairs (regular expression, replacement) that turn its tensor names into layer paths, in order.
        flattened: by name, dense layers on a flattened feature map and its `(C, H, W)` in the checkpoint's order.
        top: the paths that `include_top=False` leaves out.
        auxiliary: the paths of its classifiers for training, left out unless the network has them too.
        preprocess: what it expects of its input.
        license: as its publisher states it, None where that is not known.
        sha256: of the file, None where no publisher states it.
        publisher_top1: what its publisher measured on ImageNet's validation set, in percent, and where that is stated.
    """

    source: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    rename: tuple[tuple[str, str], ...] = ()
    flattened: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    top: tuple[str, ...] = ("fc",)
    auxiliary: tuple[str, ...] = ()
    preprocess: Preprocess = Preprocess()
    license: str | None = None
    sha256: str | None = None
    publisher_top1: tuple[float, str] | None = None


@dataclass(frozen=True)
class Checkpoint:
    """What `weights=` turned out to mean: a file to read (or None) and the lineage that it follows (or None)."""

    row: Weights | None = None
    path: pathlib.Path | None = None
    label: str | None = None
    published: bool = False

    def load(self, model, include_top: bool) -> None:
        if self.path is None:
            return
        without = () if include_top else (self.row.top if self.row else ("fc",))
        if self.row and not model.heads:
            without += self.row.auxiliary
        if self.path.name.endswith(FOREIGN):
            rename, flattened = (self.row.rename, self.row.flattened) if self.row else ((), {})
            room.assign(model, room.read(self.path), rename, without, str(self.path), flattened)
        elif self.path.suffix == ".keras":
            saved = keras.models.load_model(self.path, compile=False)
            origin = getattr(saved, "origin", None)
            if origin is not None and origin.changes != model.origin.changes:
                raise ValueError(
                    f"{str(self.path)!r} is a {origin.row} with the changes {origin.changes}; asked for is a "
                    f"{model.origin.row} with {model.origin.changes}. Its weights belong to its own."
                )
            room.copy(saved, model, without, str(self.path))
        else:
            room.assign_positions(model, self.path)


def resolve(
    name: str, rows: tuple[Weights, ...], weights, lineage: str | None, changes: Mapping[str, Any]
) -> Checkpoint:
    """What the arguments `weights` and `lineage` of the network `name`, with these published weights, ask for."""
    row = find(name, rows, lineage, "lineage") if lineage is not None else None
    if weights is None:
        return Checkpoint(row)
    path = pathlib.Path(weights).expanduser()
    if path.name.endswith(FOREIGN + KERAS):
        return _local(name, rows, path, row, changes)
    if not isinstance(weights, str):
        raise _unknown(name, rows, weights)
    published = find(name, rows, weights)
    if row not in (None, published):
        raise ValueError(f"weights={weights!r} is another lineage than lineage={lineage!r}. Pass one of the two.")
    file = room.cached(published.source)
    if file is None:
        raise ValueError(
            f"The weights {published.source!r} of {name} are not on this machine, and this version does not "
            f"download them. {room.instructions(published.source)} and pass "
            f"{name}(weights='path/to/model.safetensors', lineage={published.source!r})."
        )
    return Checkpoint(published, file, published.source, published=True)


def _local(name: str, rows: tuple[Weights, ...], path: pathlib.Path, row, changes: Mapping[str, Any]) -> Checkpoint:
    if not path.is_file():
        raise ValueError(f"There is no weights file {str(path)!r}.")
    if path.name.endswith(FOREIGN) and row is None and rows:
        row = rows[0]
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

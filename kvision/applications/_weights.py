"""From the `weights` argument of a row to tensors in its model."""

import difflib
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kvision import weights as room

if TYPE_CHECKING:
    from kvision.applications._record import Variant, Weights

FOREIGN = (".safetensors", ".npz")
KERAS = (".keras", ".weights.h5")


@dataclass(frozen=True)
class Checkpoint:
    """What `weights=` turned out to mean: a file to read (or None) and the lineage that it follows (or None)."""

    row: "Weights | None" = None
    path: pathlib.Path | None = None
    label: str | None = None
    published: bool = False

    def load(self, model, include_top: bool) -> None:
        if self.path is None:
            return
        without = () if include_top else (self.row.head if self.row else "fc",)
        if self.path.name.endswith(FOREIGN):
            rename = self.row.rename if self.row else ()
            room.assign(model, room.read(self.path), rename, without, str(self.path))
        else:
            room.assign_keras(model, self.path, without)


def resolve(variant: "Variant", weights, lineage: str | None, changes: Mapping[str, Any]) -> Checkpoint:
    row = find(variant, lineage, "lineage") if lineage is not None else None
    if weights is None:
        return Checkpoint(row)
    path = pathlib.Path(weights).expanduser()
    if path.name.endswith(FOREIGN + KERAS):
        return _local(variant, path, row, changes)
    if not isinstance(weights, str):
        raise _unknown(variant, weights)
    published = find(variant, weights)
    if row not in (None, published):
        raise ValueError(f"weights={weights!r} is another lineage than lineage={lineage!r}. Pass one of the two.")
    file = room.cached(published.source)
    if file is None:
        raise ValueError(
            f"The weights {published.source!r} of {variant.name} are not on this machine, and this version does not "
            f"download them. Get model.safetensors from {room.address(published.source)} and pass "
            f"{variant.name}(weights='path/to/model.safetensors', lineage={published.source!r})."
        )
    return Checkpoint(published, file, published.source, published=True)


def _local(variant: "Variant", path: pathlib.Path, row, changes: Mapping[str, Any]) -> Checkpoint:
    if not path.is_file():
        raise ValueError(f"There is no weights file {str(path)!r}.")
    if path.name.endswith(FOREIGN) and row is None and variant.weights:
        row = variant.weights[0]
    if path.name.endswith(".weights.h5") and row is None:
        departing = sorted({key for weights in variant.weights for key in weights.changes} - set(changes))
        if departing:
            raise ValueError(
                f"{str(path)!r} holds positions, not names, and cannot say whether its {variant.name} was built with "
                f"the paper's {', '.join(departing)} or a checkpoint's. Pass lineage= (one of "
                f"{[weights.source for weights in variant.weights]}) or {departing[0]}=... itself."
            )
    return Checkpoint(row, path, path.name)


def find(variant: "Variant", tag: str, argument: str = "weights") -> "Weights":
    """The row's weights by tag (with or without its publisher); "imagenet" is the first."""
    if tag == "imagenet" and variant.weights:
        return variant.weights[0]
    for weights in variant.weights:
        if tag in (weights.source, weights.source.partition("/")[2]):
            return weights
    raise _unknown(variant, tag, argument)


def _unknown(variant: "Variant", received, argument: str = "weights") -> ValueError:
    tags = [weights.source for weights in variant.weights]
    published = f"'imagenet' or one of its published tags {tags}" if tags else f"{variant.name} has no published tags"
    close = difflib.get_close_matches(str(received), tags, 1)
    return ValueError(
        f"The `{argument}` argument should be either `None` (random initialization), {published}, or the path to the "
        f"weights file to be loaded ({', '.join(FOREIGN + KERAS)}). Received: {argument}={received!r}"
        + (f". Did you mean {close[0]!r}?" if close else "")
    )


def merge_changes(variant: "Variant", row: "Weights | None", changes: Mapping[str, Any]) -> dict[str, Any]:
    """The caller's changes and the lineage's; a contradiction is an error, since the tensors would still fit."""
    for key, value in (row.changes if row else {}).items():
        if changes.get(key, value) != value:
            raise ValueError(
                f"{key}={changes[key]!r} contradicts the weights {row.source!r} of {variant.name}, which were trained "
                f"with {key}={value!r}: they would load without an error and give wrong answers."
            )
    return {**(row.changes if row else {}), **changes}

"""How publishers keep the tensors of a network: what turns their names and shapes into ours, and back, as data."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

COUNTERS = "num_batches_tracked"  # PyTorch's batch norms count their batches; no network reads that


@dataclass(frozen=True)
class Lineage:
    """A convention of names, shapes and layouts.

    Args:
        source: whose it is: the tag of a checkpoint.
        rename: pairs (theirs, ours) of parts of names, applied in order, or in reverse order on the way back. The text
            is literal, but for a `^` before it and a `$` after it, which bind it to the name's beginning and end.
        flattened: by the ends of our tensors' names, dense layers on a flattened feature map and its `(C, H, W)`, the
            order in which PyTorch flattens it; Keras's is `(H, W, C)`.
        convolved: by the ends of our tensors' names, dense layers that are convolutions over all of their input there,
            and its `(C, H, W)`; C may be -1, for any.
        joined: by the ends of our layers' names, those of the layers that are one here, side by side.
        layout: "torch", where convolutions are `(out, in, h, w)` and dense layers `(out, in)`, or "keras".
    """

    source: str = "PyTorch"
    rename: tuple[tuple[str, str], ...] = ()
    flattened: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    convolved: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    layout: str = "torch"

    def plain(self) -> dict[str, Any]:
        """What is not as by default, as JSON has it: `Lineage(**plain)` is the lineage again."""
        plain = {}
        for item in fields(Lineage):
            value = getattr(self, item.name)
            if isinstance(value, Mapping):
                value = {key: list(values) for key, values in value.items()}
            elif isinstance(value, tuple):
                value = [list(pair) for pair in value]
            if value:
                plain[item.name] = value
        return plain

    def ours(self, name: str) -> str:
        """Our name of their tensor."""
        for theirs, ours in self.rename:
            name = _replaced(name, theirs, ours)
        return name

    def theirs(self, name: str) -> str:
        """Their name of our tensor."""
        for theirs, ours in reversed(self.rename):
            name = _replaced(name, ours, theirs)
        return name


def rule(rules: Mapping[str, tuple], name: str) -> tuple | None:
    """The first one whose key the name ends with."""
    return next((value for end, value in rules.items() if name.endswith(end)), None)


def _replaced(name: str, old: str, new: str) -> str:
    start, end = "^" if old.startswith("^") else "", "$" if old.endswith("$") else ""
    pattern = start + re.escape(old.removeprefix("^").removesuffix("$")) + end
    return re.sub(pattern, lambda _: new.removeprefix("^").removesuffix("$"), name)

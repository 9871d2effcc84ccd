"""Which network a checkpoint belongs to, told by the names, shapes and number of its tensors."""

import math
from collections.abc import Mapping

import keras
import numpy as np

from kvision import weights as room

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
CLOSE, TRIED = 0.1, 5  # of the number of parameters; how many networks are built to compare them


def suggest(arrays: Mapping[str, np.ndarray]) -> str:
    """A sentence that names the rows and lineages that the tensors fit exactly, for the end of an error."""
    found, nearest = {}, 0.0
    candidates = sorted(_candidates(room.shapes(arrays)), key=lambda candidate: candidate[0])
    for distance, row, weights, classes in candidates[:TRIED]:
        if found and distance > nearest:
            break
        if _fits(row, weights, classes, arrays):
            nearest = distance
            top = "include_top=False" if classes is None else f"classes={classes}"
            found.setdefault((row.name, str(weights.changes)), f"{row.name}({top}, lineage={weights.source!r})")
    if not found:
        return "\n  It fits no network of kvision.applications under the names that its lineages give."
    return "".join(f"\n  It fits {call}." for call in found.values())


def _candidates(shapes):
    """Every row and lineage with about as many parameters: how far off, the row, the lineage, the file's classes."""
    from kvision import applications

    for row in map(applications.get_model, applications.list_models()):
        seen = []
        for weights in row.weights + row.lineages:
            convention = (weights.changes, {**weights.plain(), "source": None})
            if convention in seen:
                continue
            seen.append(convention)
            ours = {weights.ours(name): size for name, size in shapes.items()}
            ours = {name: size for name, size in ours.items() if not name.startswith(weights.auxiliary)}
            count = sum(math.prod(size) for name, size in ours.items() if not name.endswith(STATISTICS))
            kernels = [size for name, size in ours.items() if name.startswith(f"{weights.top[-1]}.") and len(size) > 1]
            classes = None
            if kernels:
                classes = kernels[0][0 if weights.layout == "torch" else -1]
                count += (row.classes - classes) * (math.prod(kernels[0]) // classes + 1)
            else:  # about the size of the layer that is not there
                count += row.classes * max((size[0] for size in ours.values() if len(size) == 1), default=0)
            if abs(distance := count / row.params - 1) < CLOSE:
                yield abs(distance), row, weights, classes


def _fits(row, weights, classes, arrays) -> bool:
    try:
        with keras.StatelessScope(initialize_variables=False):  # names and shapes, no values
            model = row(include_top=classes is not None, classes=classes or row.classes, lineage=weights.source)
            return not room.differences(model, arrays, weights, weights.auxiliary)
    except (ValueError, TypeError):
        return False

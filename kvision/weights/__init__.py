"""NumPy arrays in, Keras variables out, and back: checkpoints by the names of their tensors."""

from kvision.weights.files import read
from kvision.weights.hub import conversion, fetch
from kvision.weights.lineage import Lineage
from kvision.weights.loader import assign, assign_positions, copy, differences, shapes, state_dict_names
from kvision.weights.to_torch import to_torch

__all__ = [
    "Lineage",
    "assign",
    "assign_positions",
    "conversion",
    "copy",
    "differences",
    "fetch",
    "read",
    "shapes",
    "state_dict_names",
    "to_torch",
]

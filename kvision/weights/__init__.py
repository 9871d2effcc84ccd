"""NumPy arrays in, Keras variables out: checkpoints by the names of their tensors."""

from kvision.weights.files import read
from kvision.weights.hub import address, cached
from kvision.weights.loader import assign, assign_positions, copy, state_dict_names

__all__ = ["address", "assign", "assign_positions", "cached", "copy", "read", "state_dict_names"]

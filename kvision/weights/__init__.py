"""NumPy arrays in, Keras variables out: checkpoints by the names of their tensors."""

from kvision.weights.files import read
from kvision.weights.hub import cached, instructions
from kvision.weights.loader import assign, assign_positions, copy, state_dict_names

__all__ = ["assign", "assign_positions", "cached", "copy", "instructions", "read", "state_dict_names"]

"""From a trained model to files that serve it."""

from kvision.export.inference import Surgery, for_inference
from kvision.export.savedmodel import savedmodel

__all__ = ["Surgery", "for_inference", "savedmodel"]

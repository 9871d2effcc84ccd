"""From a trained model to files that serve it."""

from kvision.export.inference import for_inference
from kvision.export.savedmodel import savedmodel

__all__ = ["for_inference", "savedmodel"]

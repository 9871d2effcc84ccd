"""From a trained model to files that serve it."""

from kvision.export.inference import Surgery, for_inference
from kvision.export.litert import litert
from kvision.export.onnx import onnx
from kvision.export.savedmodel import savedmodel
from kvision.export.server import server_files

__all__ = ["Surgery", "for_inference", "litert", "onnx", "savedmodel", "server_files"]

"""How good a classifier is, and what it costs."""

from kvision.evaluation.macs import count_macs
from kvision.evaluation.report import Evaluation, evaluate

__all__ = ["Evaluation", "count_macs", "evaluate"]

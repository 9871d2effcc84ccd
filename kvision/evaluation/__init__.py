"""How good a classifier is, and what it costs."""

from kvision.evaluation.macs import count_macs
from kvision.evaluation.report import Evaluation, evaluate
from kvision.evaluation.sequence_accuracy import SequenceAccuracy

__all__ = ["Evaluation", "SequenceAccuracy", "count_macs", "evaluate"]

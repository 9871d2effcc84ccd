"""How good a classifier is, and what it costs."""

from kvision.evaluation.averaged import averaged
from kvision.evaluation.dense import dense
from kvision.evaluation.ensemble import ensemble
from kvision.evaluation.exact_match import ExactMatch
from kvision.evaluation.macs import count_macs
from kvision.evaluation.report import Evaluation, evaluate
from kvision.evaluation.sequence_accuracy import SequenceAccuracy

__all__ = ["Evaluation", "ExactMatch", "SequenceAccuracy", "averaged", "count_macs", "dense", "ensemble", "evaluate"]

"""How good a classifier is, and what it costs."""

from kvision.evaluation.averaged import averaged
from kvision.evaluation.calibration import Calibration, calibration
from kvision.evaluation.dense import dense
from kvision.evaluation.ensemble import ensemble
from kvision.evaluation.evaluate import evaluate
from kvision.evaluation.exact_match import ExactMatch
from kvision.evaluation.macs import count_macs
from kvision.evaluation.report import Evaluation
from kvision.evaluation.sequence_accuracy import SequenceAccuracy
from kvision.evaluation.spread import Spread, spread

__all__ = [
    "Calibration",
    "Evaluation",
    "ExactMatch",
    "SequenceAccuracy",
    "Spread",
    "averaged",
    "calibration",
    "count_macs",
    "dense",
    "ensemble",
    "evaluate",
    "spread",
]

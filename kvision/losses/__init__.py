"""Losses that Keras does not have and, beside them, the accuracy for the same labels."""

from kvision.losses.accuracy import LabelAccuracy
from kvision.losses.margin_loss import MarginLoss
from kvision.losses.quadratic_cost import QuadraticCost
from kvision.losses.smoothed_crossentropy import SmoothedCrossentropy

__all__ = ["LabelAccuracy", "MarginLoss", "QuadraticCost", "SmoothedCrossentropy"]

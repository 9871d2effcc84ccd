"""Losses that Keras does not have."""

from kvision.losses.margin_loss import MarginLoss
from kvision.losses.smoothed_crossentropy import SmoothedCrossentropy

__all__ = ["MarginLoss", "SmoothedCrossentropy"]

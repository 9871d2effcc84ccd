"""Losses that Keras does not have."""

from kvision.losses.smoothed_crossentropy import SmoothedCrossentropy

__all__ = ["SmoothedCrossentropy"]

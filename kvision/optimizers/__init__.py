"""Optimizers and, beside them, their learning-rate schedules."""

from kvision.optimizers.schedules import Warmup

__all__ = ["Warmup"]

"""Optimizers and, beside them, their learning-rate schedules."""

from kvision.optimizers.clipping import AdaptiveGradientClipping
from kvision.optimizers.decay import decays, spared_from_decay
from kvision.optimizers.schedules import Warmup

__all__ = ["AdaptiveGradientClipping", "Warmup", "decays", "spared_from_decay"]

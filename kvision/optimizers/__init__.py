"""Optimizers and, beside them, their learning-rate schedules."""

from kvision.optimizers.clipping import AdaptiveGradientClipping
from kvision.optimizers.decay import decays, spared_from_decay
from kvision.optimizers.depth import depths, layer_groups
from kvision.optimizers.layerwise import LayerwiseRates, layerwise_decay
from kvision.optimizers.schedules import AtLeast, Halving, Warmup
from kvision.optimizers.torch_sgd import TorchSGD

__all__ = [
    "AdaptiveGradientClipping",
    "AtLeast",
    "Halving",
    "LayerwiseRates",
    "TorchSGD",
    "Warmup",
    "decays",
    "depths",
    "layer_groups",
    "layerwise_decay",
    "spared_from_decay",
]

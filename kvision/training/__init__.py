"""What training needs beside `model.fit`."""

from kvision.training.augmentation import Layer, Layers, ScaledCrop
from kvision.training.finetune import Finetuned, finetune
from kvision.training.head import new_head
from kvision.training.non_finite import NonFiniteError, StopOnNonFinite
from kvision.training.optimization import (
    SGD,
    Adam,
    RMSprop,
    all_but_normalization,
    crossentropy,
    everything,
    kernels,
    margin,
    quadratic,
)
from kvision.training.plateau import ReduceOnPlateau
from kvision.training.progress import Progress
from kvision.training.recipe import Recipe
from kvision.training.recipes import get_recipe, list_recipes
from kvision.training.resume import Resume
from kvision.training.schedules import Constant, Cosine, Exponential, Halving, Plateau, Polynomial, Steps
from kvision.training.unfreeze import Unfreeze
from kvision.training.weight_average import WeightAverage

__all__ = [
    "Adam",
    "Constant",
    "Cosine",
    "Exponential",
    "Finetuned",
    "Halving",
    "Layer",
    "Layers",
    "NonFiniteError",
    "Plateau",
    "Polynomial",
    "Progress",
    "RMSprop",
    "Recipe",
    "ReduceOnPlateau",
    "Resume",
    "SGD",
    "ScaledCrop",
    "Steps",
    "StopOnNonFinite",
    "Unfreeze",
    "WeightAverage",
    "all_but_normalization",
    "crossentropy",
    "everything",
    "finetune",
    "get_recipe",
    "kernels",
    "list_recipes",
    "margin",
    "new_head",
    "quadratic",
]

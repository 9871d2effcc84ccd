"""What training needs beside `model.fit`."""

from kvision.training.callbacks.non_finite import NonFiniteError, StopOnNonFinite
from kvision.training.callbacks.plateau import ReduceOnPlateau
from kvision.training.callbacks.progress import Progress
from kvision.training.callbacks.resume import Resume
from kvision.training.callbacks.weight_average import WeightAverage
from kvision.training.finetuning.finetune import Finetuned, finetune
from kvision.training.finetuning.head import new_head
from kvision.training.finetuning.unfreeze import Unfreeze
from kvision.training.recipes.augmentation import Layer, Layers, ScaledCrop
from kvision.training.recipes.optimization import (
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
from kvision.training.recipes.published import get_recipe, list_recipes
from kvision.training.recipes.recipe import Recipe
from kvision.training.recipes.schedules import Constant, Cosine, Exponential, Halving, Plateau, Polynomial, Steps

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

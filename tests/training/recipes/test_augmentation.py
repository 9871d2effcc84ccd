"""Layers that are yet to be made: equal ones compare equal, and each call makes new ones."""

import numpy as np
import pytest
import tensorflow as tf

from kvision import data
from kvision.training import Layer, Layers, ScaledCrop
from kvision.training.recipes.augmentation import nothing, whole


def test_they_compare_by_value():
    first, second = (Layers(Layer(data.RandomFlip), Layer(data.CutMix, alpha=1.0, probability=0.5)) for _ in range(2))
    assert first == second and hash(first) == hash(second)
    assert first != Layers(Layer(data.RandomFlip), Layer(data.CutMix, alpha=1.0)) and first != Layers()
    assert Layer(data.CutMix, alpha=1.0, probability=0.5) == Layer(data.CutMix, probability=0.5, alpha=1.0)
    assert repr(first) == "RandomFlip(), CutMix(alpha=1.0, probability=0.5)"


def test_each_call_makes_layers_that_know_the_classes():
    layers = Layers(Layer(data.RandomFlip, probability=0.1), Layer(data.Mixup), Layer(data.OverlappingPairs))
    flip, mixup, pairs = layers(7)
    assert flip.probability == 0.1 and mixup.classes == 7 and pairs.classes == 7
    assert layers(7)[0] is not flip
    either = Layers(Layer(data.Either, first=Layer(data.Mixup, alpha=0.3), second=Layer(data.CutMix)))(5)[0]
    assert either.first.alpha == 0.3 and isinstance(either.second, data.CutMix) and either.classes == 5
    crop = Layer(data.RandomResizedCrop, area=(0.05, 1.0))((8, 9))
    assert crop.size == (8, 9) and crop.area == (0.05, 1.0)


@pytest.mark.parametrize(
    ("size", "shorter"), [(224, (256, 480)), (112, (128, 240)), ((224, 56), (256, 480)), (8, (9, 17))]
)
def test_sides_change_with_the_size(size, shorter):
    crop = ScaledCrop(256, 480)(size)
    assert isinstance(crop, data.RandomScaleCrop) and crop.shorter == shorter and not crop.square


def test_alexnets_window_of_the_middle():
    """227 of 256 pixels of the square in the middle of an image of 256 x 512."""
    crop = ScaledCrop(256, 256, size=227, square=True)(227)
    _, left, height, width = np.array(crop.windows(tf.constant(256), tf.constant(512), 300, tf.constant([1, 2]))).T
    assert set(height) == set(width) == {227} and left.min() >= 128 and left.max() <= 128 + 29
    assert left.min() < 131 and left.max() > 154


def test_neither_crop_nor_augmentation():
    assert whole(224) is None and nothing(10) == [] and Layers()(10) == []

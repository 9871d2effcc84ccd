"""Claims of sections 3 to 6 and Table 1."""

import keras
import numpy as np

from kvision import applications
from kvision.applications.inception_v3 import InceptionV3Recipe, factorized_7x7
from kvision.evaluation import count_macs
from tests.applications.test_contract import parameters


def test_grids(without_values):
    model = applications.InceptionV3()
    shapes = {
        "Conv2d_1a_3x3.conv": (149, 149, 32),
        "Conv2d_2a_3x3.conv": (147, 147, 32),
        "Conv2d_2b_3x3.conv": (147, 147, 64),
        "Pool1": (73, 73, 64),
        "Conv2d_3b_1x1.conv": (73, 73, 80),
        "Conv2d_4a_3x3.conv": (71, 71, 192),
        "Pool2": (35, 35, 192),
        "Mixed_5b": (35, 35, 256),
        "Mixed_5c": (35, 35, 288),
        "Mixed_5d": (35, 35, 288),
        **{f"Mixed_6{letter}": (17, 17, 768) for letter in "abcde"},
        "Mixed_7a": (8, 8, 1280),
        "Mixed_7b": (8, 8, 2048),
        "Mixed_7c": (8, 8, 2048),
    }
    assert {name: model.get_layer(name).output.shape[1:] for name in shapes} == shapes
    # The released network was trained without the gains of its normalizations, as keras.applications counts.
    gains = sum(weight.shape[0] for weight in model.trainable_weights if weight.name == "gamma")
    assert parameters(model) - gains == 23_817_352
    keras.backend.clear_session()


def test_the_auxiliary_classifier(without_values):
    model = applications.InceptionV3(aux=True)
    assert parameters(model) == 27_161_264 and len(model.heads) == 1 and model.output_shape == (None, 1000)
    assert count_macs(model) == applications.InceptionV3.macs
    keras.backend.clear_session()


def test_1x7_and_7x1_cost_14_of_49(without_values):
    """Section 3.2: n x n into 1 x n and n x 1; for n = 3 this is 33 % cheaper, for n = 7 71 %."""
    inputs = keras.Input((17, 17, 768))
    model = keras.Model(inputs, factorized_7x7(inputs, 192, InceptionV3Recipe(), "mixed"))
    kernels = [model.get_layer(f"mixed.branch7x7_{i}.conv").kernel for i in (2, 3)]
    assert [tuple(kernel.shape) for kernel in kernels] == [(1, 7, 192, 192), (7, 1, 192, 192)]
    assert sum(int(np.prod(kernel.shape)) for kernel in kernels) * 49 == 14 * (7 * 7 * 192 * 192)
    assert model.output_shape == (None, 17, 17, 768)

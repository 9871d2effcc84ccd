"""Every kind of network exports, and a process without Keras and kvision answers what the network answers."""

import pathlib
import re

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.classifier import Preprocess
from kvision.evaluation import ensemble
from kvision.export import savedmodel
from tests.applications.test_contract import TINY
from tests.serving import ask, operations

README = pathlib.Path(__file__).parents[2] / "README.md"


def spread_out(model) -> None:
    """Kernels from N(0, 2 / fan-in): some networks' own are so small that all images get the same scores.

    Those that choose where to look are a tenth of that: their rounding is multiplied by the width of an image of noise.
    """
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        if variable.name == "gain":  # some start at 0, and would hide a branch
            variable.assign(keras.ops.ones(variable.shape))
        if variable.name == "kernel":
            deviation = np.sqrt(2 / np.prod(variable.shape[:-1])) * (0.1 if "theta" in variable.path else 1)
            variable.assign(random.normal(0, deviation, variable.shape))


def committees():
    """Networks of networks, by name."""
    small = dict(classes=5, depths=(1, 1, 1), widths=(16, 16, 16))
    first, second = (applications.ResNet20(input_shape=(size, size, 3), **small) for size in (16, 24))
    column = applications.MCDNNColumnMNIST(input_shape=(14, 17, 3), layers="4C3-MP2-6C2-MP3-8N", classes=5)
    brighter = keras.layers.Rescaling(2.0)
    yield "ensemble", ensemble([first, second], [Preprocess((0.5,), (0.3,)), Preprocess()])
    yield "MCDNN", applications.mcdnn.MCDNN([column, (brighter, column)])


def networks():
    for tiny in TINY:
        model = tiny(input_shape=(*tiny.shape[:2], 3), classifier_activation=None)
        spread_out(model)
        yield tiny.row.name, model
    for name, model in committees():
        spread_out(model)
        yield name, model


def test_every_kind_of_network_is_served_without_keras(tmp_path):
    questions, expected, random, used = {}, {}, np.random.default_rng(1), set()
    for number, (name, model) in enumerate(networks()):
        half = Preprocess((0.5,), (0.3,))
        folder = savedmodel(model, tmp_path / f"{number}-{name}", preprocess=half, features=False)
        used |= operations(folder)
        pixels = random.uniform(0, 128, (2, *model.input_shape[1:])) + [[[[0, 0, 128]]], [[[128, 64, 0]]]]
        questions[folder] = pixels.astype("float32")
        expected[folder] = model.predict_on_batch((questions[folder] / 255 - 0.5) / 0.3)
    for onednn in (True, False):
        answers = ask(questions, onednn)
        for folder, scores in expected.items():
            name, largest = folder.parent.name, np.abs(scores).max()
            assert np.ptp(scores, axis=0).max() > 1e-3 * largest, f"{name}: the scores do not depend on the image"
            difference = np.abs(answers[folder] - scores).max() / largest
            assert difference < 1e-5, f"{name}, oneDNN {onednn}: {difference:.1e} of the largest logit"
    (listed,) = re.findall(r"<!-- operations -->(.*?)<!-- /operations -->", README.read_text(), re.DOTALL)
    assert sorted(used) == listed.split(), f"the README lists others than {' '.join(sorted(used))}"


def slow(name):
    return pytest.param(name, marks=pytest.mark.slow)


@pytest.mark.parametrize("name", ["CBAMResNet50", slow("ResNeSt50"), slow("Attention56"), slow("SENet154")])
def test_whole_networks_are_served_without_keras(name, tmp_path):
    """At full width and depth, on small images."""
    model = getattr(applications, name)(input_shape=(64, 64, 3), classifier_activation=None)
    random = np.random.default_rng(1)
    pixels = random.uniform(0, 128, (8, 64, 64, 3)) + random.uniform(0, 127, (8, 1, 1, 3))
    pixels = pixels.astype("float32")
    for variable in model.trainable_variables:
        if variable.name == "beta":  # around 0 they would make a deep random network chaotic
            variable.assign(random.normal(0.5, 0.5, variable.shape))
    for layer in model.layers:
        layer.momentum = 0.0  # of batch norms: the statistics of this batch, as after training
    model((pixels / 255 - 0.5) / 0.3, training=True)
    folder = savedmodel(model, tmp_path / name, preprocess=Preprocess((0.5,), (0.3,)))
    scores = model.predict_on_batch((pixels / 255 - 0.5) / 0.3)
    assert np.ptp(scores, axis=0).max() > 1e-3 * np.abs(scores).max()
    assert np.abs(ask({folder: pixels})[folder] - scores).max() < 1e-5 * np.abs(scores).max()

import keras
import numpy as np
import pytest

from kvision.applications import ResNet20
from kvision.classifier import Preprocess
from kvision.evaluation import ensemble, evaluate
from kvision.export import savedmodel
from tests.serving import ask

PIXELS = np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 3)).astype("float32")
FIRST, SECOND = Preprocess((0.5, 0.4, 0.3), (0.2, 0.3, 0.1)), Preprocess((100.0,), (50.0,), scale=1.0)


def network(seed, preprocess, size=16, activation="softmax"):
    keras.utils.set_random_seed(seed)
    row = ResNet20(input_shape=(size, size, 3), classes=5, depths=(1, 1, 1), classifier_activation=activation)
    row.layers[-1].kernel.assign(10 * row.layers[-1].kernel)  # so that images differ
    return row.with_preprocess(preprocess)


def test_probabilities_are_averaged_each_network_with_its_own_preprocessing(tmp_path):
    first, second = network(0, FIRST), network(1, SECOND)
    whole = ensemble([first, second])
    expected = (first(FIRST(PIXELS)) + second(SECOND(PIXELS))) / 2
    np.testing.assert_allclose(whole(PIXELS), expected, atol=1e-6)
    assert np.ptp(expected, axis=0).max() > 1e-2 and whole.count_params() == 2 * first.count_params()
    # One model: it saves, evaluates and is served.
    whole.save(tmp_path / "whole.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "whole.keras")(PIXELS), expected, atol=1e-6)
    right = np.argmax(expected, 1)
    assert evaluate(whole, [(PIXELS, right)], list("abcde"), progress=False).top1 == 1
    folder = savedmodel(whole, tmp_path / "served")
    np.testing.assert_allclose(ask({folder: PIXELS})[folder], expected, atol=1e-5)


def test_logits_go_through_softmax_first():
    first, second = (network(seed, FIRST, activation=None) for seed in (0, 1))
    expected = (keras.ops.softmax(first(FIRST(PIXELS))) + keras.ops.softmax(second(FIRST(PIXELS)))) / 2
    np.testing.assert_allclose(ensemble([first, second], from_logits=True)(PIXELS), expected, atol=1e-6)


def test_a_network_of_another_size_gets_the_image_resized():
    small, large = network(0, FIRST, 16), network(1, SECOND, 24)
    whole = ensemble([small, large])
    assert whole.input_shape == (None, 24, 24, 3)
    flat = np.tile(PIXELS[:, :1, :1], (1, 24, 24, 1))  # of one colour: the same in every size
    expected = (small(FIRST(flat[:, :16, :16])) + large(SECOND(flat))) / 2
    np.testing.assert_allclose(whole(flat), expected, atol=1e-5)


def test_one_network_twice_counts_twice():
    first, second = network(0, FIRST), network(1, FIRST)
    whole = ensemble([first, second, first], [FIRST, FIRST, SECOND])
    expected = (first(FIRST(PIXELS)) + second(FIRST(PIXELS)) + first(SECOND(PIXELS))) / 3
    np.testing.assert_allclose(whole(PIXELS), expected, atol=1e-6)
    assert whole.count_params() == 2 * first.count_params()
    np.testing.assert_allclose(ensemble([first])(PIXELS), first(FIRST(PIXELS)), atol=1e-6)


def test_networks_that_do_not_fit_are_named():
    first = network(0, FIRST)
    other = ResNet20(input_shape=(16, 16, 3), classes=4, depths=(1, 1, 1))
    grey = ResNet20(input_shape=(16, 16, 1), classes=5, depths=(1, 1, 1))
    unknown = ResNet20(input_shape=(16, 16, 3), classes=5, depths=(1, 1, 1), name="nobody")
    for models, preprocess, message in [
        ([], None, "at least one network"),
        ([first, other], None, r"the same classes.*\(None, 5\), \(None, 4\)"),
        ([first, grey], None, "the same channels"),
        ([first, unknown], None, r"1 for 2 networks|unknown of \['nobody'\]"),
        ([first, unknown], [FIRST], "1 for 2 networks"),
    ]:
        with pytest.raises(ValueError, match=message):
            ensemble(models, preprocess)

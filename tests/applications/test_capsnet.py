"""Claims of sections 3 to 5, and of the decoder that training adds."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from kvision import applications
from kvision.applications.capsnet import PERTURBATIONS, decoder, perturb, reconstruct
from kvision.classifier import Preprocess
from kvision.data import OverlappingPairs
from kvision.evaluation import ExactMatch
from kvision.export import savedmodel
from kvision.losses import MarginLoss
from tests.applications.test_contract import parameters

SMALL = dict(input_shape=(20, 20, 1), classes=4, filters=8, capsules=3, dimensions=(4, 6), decoder=(16,))
RANDOM = np.random.default_rng(0)
X = RANDOM.random((6, 20, 20, 1), "float32")
Y = np.array([0, 3, 1, 2, 0, 3])


def network(**changes):
    """With long capsules from the start."""
    model = applications.CapsNet(**{**SMALL, **changes})
    for name in ("primarycaps", "digitcaps"):
        kernel = model.get_layer(name).trainable_weights[0]
        kernel.assign(3 * np.array(kernel))
    return model


def capsules(model, x):
    return np.array(keras.Model(model.input, model.get_layer("digitcaps").output)(x))


def test_section_4():
    model = applications.CapsNet()
    names = ["conv1", "primarycaps", "digitcaps", "predictions"]
    assert [model.get_layer(name).output.shape[1:] for name in names] == [(20, 20, 256), (1152, 8), (10, 16), (10,)]
    assert model.get_layer("digitcaps").kernel.shape == (6 * 6 * 32, 8, 10, 16)
    units = [layer.units for layer in decoder(model).branch.layers if isinstance(layer, keras.layers.Dense)]
    assert units == [512, 1024, 784] and decoder(model).branch.output_shape == (None, 28, 28, 1)
    # "CapsNet has 8.2M parameters and 6.8M parameters without the reconstruction subnetwork" (section 5.2)
    assert parameters(model) == 8_215_568 and parameters(applications.CapsNet(decoder=None)) == 6_804_224
    assert parameters(applications.CapsNet(use_bias=True)) == 8_215_568 + 10 * 16
    keras.backend.clear_session()


def test_multimnist_has_larger_images():
    model = applications.CapsNetMultiMNIST()
    assert model.get_layer("primarycaps").output.shape[1:] == (10 * 10 * 32, 8)
    assert decoder(model).branch.output_shape == (None, 36, 36, 1) and decoder(model).digits == 2
    keras.backend.clear_session()


def test_scores_are_lengths():
    model = applications.CapsNet(**SMALL)
    scores = model.predict(X, verbose=0)
    np.testing.assert_allclose(scores, np.linalg.norm(capsules(model, X), axis=-1), atol=1e-6)
    assert scores.shape == (6, 4) and scores.min() > 0 and scores.max() < 1
    with pytest.raises(ValueError, match="`classifier_activation` is left alone"):
        applications.CapsNet(classifier_activation="sigmoid", **SMALL)


def test_the_label_masks_the_decoder_in_training_and_the_longest_capsule_else():
    model = network()
    v = capsules(model, X)
    masked = np.zeros_like(v)
    masked[np.arange(6), Y] = v[np.arange(6), Y]
    expected = np.array(decoder(model).branch(masked))
    for labels in (Y, Y[:, None], np.eye(4)[Y]):
        images = np.array(reconstruct(model, X, labels))
        assert images.shape == (6, 1, 20, 20, 1)
        np.testing.assert_allclose(images[:, 0], expected, atol=1e-6)
    longest = model.predict(X, verbose=0).argmax(1)
    np.testing.assert_array_equal(reconstruct(model, X), reconstruct(model, X, longest))
    assert np.abs(np.array(reconstruct(model, X))[:, 0] - expected).max() > 1e-4  # some labels are not the longest


@pytest.mark.parametrize("digits", [1, 2])
def test_fit_adds_the_squared_differences(digits):
    model = network(digits=digits)
    y = Y if digits == 1 else np.maximum(np.eye(4)[Y], np.eye(4)[(Y + 1) % 4])
    model.compile(keras.optimizers.SGD(0.0), MarginLoss())
    x = np.minimum(1.5 * X, 1)  # a third of it full ink, where more of it is no error
    images = np.array(reconstruct(model, x, y))
    assert images.shape[1] == digits
    errors = images.sum(1) - x
    errors = np.where(x < 1, errors, np.minimum(errors, 0))
    reconstruction = 0.0005 * (errors**2).sum((1, 2, 3)).mean()
    margin = float(MarginLoss()(y, model.predict(x, verbose=0)))
    loss = model.fit(x, y, batch_size=6, verbose=0).history["loss"][0]
    assert loss == pytest.approx(margin + reconstruction, rel=1e-5) and reconstruction > 0.01
    assert model.evaluate(x, y, verbose=0) == pytest.approx(margin, rel=1e-5)


def test_too_much_ink_comes_down_again():
    """Two digits with full ink everywhere, of an image with none."""
    model, y = network(digits=2), np.maximum(np.eye(4)[Y], np.eye(4)[(Y + 1) % 4])
    bias = decoder(model).branch.get_layer("pixels").bias
    bias.assign(np.full(bias.shape, 2.0))
    assert np.array(reconstruct(model, X, y)).sum(1).min() > 1
    model.compile(keras.optimizers.SGD(1.0), MarginLoss())
    model.fit(0 * X, y, batch_size=6, verbose=0)
    assert np.array(bias).max() < 2


def test_weighted_samples_weigh_in_both_losses():
    model = applications.CapsNet(**SMALL)
    model.compile(keras.optimizers.SGD(0.0), MarginLoss())
    weights = np.array([2.0, 0, 0, 0, 0, 0])
    weighted = model.fit(X, Y, sample_weight=weights, batch_size=6, verbose=0).history["loss"][0]
    alone = model.fit(X[:1], Y[:1], verbose=0).history["loss"][0]
    assert weighted == pytest.approx(alone * 2 / 6, rel=1e-5)


def test_it_learns_to_tell_and_to_draw_digits(tmp_path):
    images, labels = load_digits(return_X_y=True)
    x = np.kron(images[:40].reshape(-1, 8, 8, 1), np.ones((1, 2, 2, 1))).astype("float32") / 16
    x, y = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0))), labels[:40]
    model = applications.CapsNet(**{**SMALL, "classes": 10, "decoder": (64,)}, reconstruction=0.005)
    model.compile(keras.optimizers.Adam(0.01), MarginLoss(), metrics=["accuracy"])

    def error():
        return ((np.array(reconstruct(model, x, y))[:, 0] - x) ** 2).sum((1, 2, 3)).mean()

    model.fit(x, y, batch_size=40, epochs=50, verbose=0)
    assert model.evaluate(x, y, verbose=0, return_dict=True)["accuracy"] == 1
    mean = ((x - x.mean(0)) ** 2).sum((1, 2, 3)).mean()
    assert error() < 0.8 * mean  # it draws the digit that it sees, not their mean
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(reconstruct(again, x), reconstruct(model, x))
    assert (decoder(again).weight, decoder(again).digits) == (0.005, 1)


def test_the_decoder_is_not_exported(tmp_path):
    model = network()
    served = tf.saved_model.load(str(savedmodel(model, tmp_path / "served", preprocess=Preprocess())))
    signature = served.signatures["tensor"]
    lengths = signature(pixels=tf.constant(255 * X))["scores"]
    np.testing.assert_allclose(lengths, model.predict(X, verbose=0), atol=1e-5)
    assert len(signature.variables) == len(network(decoder=None).weights) == len(model.weights) - 4


def test_without_a_decoder_nothing_is_reconstructed():
    model = applications.CapsNet(**{**SMALL, "decoder": None})
    assert not model.heads
    with pytest.raises(ValueError, match="with its top and a decoder"):
        reconstruct(model, X)


def test_the_baseline_of_section_5(without_values):
    model = applications.CapsNetBaseline()
    shapes = [model.get_layer(f"conv{number}").output.shape[1:] for number in (1, 2, 3)]
    assert shapes == [(28, 28, 256), (28, 28, 256), (28, 28, 128)]
    assert [model.get_layer(name).units for name in ("fc1", "fc2", "predictions")] == [328, 192, 10]
    assert [model.get_layer(f"fc{number}.drop").rate for number in (1, 2)] == [0.0, 0.5]
    assert round(parameters(model) / 1e6, 1) == 35.4
    keras.backend.clear_session()


def test_one_dimension_is_perturbed_at_a_time():
    """By -0.25 to 0.25 in steps of 0.05 (section 5.1)."""
    model = network()
    images = np.array(perturb(model, X[0], label=2))
    assert images.shape == (6, 11, 20, 20, 1) and len(PERTURBATIONS) == 11
    np.testing.assert_allclose(np.diff(PERTURBATIONS), 0.05)
    assert (PERTURBATIONS[0], PERTURBATIONS[-1]) == (-0.25, 0.25)
    plain = np.array(reconstruct(model, X[:1], np.array([2])))[0, 0]
    for images_of_one in images:
        np.testing.assert_allclose(images_of_one[5], plain, atol=1e-6)  # nothing added
    v = np.zeros((1, 4, 6), "float32")
    v[0, 2] = capsules(model, X[:1])[0, 2]
    v[0, 2, 3] += 0.25
    np.testing.assert_allclose(images[3, 10], decoder(model).branch(v)[0], atol=1e-6)
    longest = int(model.predict(X[:1], verbose=0).argmax())
    np.testing.assert_array_equal(perturb(model, X[0]), perturb(model, X[0], longest))


def test_two_overlapping_digits_are_learned():
    """MultiMNIST by plain fit: pairs from tf.data, the margin loss and the decoder, and exact match."""
    images, labels = load_digits(return_X_y=True)
    pairs = OverlappingPairs(10, shift=4, limit=16)
    batches = tf.data.Dataset.from_tensors((images[:30].reshape(-1, 8, 8, 1).astype("float32"), labels[:30]))
    batches = batches.map(lambda images, labels: pairs(images, labels, seed=(0, 1)))
    batches = batches.map(lambda images, labels: (tf.pad(images, [[0, 0], [2, 2], [2, 2], [0, 0]]) / 16, labels))
    model = applications.CapsNet(**{**SMALL, "classes": 10, "capsules": 8}, digits=2)
    model.compile(keras.optimizers.Adam(0.01), MarginLoss(), metrics=[ExactMatch()])
    before = model.evaluate(batches, verbose=0, return_dict=True)
    model.fit(batches.repeat(40), steps_per_epoch=40, shuffle=False, verbose=0)
    after = model.evaluate(batches, verbose=0, return_dict=True)
    assert before["exact_match"] < 0.3 and after["exact_match"] > 0.8 and after["loss"] < before["loss"] / 2

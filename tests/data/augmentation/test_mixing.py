import numpy as np
import pytest
import tensorflow as tf

from kvision.data import CutMix, Either, Mixup, RandomFlip

LABELS = np.array([0, 1, 2, 3])
ONES = np.eye(4, dtype="float32")


def ramp(count):
    """Images of one value each: 0, 1, 2, ..."""
    return np.tile(np.arange(count, dtype="float32")[:, None, None, None], (1, 2, 2, 1))


def test_labels_are_mixed_as_pixels_are():
    """An image of value i and class i: the mixture's value is the mean of its classes."""
    for per in ("batch", "sample"):
        for number in range(20):
            images, labels = Mixup(1.0, per, classes=4)(ramp(4), LABELS, seed=(0, number))
            np.testing.assert_allclose(images[:, 0, 0, 0], labels.numpy() @ LABELS, atol=1e-6)
            np.testing.assert_allclose(labels.numpy().sum(1), 1, atol=1e-6)
            np.testing.assert_allclose(images.numpy().mean(), 1.5, atol=1e-6 if per == "batch" else 2)
            both, _ = Mixup(1.0, per)(ramp(4), ONES, seed=(0, number))
            np.testing.assert_array_equal(both, images)


@pytest.mark.parametrize("alpha", [1e-3, 0.2, 1.0, 5.0])
def test_parts_are_drawn_from_the_beta_distribution(alpha):
    """Mean 1/2, variance 1 / (4 (2 alpha + 1)); alpha = 1 is uniform. Every partner is as likely."""
    count = 4000
    images, partners, own = Mixup(alpha, per="sample").mix(tf.zeros((count, 1, 1, 1)), tf.constant([0, 5], tf.int64))
    own = own.numpy()
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(own.mean() - 0.5) < 4 * np.sqrt(variance / count)
    assert abs(own.var() - variance) < 0.006
    if alpha == 1:
        assert np.abs(np.sort(own) - (np.arange(count) + 0.5) / count).max() < 1.95 / np.sqrt(count)  # Kolmogorov
    np.testing.assert_array_equal(np.sort(partners), np.arange(count))
    assert images.shape == (count, 1, 1, 1)


def test_one_part_for_the_batch_or_one_for_each_image():
    for per, distinct in (("batch", 1), ("sample", 50)):
        _, _, own = Mixup(1.0, per).mix(tf.zeros((50, 1, 1, 1)), tf.constant([0, 1], tf.int64))
        assert len(np.unique(own)) == distinct


def test_without_alpha_nothing_is_mixed():
    images, labels = Mixup(0.0)(ramp(4), ONES, seed=(0, 0))
    np.testing.assert_array_equal(images, ramp(4))
    np.testing.assert_array_equal(labels, ONES)


def test_weighted_losses_are_exactly_the_two_that_were_mixed():
    """w p y_i + ... is linear: the cross-entropy of the mixture is p w_i CE(y_i) + (1 - p) w_j CE(y_j)."""
    layer, weights = Mixup(1.0, per="sample"), np.array([1, 0, 0.5, 3], "float32")
    logs = np.random.default_rng(0).normal(size=(4, 4))
    _, partners, own = layer.mix(tf.constant(ramp(4)), tf.constant([0, 3], tf.int64))
    _, labels, weighted = layer(ramp(4), ONES, weights, seed=(0, 3))
    own, partners = own.numpy(), partners.numpy()
    rows = np.arange(4)
    expected = own * weights * logs[rows, rows] + (1 - own) * weights[partners] * logs[rows, partners]
    np.testing.assert_allclose(weighted.numpy() * (labels.numpy() * logs).sum(1), expected, atol=1e-6)
    np.testing.assert_allclose(labels.numpy().sum(1), 1, atol=1e-6)


@pytest.mark.parametrize("probability", [0, 0.3, 1])
def test_either_layer_mixes_a_batch(probability):
    """Images of one value each: CutMix leaves only whole values, mixup leaves images of one value."""
    images, labels = tf.constant(np.tile(ramp(12), (1, 4, 4, 1))), np.eye(12, dtype="float32")
    layer, first = Either(Mixup(1.0), CutMix(), probability), 0
    draw = tf.function(lambda number: layer(images, labels, seed=tf.stack([0, number])))
    for number in tf.range(300, dtype=tf.int64):
        result, parts = draw(number)
        assert parts.dtype == tf.float32 and parts.shape == (12, 12)
        np.testing.assert_allclose(result.numpy().mean((1, 2, 3)), parts.numpy() @ np.arange(12), atol=1e-5)
        first += int((result.numpy() % 1 != 0).any())
    assert abs(first / 300 - probability) <= 4 * np.sqrt(probability * (1 - probability) / 300)


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        (LABELS, None, "needs classes= for labels that are class ids"),
        (LABELS.astype("float32"), 4, r"integers \(B,\), or parts of classes.*got float32 of the shape \(4,\)"),
        (LABELS[:, None], 4, r"got int64 of the shape \(4, 1\)"),
        (ONES.astype("int32"), 4, r"got int32 of the shape \(4, 4\)"),
        (ONES, 3, "was made for 3 classes, got 4"),
    ],
)
def test_labels_are_ids_or_parts(labels, classes, message):
    with pytest.raises(ValueError, match=message):
        Mixup(classes=classes)(ramp(4), labels, seed=(0, 0))


def test_ids_beyond_the_classes_are_named():
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"must be in 0 ... 2"):
        Mixup(classes=3)(ramp(4), LABELS, seed=(0, 0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mixup(-1), "alpha must be 0 or more, got -1"),
        (lambda: Mixup(per="image"), 'per must be "batch" or "sample", got \'image\''),
        (lambda: Mixup(classes=1), "classes must be 2 or more, got 1"),
        (
            lambda: Either(Mixup(), RandomFlip()),
            "two layers that mix images, such as Mixup and CutMix, got <RandomFlip",
        ),
        (lambda: Either(Mixup(), CutMix(), 2), r"probability must be in \[0, 1\], got 2"),
        (lambda: Mixup()(ramp(4), None, np.ones(4), seed=(0, 0)), "no labels that they could weigh"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision import applications
from kvision.layers import GlobalContrastNormalization, ZCAWhitening

random = np.random.default_rng(0)
IMAGES = (random.normal(size=(400, 12)) @ random.normal(size=(12, 12)) + 3).reshape(400, 2, 2, 3).astype("float32")


@pytest.fixture(scope="module")
def whitening():
    layer = ZCAWhitening(bias=1e-6)
    layer.adapt(IMAGES)
    return layer


def test_whitened_pixels_are_uncorrelated(whitening):
    y = np.array(whitening(IMAGES)).reshape(400, 12)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(np.cov(y.T, bias=True), np.eye(12), atol=1e-3)


def test_among_all_whitenings_it_changes_the_least(whitening):
    """W is symmetric and positive: any further rotation R W moves the centred images more."""
    matrix = whitening.matrix.numpy()
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-4)
    assert np.linalg.eigvalsh(matrix).min() > 0
    centred = IMAGES.reshape(400, 12) - IMAGES.reshape(400, 12).mean(0)
    white = centred @ matrix
    for seed in range(5):
        rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(12, 12)))
        assert np.square(white - centred).sum() < np.square(white @ rotation - centred).sum()


def test_the_bias_is_added_to_the_variances():
    """Values of variance 4 and 0 apart: roots of 4 + 12 and 0 + 12."""
    layer = ZCAWhitening(bias=12)
    layer.adapt(np.array([[2.0, 0], [-2, 0]]).reshape(2, 1, 2, 1))
    np.testing.assert_allclose(layer.matrix, np.diag([1 / 4, 1 / np.sqrt(12)]), rtol=1e-6)


def test_batches_are_adapted_to_as_a_whole(whitening):
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, np.zeros(400))).batch(150)
    for data in (dataset, [IMAGES[:10], IMAGES[10:]]):
        layer = ZCAWhitening(bias=1e-6)
        layer.adapt(IMAGES * 5)
        layer.adapt(data)
        np.testing.assert_allclose(layer.matrix, whitening.matrix, atol=1e-4)


def test_a_network_keeps_it(tmp_path):
    """The whole of what NIN saw on CIFAR, in one model that is saved and answers again."""
    images = np.random.default_rng(1).uniform(0, 255, (8, 16, 16, 3)).astype("float32")
    contrast, whitening = GlobalContrastNormalization(55), ZCAWhitening()
    whitening.adapt(np.array(contrast(images)))
    inputs = keras.Input((16, 16, 3))
    model = applications.NIN(input_tensor=whitening(contrast(inputs)), classes=10)
    assert model.input_shape == (None, 16, 16, 3)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(images), model(images))
    assert not any("matrix" in weight.path for weight in model.trainable_weights)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ZCAWhitening(0), "`bias` is positive"),
        (lambda: ZCAWhitening()(keras.Input((None, None, 3))), r"images of one size.*\(None, None, None, 3\)"),
        (lambda: ZCAWhitening().adapt([]), "at least one image"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_another_shape_is_named(whitening):
    with pytest.raises(ValueError, match=r"whitens images \(2, 2, 3\). Received: a batch \(4, 3, 2, 2\)"):
        whitening.adapt(np.zeros((4, 3, 2, 2)))

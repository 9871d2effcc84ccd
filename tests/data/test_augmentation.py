import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.data import Augmentation, RandomCropWithPadding, RandomFlip

LAYERS = [
    RandomFlip(),
    RandomFlip(0.9),
    RandomCropWithPadding(),
    RandomCropWithPadding(2, "reflect"),
    RandomCropWithPadding(0),
]
BATCH = np.random.default_rng(0).integers(0, 256, (9, 8, 10, 3))

each_layer = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: str(tuple(layer.get_config().values())[3:]))


@each_layer
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float16", "float32", "float64"])
def test_a_dataset_does_what_eager_does_and_the_dtype_stays(layer, dtype):
    images = BATCH.astype(dtype)
    eager = [layer(images, seed=(3, number)).numpy() for number in range(3)]
    assert {result.dtype for result in eager} == {np.dtype(dtype)}
    seeds = tf.data.Dataset.range(3)
    for threads in (1, 4):
        mapped = seeds.map(lambda n: layer(images, seed=tf.stack([3, n])), threads)
        assert mapped.element_spec == tf.TensorSpec(BATCH.shape, dtype)
        for result, expected in zip(mapped, eager, strict=True):
            np.testing.assert_array_equal(result, expected)


@each_layer
def test_unknown_sizes(layer):
    signature = [tf.TensorSpec((None, None, None, 3), tf.int64), tf.TensorSpec(2, tf.int64)]
    traced = tf.function(layer, input_signature=signature)
    np.testing.assert_array_equal(traced(BATCH, (1, 2)), layer(BATCH, (1, 2)))


@each_layer
def test_config_round_trip(layer):
    clone = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert clone.get_config() == layer.get_config()
    np.testing.assert_array_equal(clone(BATCH, (1, 2)), layer(BATCH, (1, 2)))


@each_layer
def test_a_symbolic_call_raises(layer):
    with pytest.raises(ValueError, match=r"symbolic Keras tensor.*part of the model.*dataset.map"):
        layer(keras.Input((8, 8, 3)))
    with pytest.raises(ValueError, match="symbolic Keras tensor"):
        keras.Sequential([keras.Input((8, 8, 3)), layer])


def test_flip_mirrors_each_image_with_the_probability():
    np.testing.assert_array_equal(RandomFlip(0)(BATCH, (0, 0)), BATCH)
    np.testing.assert_array_equal(RandomFlip(1)(BATCH, (0, 0)), BATCH[:, :, ::-1])
    many = np.tile([[[0], [1]]], (4000, 1, 1, 1))
    for probability in (0.5, 0.2):
        flipped = np.mean(RandomFlip(probability)(many, (0, 1))[:, 0, 0] == 1)
        assert abs(flipped - probability) < 4 * np.sqrt(probability * (1 - probability) / 4000)
    mixed = RandomFlip()(BATCH, (0, 2)).numpy()
    which = (mixed == BATCH[:, :, ::-1]).all((1, 2, 3))
    assert 0 < which.sum() < len(BATCH)
    np.testing.assert_array_equal(mixed[~which], BATCH[~which])


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_crop_is_a_window_of_the_padded_image_and_every_window_occurs(mode):
    padding, (height, width) = 2, (5, 6)
    image = 1 + np.arange(height * width).reshape(height, width, 1)
    padded = np.pad(image, [(padding, padding), (padding, padding), (0, 0)], mode)
    windows = {
        padded[top : top + height, left : left + width].tobytes(): (top, left)
        for top in range(2 * padding + 1)
        for left in range(2 * padding + 1)
    }
    crops = RandomCropWithPadding(padding, mode)(np.tile(image, (500, 1, 1, 1)), (0, 0)).numpy()
    found = {windows[crop.tobytes()] for crop in crops}
    assert len(found) == (2 * padding + 1) ** 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomFlip(1.5), r"probability must be in \[0, 1\], got 1.5"),
        (lambda: RandomCropWithPadding(-1), "padding must be 0 or more pixels, got -1"),
        (lambda: RandomCropWithPadding(mode="symmetric"), 'mode must be "constant" or "reflect", got \'symmetric\''),
        (lambda: RandomFlip()(BATCH[0], seed=(0, 0)), r"batch \(B, H, W, C\), got the shape \(8, 10, 3\)"),
        (lambda: RandomFlip()(BATCH), "needs seed="),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_base_class_asks_for_call():
    with pytest.raises(NotImplementedError, match="must define call"):
        Augmentation()(BATCH, (0, 0))

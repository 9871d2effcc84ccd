import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.data import FromKeras

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 12, 10, 3)).astype("uint8")


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.RandomRotation(0.2),
        keras.layers.RandomShear((0.0, 0.3), (0.0, 0.3)),
        keras.layers.RandomErasing(1.0),
        keras.layers.RandomGrayscale(0.5),
        keras.layers.RandAugment(num_ops=1),
        keras.layers.RandomCrop(6, 5),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_the_seed_decides(layer):
    """Also what a layer's own layers draw, as in RandAugment."""
    wrapped = FromKeras(layer)
    results = [wrapped(IMAGES, seed=(0, number)).numpy() for number in (0, 1, 2, 3, 0)]
    np.testing.assert_array_equal(results[0], results[4])
    assert len({result.tobytes() for result in results}) > 1
    np.testing.assert_array_equal(FromKeras(layer)(IMAGES, seed=(0, 1)), results[1])


def test_images_are_flipped_independently():
    image = np.arange(3, dtype="uint8").reshape(1, 1, 3, 1)
    flipped = FromKeras(keras.layers.RandomFlip("horizontal"))(np.repeat(image, 2000, 0), seed=(0, 0)).numpy()
    share = (flipped[:, 0, 0, 0] == 2).mean()
    assert abs(share - 0.5) < 4 * np.sqrt(0.25 / 2000)


def test_each_draw_has_a_key_of_its_own():
    """Angles, and which images turn them, would be one number if Keras drew twice with one key."""
    layer = FromKeras(keras.layers.RandomTranslation((-0.5, 0.5), (-0.5, 0.5), fill_mode="constant"))
    points = np.zeros((500, 21, 21, 1), "float32")
    points[:, 10, 10] = 1000
    moved = layer(points, seed=(0, 0)).numpy()[..., 0]
    moved /= moved.sum((1, 2), keepdims=True)
    y, x = (moved.sum(2) * np.arange(21)).sum(1), (moved.sum(1) * np.arange(21)).sum(1)
    assert abs(np.corrcoef(y, x)[0, 1]) < 4 / np.sqrt(500)
    assert np.ptp(y) > 15 and np.ptp(x) > 15


def test_the_layer_that_was_given_is_left_alone():
    layer = keras.layers.RandomFlip(seed=1)
    state = np.array(layer.generator.state)
    FromKeras(layer)(IMAGES, seed=(0, 0))
    np.testing.assert_array_equal(layer.generator.state, state)
    layer(IMAGES)
    assert (np.array(layer.generator.state) != state).any()


@pytest.mark.parametrize("options", [{"dtype": "mixed_float16"}, {"data_format": "channels_first"}])
def test_layers_of_other_formats_take_the_same_images(options):
    images = 2049 + IMAGES.astype("int32")  # float16 has no odd numbers there
    options = {"factor": (-0.5, 0.5), "value_range": (0, 4000), **options}
    layer = keras.layers.RandomBrightness(**options)
    expected = FromKeras(keras.layers.RandomBrightness((-0.5, 0.5), (0, 4000)))(images, seed=(0, 0))
    np.testing.assert_array_equal(FromKeras(layer)(images, seed=(0, 0)), expected)
    assert (expected.numpy() % 2).any()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (keras.layers.Dense(3), "an image preprocessing layer of keras.layers, got <Dense"),
        (keras.layers.MixUp(), "use kvision.data.Mixup"),
        (keras.layers.CutMix(), "use kvision.data.CutMix"),
        (keras.layers.AugMix(), "use kvision.data.AugMix"),
    ],
)
def test_other_layers_are_refused(layer, message):
    with pytest.raises(ValueError, match=message):
        FromKeras(layer)


def test_it_computes_with_tensorflow():
    assert isinstance(FromKeras(keras.layers.RandomFlip())(IMAGES, seed=(0, 0)), tf.Tensor)

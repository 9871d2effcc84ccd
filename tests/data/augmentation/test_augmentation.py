"""What every augmentation promises: one table of cases drives one set of tests."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision import data
from kvision.data import Augmentation

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 10, 3))
LABELS = np.array([0, 1, 2, 0, 1, 2])
WEIGHTS = np.array([1, 2, 3, 4, 5, 6], "float32")

CASES = {
    "flip": data.RandomFlip(),
    "flip often": data.RandomFlip(0.9),
    "crop": data.RandomCropWithPadding(),
    "crop mirrored": data.RandomCropWithPadding(2, "reflect"),
    "crop nothing": data.RandomCropWithPadding(0),
    "mixup": data.Mixup(1.0, classes=3),
    "mixup per sample": data.Mixup(0.2, per="sample", classes=3),
    "mixup of nothing": data.Mixup(0.0, classes=3),
    "pairs": data.OverlappingPairs(3, shift=1),
    "similarity": data.RandomSimilarity(),
    "similarity on a canvas": data.RandomSimilarity(45, (0.7, 1.2), (12, 14)),
    "projection": data.RandomProjection(),
    "spline": data.RandomSpline(),
    "clutter": data.RandomClutter((12, 14), patches=2, patch=3),
    "window": data.RandomCrop((6, 7)),
    "window scaled": data.RandomScaleCrop(6, (7, 12), square=True),
    "window resized": data.RandomResizedCrop((9, 7)),
    "affine": data.RandomAffine(),
    "affine mirrored outside": data.RandomAffine(30, 2, 1.2, fill_mode="reflect"),
    "elastic": data.RandomElastic(10, 2),
    "erasing": data.RandomErasing(),
    "erasing to a colour": data.RandomErasing(0.9, (0.1, 0.2), (0.5, 2), fill=(120, 110, 100)),
    "cutout": data.Cutout(4, fill=(120, 110, 100)),
    "cutmix": data.CutMix(classes=3),
    "cutmix per sample": data.CutMix(0.5, 0.7, per="sample", classes=3),
    "mixup or cutmix": data.Either(data.Mixup(), data.CutMix(), classes=3),
    "lighting": data.PCALighting(0.02),
    "jitter": data.ColorJitter(),
    "jitter and hue": data.ColorJitter(hue=0.1),
    "noise": data.VicinityNoise(0.5),
    "randaugment": data.RandAugment(1),
    "augmix": data.AugMix(0.5, chains=1, depth=(1, 1)),
    "keras rotation": data.FromKeras(keras.layers.RandomRotation(0.1)),
    "keras jitter": data.FromKeras(keras.layers.RandomColorJitter(brightness_factor=0.2, hue_factor=0.1)),
}
TAKES_A_BATCH = {name for name, layer in CASES.items() if isinstance(layer, data.Mixing)} | {"pairs"}

each_case = pytest.mark.parametrize("case", CASES)


def test_every_augmentation_has_a_case():
    public = {value for name in data.__all__ if isinstance(value := getattr(data, name), type)}
    layers = {layer for layer in public if issubclass(layer, Augmentation)} - {Augmentation, data.Mixing}
    assert {type(layer) for layer in CASES.values()} == layers


def close(results, expected, exactly=True):
    for result, value in zip(tf.nest.flatten(results), tf.nest.flatten(expected), strict=True):
        result, value = tf.convert_to_tensor(result), tf.convert_to_tensor(value)
        assert result.dtype == value.dtype
        if exactly:
            np.testing.assert_array_equal(result, value)
            continue
        # A graph adds in another order: an integer may fall to the other side of a half.
        difference = np.abs(np.asarray(result, "float64") - np.asarray(value, "float64"))
        assert difference.max() <= (1 if value.dtype.is_integer else 0.1 if value.dtype == tf.float16 else 1e-2)
        assert np.mean(difference > 0.1) < 0.01


@each_case
def test_a_dataset_does_what_eager_does_on_any_number_of_threads(case):
    layer, images = CASES[case], IMAGES.astype("uint8")
    seeds = tf.data.Dataset.range(2)

    def augmented(threads):
        dataset = seeds.map(lambda n: layer(images, LABELS, WEIGHTS, seed=tf.stack([3, n])), threads)
        assert dataset.element_spec[0].shape.is_fully_defined()
        return list(dataset)

    results = augmented(4)
    close(results, augmented(1))
    close(results, [layer(images, LABELS, WEIGHTS, seed=(3, number)) for number in range(2)], exactly=False)


@each_case
def test_the_dtype_stays_and_so_does_the_range(case):
    for dtype in ("uint8", "int32", "float16", "float64"):
        result = CASES[case](IMAGES.astype(dtype), LABELS, seed=(3, 1))[0].numpy()
        assert result.dtype == dtype
        assert 50 < result.max() <= 255 * 1.01 and result.min() >= -255 * 0.01  # of 0 ... 255, as the input


@each_case
def test_images_are_the_same_without_labels_and_with(case):
    layer = CASES[case]
    images, labels, weights = layer(IMAGES, LABELS, WEIGHTS, seed=(1, 2))
    assert len(weights) == len(labels) == len(images) == len(IMAGES)
    if case == "pairs":
        with pytest.raises(ValueError, match="with its labels"):
            layer(IMAGES, seed=(1, 2))
        return
    close(layer(IMAGES, LABELS, seed=(1, 2))[0], images)
    close(layer(IMAGES, seed=(1, 2)), images)
    if not isinstance(layer, data.Mixing):
        close([labels, weights], [tf.constant(LABELS), tf.constant(WEIGHTS)])


@each_case
def test_one_image(case):
    layer, image = CASES[case], IMAGES[0].astype("uint8")
    if case in TAKES_A_BATCH:
        with pytest.raises(ValueError, match=rf"{type(layer).__name__}.* a batch \(B, H, W, C\)"):
            layer(image, 1, seed=(1, 2))
    else:
        result, label = layer(image, 1, seed=(1, 2))
        close(result, layer(image[None], seed=(1, 2))[0])
        assert label == 1


@each_case
def test_unknown_sizes(case):
    layer = CASES[case]
    signature = [tf.TensorSpec((None, None, None, 3), tf.uint8), tf.TensorSpec((None,), tf.int64)]
    traced = tf.function(lambda images, labels: layer(images, labels, seed=(1, 2)), input_signature=signature)
    close(traced(IMAGES.astype("uint8"), LABELS), layer(IMAGES.astype("uint8"), LABELS, seed=(1, 2)), exactly=False)


@each_case
def test_config_round_trip(case):
    layer = CASES[case]
    clone = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert clone.get_config() == layer.get_config()
    close(clone(IMAGES, LABELS, seed=(1, 2)), layer(IMAGES, LABELS, seed=(1, 2)))


@each_case
def test_a_model_does_not_take_it(case):
    layer = CASES[case]
    with pytest.raises(ValueError, match=r"symbolic Keras tensor.*part of the model.*dataset.map"):
        layer(keras.Input((8, 8, 3)))
    with pytest.raises(ValueError, match="symbolic Keras tensor"):
        keras.Sequential([keras.Input((8, 8, 3)), layer])


@each_case
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((IMAGES[0, 0], LABELS), r"\(10, 3\)"),
        ((IMAGES, LABELS, None), "needs seed=, two integers"),
    ],
)
def test_bad_arguments_are_named(case, arguments, message):
    with pytest.raises(ValueError, match=message):
        CASES[case](*arguments, seed=(0, 0) if len(arguments) == 2 else None)


def test_the_base_class_asks_for_call():
    with pytest.raises(NotImplementedError, match="must define call"):
        Augmentation()(IMAGES, seed=(0, 0))

"""Batches for `model.fit` and `model.evaluate`."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from kvision.data.augmentation import Augmentation
from kvision.data.images import resize_for_evaluation
from kvision.data.split import Split

CROP = -1  # in the place of a layer's number, in the seeds of the crops


def steps(split: Split, batch_size: int) -> int:
    """The batches of one epoch of `training_batches`: floor(size / batch_size), at least 1."""
    return max(1, split.size // batch_size)


def training_batches(
    split: Split,
    batch_size: int,
    *,
    transform: Callable[[tf.Tensor], tf.Tensor] | None = None,
    crop: Augmentation | None = None,
    augment: Sequence[Augmentation] = (),
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    first_epoch: int = 0,
) -> tf.data.Dataset:
    """Shuffled and augmented batches without end.

    For `model.fit(batches, steps_per_epoch=steps(split, batch_size), shuffle=False)`: Keras warns if it is to shuffle.

    Order and augmentation of epoch e depend on (seed, e) alone: with first_epoch=k the batches are exactly those of an
    uninterrupted run from its epoch k on. Every epoch has the same length; the place of unreadable images is taken by
    the first ones of the epoch's order. What does not fill the last batch is left out of that epoch.

    Args:
        split: where the images come from.
        batch_size: images in every batch; a split smaller than that is one batch.
        transform: called on the float32 batch, last of all: the normalisation of the model.
        crop: a layer applied to each image before the batch is made, first of all: images of any size come to one.
        augment: layers applied to the batch in this order, before the transform, each with random numbers of its own.
        size: in place of a crop: height and width to which `resize_for_evaluation` brings each image.
        seed: of the order and the augmentation.
        first_epoch: where to start, for a run that is resumed.

    Returns:
        images, float32 (batch_size, H, W, C) before the transform, and labels: int32 (batch_size,) class ids, or
        float32 (batch_size, classes) from layers that mix images.

    Raises:
        ValueError: a batch_size below 1, a crop and a size, or neither for images that differ in size.
        tf.errors.FailedPreconditionError: while iterating, if no image of the split is readable.
    """
    if crop is not None and size is not None:
        raise ValueError(f"crop and size both decide the size of the images: give one of them, got {crop} and {size}")
    _check(split, batch_size, size, crop)
    batch_size = min(batch_size, split.size)
    length = steps(split, batch_size) * batch_size
    fold = tf.random.experimental.stateless_fold_in

    def epoch(number):
        key = tf.stack([tf.constant(seed, tf.int64), number])
        images = split.shuffled(key).repeat().take(length)
        images = images.apply(tf.data.experimental.assert_cardinality(length))
        images = (
            _resized(images, size)
            if crop is None
            else images.enumerate().map(
                lambda index, example: crop(*example, seed=fold(fold(key, index), tf.constant(CROP, tf.int64))),
                tf.data.AUTOTUNE,
                deterministic=True,
            )
        )
        batches = images.batch(batch_size, drop_remainder=True).enumerate()
        return batches.map(lambda index, batch: finish(key, index, *batch), tf.data.AUTOTUNE, deterministic=True)

    def finish(key, index, images, labels):
        for number, layer in enumerate(augment):
            images, labels = layer(images, labels, seed=fold(fold(key, index), tf.constant(number, tf.int64)))
        return _transformed(images, transform), labels

    epochs = tf.data.Dataset.range(first_epoch, tf.int64.max)
    return epochs.flat_map(epoch).prefetch(tf.data.AUTOTUNE)


def evaluation_batches(
    split: Split,
    batch_size: int,
    *,
    transform: Callable[[tf.Tensor], tf.Tensor] | None = None,
    size: int | tuple[int, int] | None = None,
    crop_fraction: float = 1.0,
    interpolation: str = "bilinear",
) -> tf.data.Dataset:
    """Every image once, in a fixed order; the last batch is smaller where the division leaves a rest.

    Batches of a folder do not know how many they are, since files may be unreadable: `fit` then says once, at the end
    of its first validation, that its input ran out of data. Nothing is lost.

    Args:
        split: where the images come from.
        batch_size: images in a batch.
        transform: called on the float32 batch, last of all: the normalisation of the model.
        size, crop_fraction, interpolation: see `resize_for_evaluation`; without a size images stay as they are.

    Returns:
        images, float32 (B, H, W, C) before the transform, and labels, int32 (B,) class ids.

    Raises:
        ValueError: a batch_size below 1, no size for images that differ in size, or a crop_fraction without a size.
    """
    _check(split, batch_size, size)
    if size is None and crop_fraction != 1:
        raise ValueError(f"crop_fraction needs the size after the crop, got {crop_fraction} without size=")
    images = _resized(split.dataset, size, crop_fraction, interpolation)
    batches = images.batch(batch_size)
    batches = batches.map(
        lambda images, labels: (_transformed(images, transform), labels), tf.data.AUTOTUNE, deterministic=True
    )
    return batches.prefetch(tf.data.AUTOTUNE)


def _check(split, batch_size, size, crop=None):
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, got {batch_size!r}")
    if size is None and crop is None and None in split.image_shape:
        raise ValueError("the images of this split differ in size: give size=(height, width), or crop= for training")


def _resized(images, size, crop_fraction=1.0, interpolation="bilinear"):
    if size is None:
        return images
    return images.map(
        lambda image, label: (resize_for_evaluation(image, size, crop_fraction, interpolation), label),
        tf.data.AUTOTUNE,
        deterministic=True,
    )


def _transformed(images, transform):
    images = tf.cast(images, tf.float32)
    return images if transform is None else transform(images)

"""Batches for `model.fit` and `model.evaluate`."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from kvision.data.augmentation.base import Augmentation
from kvision.data.cache import cached
from kvision.data.images import resize_for_evaluation
from kvision.data.sources.split import WHOLE, Split

CROP = -1  # in the place of a layer's number, in the seeds of the crops


def steps(split: Split, batch_size: int, shard: tuple[int, int] = WHOLE) -> int:
    """The batches of one epoch of `training_batches`: floor(size / (batch_size * workers)), at least 1."""
    return max(1, split.size // (batch_size * shard[1]))


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
    shard: tuple[int, int] = WHOLE,
    cache: int = 0,
) -> tf.data.Dataset:
    """Shuffled and augmented batches without end.

    For `model.fit(batches, steps_per_epoch=steps(split, batch_size), shuffle=False)`: Keras warns if it is to shuffle.

    Order and augmentation of epoch e depend on (seed, e) alone: with first_epoch=k the batches are exactly those of an
    uninterrupted run from its epoch k on. Every epoch has the same length; the place of unreadable images is taken by
    the first ones of the epoch's order. What does not fill the last batch is left out of that epoch.

    Several workers share each epoch: no image comes to two of them, each takes `steps(split, batch_size, shard)`
    batches of its own. Under `tf.distribute`, where a global batch is `batch_size` times the workers:

        def batches(context: tf.distribute.InputContext):
            shard = context.input_pipeline_id, context.num_input_pipelines
            return training_batches(split, context.get_per_replica_batch_size(global_batch), shard=shard)

        dataset = strategy.distribute_datasets_from_function(batches)

    Args:
        split: where the images come from.
        batch_size: images in every batch, of this worker; a split smaller than that is one batch.
        transform: called on the float32 batch, last of all: the normalisation of the model.
        crop: a layer applied to each image before the batch is made, first of all: images of any size come to one.
        augment: layers applied to the batch in this order, before the transform, each with random numbers of its own.
        size: in place of a crop: height and width to which `resize_for_evaluation` brings each image.
        seed: of the order and the augmentation.
        first_epoch: where to start, for a run that is resumed.
        shard: (worker, workers), which of how many this is, counted from 0.
        cache: bytes of memory for the images of the split, decoded and resized: if they fit they are read once, at
            once, and the batches are the same ones but faster. If not, a warning says so. 0 for no memory.

    Returns:
        images, float32 (batch_size, H, W, C) before the transform, and labels: int32 (batch_size,) class ids, or
        float32 (batch_size, classes) from layers that mix images.

    Raises:
        ValueError: a batch_size below 1, a crop and a size, or neither for images that differ in size; a worker that
            does not exist, or more workers than images.
        tf.errors.FailedPreconditionError: while iterating, if no image of the split is readable.
    """
    if crop is not None and size is not None:
        raise ValueError(f"crop and size both decide the size of the images: give one of them, got {crop} and {size}")
    _check(split, batch_size, size, shard, crop)
    worker, workers = shard
    batch_size = min(batch_size, split.size // workers)
    length = steps(split, batch_size, shard) * batch_size
    split = _prepared(split, cache, size)

    def epoch(number):
        key = tf.stack([tf.constant(seed, tf.int64), number])
        images = split.examples(key, shard).repeat().take(length)
        images = images.apply(tf.data.experimental.assert_cardinality(length))
        if crop is not None:
            images = images.enumerate().map(
                lambda index, example: cropped(key, index, *example), tf.data.AUTOTUNE, deterministic=True
            )
        batches = images.batch(batch_size, drop_remainder=True).enumerate()
        return batches.map(lambda index, batch: finish(key, index, *batch), tf.data.AUTOTUNE, deterministic=True)

    def cropped(key, index, place, image, label):
        return place, *crop(image, label, seed=own_seed(key, index, CROP))

    def finish(key, index, places, images, labels):
        for number, layer in enumerate(augment):
            images, labels = layer(images, labels, seed=own_seed(key, index, number))
        return _transformed(images, transform), labels

    def own_seed(key, index, number):
        """Of one layer, for one image or batch among those of all workers."""
        fold = tf.random.experimental.stateless_fold_in
        return fold(fold(key, index * workers + worker), tf.constant(number, tf.int64))

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
    squash: bool = False,
    views: Callable[[tf.Tensor], tf.Tensor] | Sequence[Callable[[tf.Tensor], tf.Tensor]] | None = None,
    shard: tuple[int, int] = WHOLE,
    cache: int = 0,
) -> tf.data.Dataset:
    """Every image once, in a fixed order; the last batch is smaller where the division leaves a rest.

    Batches of a folder do not know how many they are, since files may be unreadable: `fit` then says once, at the end
    of its first validation, that its input ran out of data. Nothing is lost.

    Args:
        split: where the images come from.
        batch_size: images in a batch.
        transform: called on the float32 batch, last of all: the normalisation of the model.
        size, crop_fraction, interpolation, squash: see `resize_for_evaluation`; without a size images stay as they are.
        views: in place of a size: a protocol that makes several views (V, H, W, C) of each image, such as
            `TenCrops()`. `kvision.evaluation.averaged` makes a model that reads them. 144 views of 224 x 224 take 87
            MB: mind the batch_size. Several protocols give a tuple, the views of each: images at several scales.
        shard: (worker, workers): each image comes to one of the workers. All have the same number of batches, which
            are as equal in size as can be, so that none waits for another, and none is empty.
        cache: see `training_batches`; for validation in every epoch. Of images with views it keeps those as stored.

    Returns:
        images, float32 (B, H, W, C), with views (B, V, H, W, C), with several a tuple of these, and labels, int32 (B,)
        class ids. The transform is given (B * V, H, W, C).

    Raises:
        ValueError: a batch_size below 1, a size and views, or neither for images that differ in size; views that are an
            empty sequence; a crop_fraction without a size; a worker that does not exist, or more workers than images.
        tf.errors.InvalidArgumentError: while iterating, if so many images of a worker are unreadable that a whole batch
            is missing.
    """
    if isinstance(views, Sequence) and not views:
        raise ValueError("views must be a protocol, or a sequence of at least one, got none")
    if views is not None and size is not None:
        raise ValueError(f"views and size both decide the size of the images: give one of them, got {views} and {size}")
    _check(split, batch_size, size, shard, views)
    if size is None and crop_fraction != 1:
        raise ValueError(f"crop_fraction needs the size after the crop, got {crop_fraction} without size=")
    split = _prepared(split, cache, size, crop_fraction, interpolation, squash)
    if isinstance(views, Sequence):
        split = _mapped(split, lambda image: tuple(protocol(image) for protocol in views))
    elif views is not None:
        split = _mapped(split, views)
    batches = split.examples(None, shard).batch(batch_size)
    if shard[1] > 1:
        sizes = _even(split.size, batch_size, shard[1])
        batches = batches.rebatch(sizes).apply(tf.data.experimental.assert_cardinality(len(sizes)))
    batches = batches.map(
        lambda places, images, labels: (tf.nest.map_structure(lambda x: _transformed(x, transform), images), labels),
        tf.data.AUTOTUNE,
        deterministic=True,
    )
    return batches.prefetch(tf.data.AUTOTUNE)


def _even(size, batch_size, workers):
    """The sizes of every worker's batches. A worker has `size // workers` images, or one more, which the last takes."""
    least, most = size // workers, -(-size // workers)
    count = min(-(-most // batch_size), least)
    sizes = np.diff(-(-np.arange(count + 1) * least // count))
    sizes[-1] += most - least
    return sizes


def _check(split, batch_size, size, shard, other=None):
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, got {batch_size!r}")
    if size is None and other is None and None in split.image_shape:
        raise ValueError(
            "the images of this split differ in size: give size=(height, width), or crop= for training, or views= for "
            "evaluation"
        )
    worker, workers = shard
    if not 0 <= worker < workers <= split.size:
        raise ValueError(
            f"shard must be (worker, workers), a worker from 0 to workers - 1 and not more workers than images, "
            f"{split.size}, got {shard}"
        )


def _prepared(split, cache, size, *resizing):
    """The split with its images resized, and kept in memory if that is wanted."""
    if size is not None:
        split = _mapped(split, lambda image: resize_for_evaluation(image, size, *resizing))
    return cached(split, cache) if cache else split


def _mapped(split, function):
    """The split with the function of each of its images in the image's place."""

    def examples(seed, shard):
        return split.examples(seed, shard).map(
            lambda place, image, label: (place, function(image), label), tf.data.AUTOTUNE, deterministic=True
        )

    return dataclasses.replace(split, examples=examples)


def _transformed(images, transform):
    """The transform of (B, H, W, C), or of (B, V, H, W, C) as if it were B * V images."""
    images = tf.cast(images, tf.float32)
    if transform is None or images.shape.rank == 4:
        return images if transform is None else transform(images)
    shape = tf.shape(images)
    result = transform(tf.reshape(images, tf.concat([[-1], shape[2:]], 0)))
    return tf.reshape(result, tf.concat([shape[:2], tf.shape(result)[1:]], 0))

"""Splits of a dataset of TensorFlow Datasets."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from kvision.data.sources.split import Split, order

if TYPE_CHECKING:
    from tensorflow_datasets.core import DatasetBuilder

SHUFFLE_BUFFER = 10_000  # encoded images
CYCLE, BLOCK = 16, 16  # files that are read in turn, and examples of each turn; as in TFDS


def find_builder(name: str, data_dir: str | Path | None) -> "DatasetBuilder":
    """The builder of a name, such as "cifar10" or "cifar10:3.0.2"."""
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir)
    except ValueError as error:
        hint = "".join(line for line in str(error).splitlines() if "Did you mean" in line)
        raise ValueError(
            f'source {name!r} is not "digits", not a folder that exists and not a name of TensorFlow Datasets '
            f"(nor is it a pair of arrays). {hint}".rstrip()
        ) from error


def load_tfds(builder: "DatasetBuilder", split: str, validation: float, test: float) -> Split:
    """The official split where the dataset has one, else a slice of its train split.

    TFDS shuffles when it writes a dataset, so slices are random samples, always the same ones. A dataset that is not
    prepared yet is downloaded and prepared.

    In a seeded order the files come in that order, CYCLE of them are read at a time, and what they give is shuffled in
    a buffer of SHUFFLE_BUFFER encoded images. Each worker reads a part of its own of the files in that order.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import file_adapters

    name, features, keys = builder.name, builder.info.features, builder.info.supervised_keys
    if not (keys and isinstance(features[keys[0]], tfds.features.Image)):
        raise ValueError(f"the TFDS dataset {name!r} is not a classification of images: its supervised keys are {keys}")
    image, label = features[keys[0]], features[keys[1]]
    if not isinstance(label, tfds.features.ClassLabel):
        raise ValueError(f"the TFDS dataset {name!r} is not a classification: its {keys[1]!r} is {label}")
    builder.download_and_prepare()
    part = builder.info.splits[_slice(split, builder.info.splits, validation, test)]

    files = part.file_instructions
    names = [str(file.filename) for file in files]
    lengths, skipped = np.array([(file.take, file.skip) for file in files], np.int64).T
    begins = np.cumsum(lengths) - lengths
    open_file = file_adapters.ADAPTER_FOR_FORMAT[builder.info.file_format].make_tf_data
    wanted = tfds.decode.PartialDecoding(dict.fromkeys(keys[:2], True)).extract_features(features)

    def numbers(file, skip, take):
        begin = tf.gather(begins, file) + skip
        return tf.data.Dataset.range(begin, begin + take)

    def records(file, skip, take):
        stored = open_file(tf.gather(names, file)).skip(tf.gather(skipped, file) + skip).take(take)
        return tf.data.Dataset.zip(numbers(file, skip, take), stored)

    def decode(place, record):
        example = wanted.deserialize_example(record)
        return place, example[keys[0]], tf.cast(example[keys[1]], tf.int32)

    def places(seed, shard):
        return _mixed(numbers, lengths, seed, shard)

    def examples(seed, shard):
        return _mixed(records, lengths, seed, shard).map(decode, tf.data.AUTOTUNE, deterministic=True)

    return Split(split, tuple(label.names), part.num_examples, tuple(image.shape), examples, places)


def _mixed(
    read: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.data.Dataset],
    lengths: np.ndarray,
    seed: tf.Tensor | None,
    shard: tuple[int, int],
) -> tf.data.Dataset:
    """One worker's part of all files. `read` opens one, from its number and the examples to skip and to take."""
    worker, workers = shard
    files = order(len(lengths), seed)
    sizes = tf.gather(lengths, files)
    begins = tf.cumsum(sizes) - sizes
    first, last = (int(lengths.sum()) * number // workers for number in (worker, worker + 1))
    skip, end = (tf.clip_by_value(bound - begins, 0, sizes) for bound in (first, last))
    own = end > skip
    parts = tf.data.Dataset.from_tensor_slices(
        tuple(tf.boolean_mask(values, own) for values in (files, skip, end - skip))
    )
    dataset = parts.interleave(
        read, cycle_length=CYCLE, block_length=BLOCK, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    if seed is None:
        return dataset

    def shuffled(seed):
        tf.random.set_seed(1)  # of this function's graph only: else the order would depend on the global seed, too
        return dataset.shuffle(SHUFFLE_BUFFER, seed, reshuffle_each_iteration=False)

    return tf.data.Dataset.from_tensors(_mix(seed)).flat_map(shuffled)


def _slice(split: str, official: dict, validation: float, test: float) -> str:
    """The split in TFDS's own notation: "test", "train[0:800]", ..."""
    if "train" not in official:
        raise ValueError(f"the dataset has no train split, only {', '.join(sorted(official))}")
    if split in official and split != "train":
        return split
    size = official["train"].num_examples
    validating = 0 if "validation" in official else round(validation * size)
    testing = 0 if "test" in official else round(test * size)
    start, stop = size - validating - testing, size - testing
    first, last = {"train": (0, start), "validation": (start, stop), "test": (stop, size)}[split]
    if first == last:
        raise ValueError(f"the {split} split is empty: {size} images were divided with {validation=}, {test=}")
    return f"train[{first}:{last}]"


def _mix(seed: tf.Tensor) -> tf.Tensor:
    """One integer from the seed's two."""
    return tf.random.stateless_uniform([], seed, minval=None, maxval=None, dtype=tf.int64)

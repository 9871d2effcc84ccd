"""Splits of a dataset of TensorFlow Datasets."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from kvision.data.sources.carve import carve
from kvision.data.sources.duplicates import same_contents
from kvision.data.sources.split import Split, fingerprint, order

if TYPE_CHECKING:
    from tensorflow_datasets.core import DatasetBuilder

SHUFFLE_BUFFER = 10_000  # encoded images
CYCLE, BLOCK = 16, 16  # files that are read in turn, and examples of each turn; as in TFDS
LONG = 50_000  # examples whose reading shows progress


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


def load_tfds(builder: "DatasetBuilder", split: str, validation: float, test: float, seed: int) -> Split:
    """The official split where the dataset has one, else a part of its train split.

    To divide that, its labels and the bytes of its images are read once in a process. A dataset that is not prepared
    yet is downloaded and prepared.

    In a seeded order the files come in that order, CYCLE of them are read at a time, and what they give is shuffled in
    a buffer of SHUFFLE_BUFFER encoded images. Each worker reads a part of its own of the files in that order.
    """
    image_key, label_key = _keys(builder)
    features = builder.info.features
    builder.download_and_prepare()
    official = builder.info.splits
    if "train" not in official:
        raise ValueError(f"the dataset has no train split, only {', '.join(sorted(official))}")
    part = official[split] if split in official else official["train"]
    chosen = np.arange(part.num_examples)
    fractions = [0 if name in official else wanted for name, wanted in (("validation", validation), ("test", test))]
    if split not in official or (split == "train" and any(fractions)):
        labels, same = _training_contents(str(builder.data_dir))
        chosen = carve(labels, split, *fractions, seed, same)

    sizes = np.array([file.examples_in_shard for file in part.file_instructions], np.int64)
    ends = np.cumsum(sizes)
    member = np.isin(np.arange(part.num_examples), chosen)
    before = np.concatenate([[0], np.cumsum(member)])  # chosen examples before each number
    places_before, lengths = before[ends - sizes], before[ends] - before[ends - sizes]
    with tf.device("CPU"):
        member = tf.constant(member)  # captured by the functions below: a constant of the graph would be copied into it
    open_file = _opener(builder, split if split in official else "train")
    wanted = _only(builder, image_key, label_key)

    def numbers(file, skip, take):
        first = tf.gather(places_before, file) + skip
        return tf.data.Dataset.range(first, first + take)

    def records(file, skip, take):
        all_numbers = tf.data.Dataset.range(tf.gather(ends - sizes, file), tf.gather(ends, file))
        stored = tf.data.Dataset.zip(all_numbers, open_file(file)).filter(lambda number, _: tf.gather(member, number))
        own = stored.map(lambda _, record: record).skip(skip).take(take)
        return tf.data.Dataset.zip(numbers(file, skip, take), own)

    def decode(place, record):
        example = wanted.deserialize_example(record)
        return place, example[image_key], tf.cast(example[label_key], tf.int32)

    def places(seed, shard):
        return _mixed(numbers, lengths, seed, shard)

    def examples(seed, shard):
        return _mixed(records, lengths, seed, shard).map(decode, tf.data.AUTOTUNE, deterministic=True)

    def own_fingerprint():
        return fingerprint([builder.info.full_name.encode(), part.name.encode(), sizes.tobytes(), chosen.tobytes()])

    names, shape = tuple(features[label_key].names), tuple(features[image_key].shape)
    return Split(split, names, len(chosen), shape, examples, places, own_fingerprint)


def _keys(builder: "DatasetBuilder") -> tuple[str, str]:
    """The names of image and label."""
    import tensorflow_datasets as tfds

    name, features, keys = builder.name, builder.info.features, builder.info.supervised_keys
    if not (keys and isinstance(features[keys[0]], tfds.features.Image)):
        raise ValueError(f"the TFDS dataset {name!r} is not a classification of images: its supervised keys are {keys}")
    if not isinstance(features[keys[1]], tfds.features.ClassLabel):
        raise ValueError(f"the TFDS dataset {name!r} is not a classification: its {keys[1]!r} is {features[keys[1]]}")
    return keys[0], keys[1]


def _only(builder: "DatasetBuilder", *keys: str):
    """The features of these names, which alone are decoded."""
    import tensorflow_datasets as tfds

    return tfds.decode.PartialDecoding(dict.fromkeys(keys, True)).extract_features(builder.info.features)


def _opener(builder: "DatasetBuilder", split: str) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """Reads the file of a number: the serialized examples."""
    from tensorflow_datasets.core import file_adapters

    names = [str(file.filename) for file in builder.info.splits[split].file_instructions]
    read = file_adapters.ADAPTER_FOR_FORMAT[builder.info.file_format].make_tf_data
    return lambda file: read(tf.gather(names, file))


@functools.lru_cache(maxsize=4)
def _training_contents(directory: str) -> tuple[np.ndarray, np.ndarray]:
    """The labels of a prepared dataset's training images, and for each the first image of the same bytes."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(directory)
    image, label = _keys(builder)
    wanted, encoded = _only(builder, image, label), {image: tfds.decode.SkipDecoding()}
    files, size = len(builder.info.splits["train"].file_instructions), builder.info.splits["train"].num_examples
    stored = tf.data.Dataset.range(files).flat_map(_opener(builder, "train"))
    examples = stored.map(lambda record: wanted.deserialize_example(record, decoders=encoded), tf.data.AUTOTUNE)
    if size >= LONG:
        print(f"{builder.name}: reading the labels of {size:,} images, to divide them")
    bar = keras.utils.Progbar(size, verbose=int(size >= LONG))
    labels = np.empty(size, np.int64)

    def contents():
        for number, example in enumerate(examples.as_numpy_iterator()):
            labels[number] = example[label]
            yield example[image]
            if number % 1000 == 0 or number == size - 1:
                bar.update(number + 1)

    same = same_contents(contents())
    return labels, same


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


def _mix(seed: tf.Tensor) -> tf.Tensor:
    """One integer from the seed's two."""
    return tf.random.stateless_uniform([], seed, minval=None, maxval=None, dtype=tf.int64)

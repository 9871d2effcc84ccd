"""Splits of a dataset of TensorFlow Datasets."""

from pathlib import Path

import tensorflow as tf

from kvision.data.split import Split

SHUFFLE_BUFFER = 10_000  # encoded images


def load_tfds(name: str, split: str, validation: float, test: float, data_dir: str | Path | None) -> Split:
    """The official split where the dataset has one, else a slice of its train split.

    TFDS shuffles when it writes a dataset, so slices are random samples, always the same ones. A dataset that is not
    in data_dir yet is downloaded and prepared.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except ValueError as error:
        hint = "".join(line for line in str(error).splitlines() if "Did you mean" in line)
        raise ValueError(
            f'source {name!r} is not "digits", not a folder that exists and not a name of TensorFlow Datasets '
            f"(nor is it a pair of arrays). {hint}".rstrip()
        ) from error
    features = builder.info.features
    keys = builder.info.supervised_keys
    if not (keys and isinstance(features[keys[0]], tfds.features.Image)):
        raise ValueError(f"the TFDS dataset {name!r} is not a classification of images: its supervised keys are {keys}")
    image, label = features[keys[0]], features[keys[1]]
    if not isinstance(label, tfds.features.ClassLabel):
        raise ValueError(f"the TFDS dataset {name!r} is not a classification: its {keys[1]!r} is {label}")
    builder.download_and_prepare()
    part = _slice(split, builder.info.splits, validation, test)

    encoded = builder.as_dataset(part, as_supervised=True, decoders={keys[0]: tfds.decode.SkipDecoding()})

    def shuffled(seed):
        tf.random.set_seed(1)  # of this function's graph only: else the order would depend on the global seed, too
        return encoded.shuffle(SHUFFLE_BUFFER, seed, reshuffle_each_iteration=False)

    def examples(seed):
        order = encoded if seed is None else tf.data.Dataset.from_tensors(_mix(seed)).flat_map(shuffled)
        return order.map(
            lambda contents, label: (image.decode_example(contents), tf.cast(label, tf.int32)),
            tf.data.AUTOTUNE,
            deterministic=True,
        )

    size = builder.info.splits[part].num_examples
    return Split(split, tuple(label.names), size, tuple(image.shape), examples)


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

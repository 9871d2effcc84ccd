"""`load`: one door to every source of labelled images."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kvision.data.sources.arrays import load_arrays, load_digits
from kvision.data.sources.folder import load_folder
from kvision.data.sources.split import SPLITS, Split
from kvision.data.sources.tfds import find_builder, load_tfds

if TYPE_CHECKING:
    from tensorflow_datasets.core import DatasetBuilder


def load(
    source: "str | os.PathLike | tuple[np.ndarray, np.ndarray] | DatasetBuilder",
    split: str = "train",
    *,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    class_names: Sequence[str] | None = None,
    data_dir: str | os.PathLike | None = None,
    on_error: str = "skip",
) -> Split:
    """Loads one split of a source of labelled images.

    A split that the source does not have is carved out of its training images: at random but always the same for one
    seed, disjoint from the others, and in proportion for each class. Identical images, the same bytes of a file or the
    same pixels of an array, are never in two of them; to know them, a dataset of TensorFlow Datasets is read once.
    A split that the source has stays as it is; files of a folder that are in an earlier split, too, are named in a
    warning.

    Args:
        source: one of
            "digits": 1,797 handwritten digits of 8x8 that come with scikit-learn;
            a pair of arrays: images (N, H, W, C) or (N, H, W), uint8 or float, and integer labels (N,);
            a folder: folder/<class>/<images>, or folder/train/<class>/<images> with `validation` (or `val`), `test` or
            both beside `train`;
            a folder with data prepared by TensorFlow Datasets, which holds dataset_info.json;
            any other string: a name of TensorFlow Datasets, such as "cifar10";
            a builder of TensorFlow Datasets, such as `tfds.ImageFolder(path)`.
        split: "train", "validation" or "test".
        validation: the part of the training images for validation if there is no such split, in [0, 1).
        test: the part for testing, likewise.
        seed: of the division, 0 or more.
        class_names: the names of the classes of a pair of arrays, by default "0", "1", ...
        data_dir: where TensorFlow Datasets keeps its files.
        on_error: what to do about a file of a folder that cannot be decoded: "skip" it, and note it in
            `split.unreadable`, or "raise".

    Raises:
        ValueError: an argument or a source that is not as described. The message names it.
        FileNotFoundError, NotADirectoryError: a path that is not a folder.
    """
    if split not in SPLITS:
        raise ValueError(f'split must be "train", "validation" or "test", got {split!r}')
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise ValueError(
            f"validation and test are parts of the training images, 0 or more and together below 1, got {validation} "
            f"and {test}"
        )
    if on_error not in ("skip", "raise"):
        raise ValueError(f'on_error must be "skip" or "raise", got {on_error!r}')
    if isinstance(source, tuple) and len(source) == 2:
        return load_arrays(*source, class_names, split, validation, test, seed)
    if class_names is not None:
        raise ValueError("class_names is for a pair of arrays; folders and datasets have their own")
    if source == "digits":
        return load_digits(split, validation, test, seed)
    if isinstance(source, str) and not _is_path(source):
        return load_tfds(find_builder(source, data_dir), split, validation, test, seed)
    if isinstance(source, str | os.PathLike):
        folder = Path(source).expanduser()
        if not (folder / "dataset_info.json").is_file():
            return load_folder(folder, split, validation, test, seed, on_error)

    import tensorflow_datasets as tfds

    if isinstance(source, str | os.PathLike):
        return load_tfds(tfds.builder_from_directory(folder), split, validation, test, seed)
    if isinstance(source, tfds.ImageFolder):
        if source.info.features["image"].shape != (None, None, 3):
            raise ValueError(
                "an ImageFolder is read as a folder, in colour and in any size: give it no shape, "
                f"got {source.info.features['image'].shape}"
            )
        return load_folder(Path(source.data_dir), split, validation, test, seed, on_error, divided=True)
    if isinstance(source, tfds.core.DatasetBuilder):
        return load_tfds(source, split, validation, test, seed)
    raise ValueError(
        'source must be "digits", (images, labels), a folder, or a name or a builder of TensorFlow Datasets, '
        f"got {type(source).__name__}"
    )


def _is_path(source: str) -> bool:
    return os.path.exists(source) or os.path.isabs(source) or source.startswith((".", "~"))

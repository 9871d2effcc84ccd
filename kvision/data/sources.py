"""`load`: one door to every source of labelled images."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kvision.data.arrays import load_arrays, load_digits
from kvision.data.folder import load_folder
from kvision.data.split import SPLITS, Split
from kvision.data.tfds import load_tfds


def load(
    source: str | os.PathLike | tuple[np.ndarray, np.ndarray],
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
    seed, disjoint from the others, and in proportion for each class (of TFDS: a slice, see there).

    Args:
        source: one of
            "digits": 1,797 handwritten digits of 8x8 that come with scikit-learn;
            a pair of arrays: images (N, H, W, C) or (N, H, W), uint8 or float, and integer labels (N,);
            a folder: folder/<class>/<images>, or folder/train/<class>/<images> with `validation` (or `val`), `test` or
            both beside `train`;
            any other string: a name of TensorFlow Datasets, such as "cifar10".
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
        return load_tfds(source, split, validation, test, data_dir)
    if isinstance(source, str | os.PathLike):
        return load_folder(Path(source).expanduser(), split, validation, test, seed, on_error)
    raise ValueError(f'source must be "digits", (images, labels), a folder or a TFDS name, got {type(source).__name__}')


def _is_path(source: str) -> bool:
    return os.path.exists(source) or os.path.isabs(source) or source.startswith((".", "~"))

"""Splits of a folder of class folders: root/<class>/<images>, or root/train/<class>/<images> and its siblings."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from kvision.data.images import decode_image
from kvision.data.sources.carve import carve
from kvision.data.sources.duplicates import same_files
from kvision.data.sources.listing import SUFFIXES, image_files, printable, subfolders
from kvision.data.sources.split import SPLITS, Split, dealt, fingerprint


def load_folder(
    root: Path, split: str, validation: float, test: float, seed: int, on_error: str, divided: bool = False
) -> Split:
    """Images of any size, decoded to uint8 (H, W, 3) while the dataset is iterated.

    Args:
        root: the folder of class folders, or of the folders of the splits.
        split, validation, test, seed, on_error: see `load`.
        divided: root/train is the training split even if no other split is beside it.
    """
    if not root.is_dir():
        problem = NotADirectoryError if root.exists() else FileNotFoundError
        raise problem(f"{root} is not a folder; expected one with a sub-folder of images for each class")
    homes = _split_folders(root, divided)
    home = homes.get(split, homes["train"])
    class_names = _class_names(homes["train"])
    paths, labels, others = _files(home, class_names)
    _check_readable(paths, labels, class_names)

    if split not in homes or split == "train":
        validation, test = (0 if name in homes else part for name, part in (("validation", validation), ("test", test)))
        chosen = carve(labels, split, validation, test, seed, same_files(paths) if validation or test else None)
        paths, labels = paths[chosen], labels[chosen]
    else:
        for other in SPLITS[: SPLITS.index(split)]:
            if other in homes:
                _warn_of_copies(split, paths, other, _files(homes[other], class_names)[0])
    if home != root:
        others += [os.fsencode(path) for path in root.iterdir() if path not in homes.values() and path.name[0] != "."]

    with tf.device("CPU"):
        names, classes = tf.constant(paths), tf.constant(labels)
    unreadable: dict[str, str] = {}
    read, places = _reader(unreadable, on_error), dealt(len(labels))

    def examples(seed, shard):
        dataset = places(seed, shard).map(
            lambda place: (place, read(names[place]), classes[place]), tf.data.AUTOTUNE, deterministic=True
        )
        return dataset.filter(lambda place, image, label: tf.size(image) > 0)

    def own_fingerprint():
        files = ((os.path.relpath(path, os.fsencode(home)), os.stat(path).st_size) for path in paths)
        return fingerprint([*(b"%b %d" % file for file in files), labels.tobytes()])

    ignored = tuple(sorted(map(printable, others)))
    shape, names_of_classes = (None, None, 3), tuple(map(printable, class_names))
    return Split(split, names_of_classes, len(labels), shape, examples, places, own_fingerprint, ignored, unreadable)


def _reader(unreadable: dict[str, str], on_error: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """A graph function path -> image that notes a bad file and answers an empty image: Python runs only for those."""

    def note(path):
        name = printable(path)
        try:
            decode_image(tf.io.read_file(path))
            reason = "could not be read just before"
        except tf.errors.OpError as error:
            reason = error.message.split("}} ")[-1]
        if on_error == "raise":
            raise ValueError(f"cannot read the image {name}: {reason}")
        unreadable[name] = reason
        return True

    def read(path):
        image = tf.data.Dataset.from_tensors(path).map(lambda path: decode_image(tf.io.read_file(path)))
        nothing = tf.data.Dataset.from_tensors(tf.zeros((0, 0, 3), tf.uint8))
        image = image.ignore_errors().concatenate(nothing).take(1).get_single_element()
        noted = tf.cond(tf.size(image) > 0, lambda: True, lambda: tf.numpy_function(note, [path], tf.bool))
        with tf.control_dependencies([noted]):
            return tf.identity(image)

    return read


def _split_folders(root: Path, divided: bool) -> dict[str, Path]:
    """The folder of each split that has one; of `train` always."""
    candidates = {"train": ["train"], "validation": ["validation", "val"], "test": ["test"]}
    homes = {
        split: root / name for split, names in candidates.items() for name in names[::-1] if (root / name).is_dir()
    }
    return homes if "train" in homes and (divided or len(homes) > 1) else {"train": root}


def _class_names(home: Path) -> list[str]:
    names, _ = subfolders(home)
    if not names:
        raise ValueError(f"{home} has no class folders; expected {home}/<class>/<image>, one folder for each class")
    return names


def _files(home: Path, class_names: list[str]) -> tuple[np.ndarray, np.ndarray, list[bytes]]:
    """The paths of the images, class after class; their class ids; and the paths of all else."""
    if unknown := sorted(set(_class_names(home)) - set(class_names)):
        raise ValueError(f"{home} has class folders that train does not have: {', '.join(map(printable, unknown))}")
    _, others = subfolders(home)
    paths, counts = [], []
    for name in class_names:
        images, rest = image_files(home / name) if (home / name).is_dir() else ([], [])
        if not images:
            where = printable(home / name)
            raise ValueError(
                f"class {printable(name)!r} has no image file in {where}; looked for {', '.join(SUFFIXES)}"
            )
        paths += images
        counts.append(len(images))
        others += rest
    return np.array(paths, object), np.repeat(np.arange(len(counts), dtype=np.int32), counts), others


def _warn_of_copies(split: str, paths: np.ndarray, other: str, elsewhere: np.ndarray) -> None:
    everything = np.concatenate([elsewhere, paths])
    first = same_files(everything)[len(elsewhere) :]
    copies = np.flatnonzero(first < len(elsewhere))
    if len(copies):
        shown = [f"{printable(paths[copy])} is {printable(everything[first[copy]])}" for copy in copies[:3]]
        warnings.warn(
            f"{len(copies)} images of the {split} split are in the {other} split, too, and stay in both: "
            f"{', '.join(shown)}{', ...' if len(copies) > 3 else ''}",
            stacklevel=4,
        )


def _check_readable(paths: np.ndarray, labels: np.ndarray, class_names: list[str]) -> None:
    for label, name in enumerate(class_names):
        members = paths[slice(*np.searchsorted(labels, [label, label + 1]))]
        if not any(map(_readable, members)):
            shown = ", ".join(map(printable, members[:5]))
            raise ValueError(f"none of the images of class {printable(name)!r} is readable, such as {shown}")


def _readable(path: bytes) -> bool:
    try:
        decode_image(tf.io.read_file(path))
    except tf.errors.OpError:
        return False
    return True

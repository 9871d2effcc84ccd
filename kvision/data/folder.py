"""Splits of a folder of class folders: root/<class>/<images>, or root/train/<class>/<images> and its siblings."""

import glob
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from kvision.data.images import decode_image
from kvision.data.split import Split, carve, order

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")


def load_folder(root: Path, split: str, validation: float, test: float, seed: int, on_error: str) -> Split:
    """Images of any size, decoded to uint8 (H, W, 3) while the dataset is iterated."""
    if not root.is_dir():
        problem = NotADirectoryError if root.exists() else FileNotFoundError
        raise problem(f"{root} is not a folder; expected one with a sub-folder of images for each class")
    homes = _split_folders(root)
    class_names = _folders(homes.get("train", root))
    files = _files(homes.get(split, homes["train"]), class_names)
    _check_readable(files)

    paths = np.array([path for members in files.values() for path in members])
    labels = np.repeat(np.arange(len(files), dtype=np.int32), [len(members) for members in files.values()])
    if split not in homes or split == "train":
        validation, test = (0 if name in homes else part for name, part in (("validation", validation), ("test", test)))
        chosen = carve(labels, split, validation, test, seed)
        paths, labels = paths[chosen], labels[chosen]
    with tf.device("CPU"):
        paths, labels = tf.constant(paths), tf.constant(labels)
    unreadable: dict[str, str] = {}
    read = _reader(unreadable, on_error)

    def examples(seed):
        indices = tf.data.Dataset.from_tensor_slices(order(len(labels), seed))
        dataset = indices.map(lambda index: (read(paths[index]), labels[index]), tf.data.AUTOTUNE, deterministic=True)
        return dataset.filter(lambda image, label: tf.size(image) > 0)

    return Split(split, tuple(class_names), len(labels), (None, None, 3), examples, unreadable)


def _reader(unreadable: dict[str, str], on_error: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """A graph function path -> image that notes a bad file and answers an empty image: Python runs only for those."""

    def note(path):
        name = os.fsdecode(path)
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


def _split_folders(root: Path) -> dict[str, Path]:
    """The folder of each split that has one; of `train` always."""
    candidates = {"train": ["train"], "validation": ["validation", "val"], "test": ["test"]}
    homes = {
        split: root / name for split, names in candidates.items() for name in names[::-1] if (root / name).is_dir()
    }
    return homes if "train" in homes and len(homes) > 1 else {"train": root}


def _folders(home: Path) -> list[str]:
    names = sorted(entry.name for entry in home.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise ValueError(f"{home} has no class folders; expected {home}/<class>/<image>, one folder for each class")
    return names


def _files(home: Path, class_names: list[str]) -> dict[str, list[str]]:
    """The image files of each class, sorted, anywhere below its folder."""
    if unknown := sorted(set(_folders(home)) - set(class_names)):
        raise ValueError(f"{home} has class folders that train does not have: {', '.join(unknown)}")
    files = {}
    for name in class_names:
        everything = glob.iglob(os.path.join(glob.escape(str(home / name)), "**", "*"), recursive=True)  # but hidden
        files[name] = sorted(path for path in everything if path.lower().endswith(SUFFIXES))
        if not files[name]:
            raise ValueError(f"class {name!r} has no image file in {home / name}; looked for {', '.join(SUFFIXES)}")
    return files


def _check_readable(files: dict[str, list[str]]) -> None:
    for name, paths in files.items():
        if not any(map(_readable, paths)):
            raise ValueError(f"none of the images of class {name!r} is readable, such as {', '.join(paths[:5])}")


def _readable(path: str) -> bool:
    try:
        decode_image(tf.io.read_file(path))
    except tf.errors.OpError:
        return False
    return True

"""A split: the examples that one of training, validation and testing sees, in a fixed or a seeded order."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """The images and labels of one split, as `load` returns it.

    Attributes:
        name: "train", "validation" or "test".
        class_names: the name of each class id.
        size: the number of examples; for a folder the number of files, readable or not.
        image_shape: (H, W, C), H and W None where they differ from image to image.
        examples: the seed of an order, or None for the fixed one -> the dataset of (image, label).
    """

    name: str
    class_names: tuple[str, ...]
    size: int
    image_shape: tuple[int | None, int | None, int]
    examples: Callable[[tf.Tensor | None], tf.data.Dataset] = field(repr=False)
    _unreadable: dict[str, str] = field(default_factory=dict, repr=False)  # path -> reason

    @property
    def dataset(self) -> tf.data.Dataset:
        """(image, label) in a fixed order: the image (H, W, C) as stored, the label a scalar int32 class id."""
        return self.examples(None)

    def shuffled(self, seed: tf.Tensor | tuple[int, int]) -> tf.data.Dataset:
        """The same examples in an order that depends on the seed alone: two integers, eager or inside a graph."""
        return self.examples(tf.convert_to_tensor(seed))

    @property
    def unreadable(self) -> list[tuple[str, str]]:
        """(path, reason) of each file left out so far, sorted. Grows while the dataset is iterated."""
        return sorted(self._unreadable.copy().items())


def order(size: int, seed: tf.Tensor | None) -> tf.Tensor:
    """The indices 0..size-1, int64 (size,), perfectly shuffled if there is a seed."""
    indices = tf.range(size, dtype=tf.int64)
    return indices if seed is None else tf.random.experimental.stateless_shuffle(indices, seed)


def carve(labels: np.ndarray, split: str, validation: float, test: float, seed: int) -> np.ndarray:
    """The indices of one split, ascending, drawn from each class in proportion.

    A class loses at least one image to each split that has a fraction, and keeps at least one for training. The
    splits of one seed are disjoint and together complete.
    """
    random = np.random.default_rng(seed)
    parts = {name: [] for name in SPLITS}
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        size = len(members)
        for name, fraction in (("validation", validation), ("test", test)):
            count = min(max(1, round(fraction * size)), len(members) - 1) if fraction else 0
            parts[name].append(members[:count])
            members = members[count:]
        parts["train"].append(members)
    indices = np.sort(np.concatenate(parts[split]))
    if not len(indices):
        raise ValueError(
            f"the {split} split is empty: {len(labels)} images were divided with validation={validation}, test={test}"
        )
    return indices

"""A split: the examples that one of training, validation and testing sees, in a fixed or a seeded order."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import tensorflow as tf

SPLITS = ("train", "validation", "test")
WHOLE = (0, 1)  # the shard of the only worker


@dataclass(frozen=True, eq=False)
class Split:
    """The images and labels of one split, as `load` returns it.

    Attributes:
        name: "train", "validation" or "test".
        class_names: the name of each class id.
        size: the number of examples; for a folder the number of files, readable or not.
        image_shape: (H, W, C), H and W None where they differ from image to image.
        examples: the seed of an order, or None for the fixed one, and a shard (worker, workers) -> the dataset of
            (place, image, label), where the place is the example's number among the `size`, int64.
        places: the same -> the dataset of the places alone, those of unreadable images among them.
        fingerprint: 32 hexadecimal digits, the same for the same examples: of the pixels and labels of arrays, of the
            names, sizes and classes of a folder's files, and of the version and the numbers of a dataset's examples.
        ignored: the paths that hold no example, sorted: files that are no images by their names, files and folders
            beside those of the classes or splits, links back to a folder that is read already. Hidden files are not
            named.
    """

    name: str
    class_names: tuple[str, ...]
    size: int
    image_shape: tuple[int | None, int | None, int]
    examples: Callable[[tf.Tensor | None, tuple[int, int]], tf.data.Dataset] = field(repr=False)
    places: Callable[[tf.Tensor | None, tuple[int, int]], tf.data.Dataset] = field(repr=False)
    _fingerprint: Callable[[], str] = field(repr=False)
    ignored: tuple[str, ...] = field(default=(), repr=False)
    _unreadable: dict[str, str] = field(default_factory=dict, repr=False)  # path -> reason

    @property
    def dataset(self) -> tf.data.Dataset:
        """(image, label) in a fixed order: the image (H, W, C) as stored, the label a scalar int32 class id."""
        return self.examples(None, WHOLE).map(lambda place, image, label: (image, label))

    def shuffled(self, seed: tf.Tensor | tuple[int, int]) -> tf.data.Dataset:
        """The same examples in an order that depends on the seed alone: two integers, eager or inside a graph."""
        return self.examples(tf.convert_to_tensor(seed), WHOLE).map(lambda place, image, label: (image, label))

    @property
    def fingerprint(self) -> str:
        return self._fingerprint()

    @property
    def unreadable(self) -> list[tuple[str, str]]:
        """(path, reason) of each file left out so far, sorted. Grows while the dataset is iterated."""
        return sorted(self._unreadable.copy().items())


def fingerprint(parts: Iterable[bytes | memoryview]) -> str:
    """Of all parts together and of their limits."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def order(size: int, seed: tf.Tensor | None) -> tf.Tensor:
    """The indices 0..size-1, int64 (size,), perfectly shuffled if there is a seed."""
    indices = tf.range(size, dtype=tf.int64)
    return indices if seed is None else tf.random.experimental.stateless_shuffle(indices, seed)


def dealt(size: int) -> Callable[[tf.Tensor | None, tuple[int, int]], tf.data.Dataset]:
    """The places of examples that can be read in any order: one after the other to the workers in turn."""

    def places(seed, shard):
        worker, workers = shard
        return tf.data.Dataset.from_tensor_slices(order(size, seed)[worker::workers])

    return places

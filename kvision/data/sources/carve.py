"""The division of labelled images into training, validation and testing."""

from collections import Counter

import numpy as np

from kvision.data.sources.split import SPLITS

TRAIN = SPLITS.index("train")


def carve(
    labels: np.ndarray, split: str, validation: float, test: float, seed: int, same: np.ndarray | None = None
) -> np.ndarray:
    """The indices of one split, ascending, drawn from each class in proportion.

    A class loses at least one image to each split that has a fraction, and keeps at least one for training. The
    splits of one seed are disjoint and together complete.

    Identical images, which have the same number in `same`, integers (N,) in 0 ... N - 1, come into one split, whatever
    their labels. The numbers of images are then as near to those above as that allows.
    """
    random = np.random.default_rng(seed)
    same = np.arange(len(labels)) if same is None else same
    home = np.full(len(labels), TRAIN)  # of each number in `same`
    copies = _copies(labels, same)
    left = Counter(labels.tolist())  # images of each class in training
    wanted = {"validation": Counter(), "test": Counter()}
    for label, size in left.items():
        wanted["validation"][label] = count = min(max(1, round(validation * size)), size - 1) if validation else 0
        wanted["test"][label] = min(max(1, round(test * size)), size - count - 1) if test else 0

    def move(group, name, label, excess=1):
        """Moves identical images out of training, unless that is too many of a class, or all of it."""
        lost = copies.get(group, {label: 1})
        missing = wanted[name]
        fits = all(count <= excess * missing[label] and count < left[label] for label, count in lost.items())
        if fits and home[group] == TRAIN:
            home[group] = SPLITS.index(name)
            missing.subtract(lost)
            left.subtract(lost)

    for label in np.unique(labels).tolist():
        groups = Counter(same[random.permutation(np.flatnonzero(labels == label))].tolist())  # in this random order
        for name, missing in wanted.items():
            for group in groups:
                if missing[label] <= 0:
                    break
                move(group, name, label)
            for group in sorted(groups, key=groups.get) if missing[label] > 0 else ():
                if missing[label] > 0:
                    move(group, name, label, excess=2)  # too many by as much as would be missing, or less
    indices = np.flatnonzero(home[same] == SPLITS.index(split))
    if not len(indices):
        raise ValueError(
            f"the {split} split is empty: {len(labels)} images, {len(set(same.tolist()))} of them different, were "
            f"divided with validation={validation}, test={test}"
        )
    return indices


def _copies(labels: np.ndarray, same: np.ndarray) -> dict[int, Counter]:
    """The labels of the images that occur more than once, by their number in `same`."""
    copies: dict[int, Counter] = {}
    for index in np.flatnonzero(np.bincount(same)[same] > 1).tolist():
        copies.setdefault(int(same[index]), Counter())[int(labels[index])] += 1
    return copies

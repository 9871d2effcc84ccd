"""The division of labelled images into training, validation and testing."""

from collections import Counter

import numpy as np

from kvision.data.split import SPLITS

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
    training = Counter(labels.tolist())

    def move(group, count, place, label):
        """Moves a group out of training, unless that would leave a class nothing to train on."""
        lost = copies.get(group, {label: count})
        if home[group] != TRAIN or any(training[label] <= count for label, count in lost.items()):
            return 0
        home[group] = place
        training.subtract(lost)
        return count

    for label in np.unique(labels).tolist():
        groups = Counter(same[random.permutation(np.flatnonzero(labels == label))].tolist())  # in this random order
        for name, fraction in (("validation", validation), ("test", test)):
            if not fraction:
                continue
            place = SPLITS.index(name)
            missing = max(1, round(fraction * groups.total()))
            missing -= sum(groups[group] for group in copies if home[group] == place)  # came with a class before
            for group, count in groups.items():
                if missing <= 0:
                    break
                if count <= missing:
                    missing -= move(group, count, place, label)
            larger = {group: count for group, count in groups.items() if missing < count <= 2 * missing}
            for group in sorted(larger, key=larger.get):  # one too large is nearer than none
                if move(group, larger[group], place, label):
                    break
    indices = np.flatnonzero(home[same] == SPLITS.index(split))
    if not len(indices):
        raise ValueError(
            f"the {split} split is empty: {len(labels)} images were divided with validation={validation}, test={test}"
        )
    return indices


def _copies(labels: np.ndarray, same: np.ndarray) -> dict[int, Counter]:
    """The labels of the images that occur more than once, by their number in `same`."""
    copies: dict[int, Counter] = {}
    for index in np.flatnonzero(np.bincount(same)[same] > 1).tolist():
        copies.setdefault(int(same[index]), Counter())[int(labels[index])] += 1
    return copies

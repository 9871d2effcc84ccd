"""Whether a classifier is as often right as it claims: Guo, Pleiss, Sun & Weinberger, ICML 2017, arXiv:1706.04599."""

from dataclasses import dataclass
from typing import Any

import numpy as np

BINS = 15
"""As in section 2 and Table 1 of the paper."""


@dataclass(frozen=True)
class Calibration:
    """Predictions in bins by their confidence, the probability of the predicted class.

    M bins of equal width: bin m holds the confidences in ((m - 1) / M, m / M], the first one 0 as well.

    Args:
        counts: predictions in each bin.
        confidence: their mean in each bin (equation of conf(B_m)); 0 in an empty one.
        accuracy: the share of them that is right (acc(B_m)); 0 in an empty one.
        nll: the negative log likelihood, in nats: the mean of -log p of the true class, p at least 1e-38.
        brier: the Brier score: the mean of the sum over the classes of (p - y)^2, in [0, 2] (Brier 1950).
    """

    counts: tuple[int, ...]
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    nll: float
    brier: float

    @property
    def edges(self) -> tuple[float, ...]:
        """M + 1 limits of the bins, from 0 to 1."""
        return tuple(number / len(self.counts) for number in range(len(self.counts) + 1))

    @property
    def ece(self) -> float:
        """The expected calibration error (equation 3): the mean distance of accuracy and confidence, by counts."""
        return float(np.dot(self._gaps, self.counts) / sum(self.counts))

    @property
    def mce(self) -> float:
        """The maximum calibration error (equation 5): the largest distance, over the bins that are not empty."""
        return float(self._gaps.max())

    @property
    def _gaps(self) -> np.ndarray:
        return np.abs(np.subtract(self.accuracy, self.confidence))

    @property
    def figures(self) -> dict[str, float]:
        return {"ece": self.ece, "mce": self.mce, "nll": self.nll, "brier": self.brier}

    @property
    def bins(self) -> list[dict[str, Any]]:
        """By bin: its two edges, how many predictions are in it, their mean confidence and accuracy."""
        columns = zip(self.edges[:-1], self.edges[1:], self.counts, self.confidence, self.accuracy, strict=True)
        return [dict(zip(("above", "to", "count", "confidence", "accuracy"), row, strict=True)) for row in columns]


def calibration(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> Calibration:
    """The calibration of predictions on labelled examples.

    Args:
        probabilities: `(N, classes)`, rows that sum to 1.
        labels: the true classes, integers `(N,)`.
        bins: how many.

    Raises:
        ValueError: no examples or no bins, other shapes, or rows that are no probabilities.
    """
    probabilities, labels = np.asarray(probabilities, "float64"), np.asarray(labels)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or not len(labels) or bins < 1:
        raise ValueError(
            "Probabilities (N, classes), labels (N,) and a number of bins are needed, each at least 1. "
            f"Received: shapes {probabilities.shape} and {labels.shape}, {bins} bins"
        )
    if not are_probabilities(probabilities):
        raise ValueError("Each row of probabilities is from 0 to 1 and sums to 1. Are these logits?")
    return in_bins(by_example(probabilities, labels), bins)


def are_probabilities(scores: np.ndarray) -> bool:
    """Whether all rows of `(N, classes)` are distributions, as precisely as half precision gives them."""
    return bool((scores >= 0).all() and (np.abs(scores.sum(1) - 1) < 1e-2).all())


def by_example(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What calibration needs of each example, `(N, 4)`: confidence, 1 if it is right, -log p, squared distances."""
    own = np.take_along_axis(probabilities, labels[:, None], 1)[:, 0]
    right = probabilities.argmax(1) == labels
    squares = (probabilities**2).sum(1) - own**2 + (1 - own) ** 2
    return np.stack([probabilities.max(1), right, -np.log(np.maximum(own, 1e-38)), squares], 1)


def in_bins(examples: np.ndarray, bins: int = BINS) -> Calibration:
    """The calibration of what `by_example` gave."""
    confidence, right, nll, squares = examples.T
    inner = np.arange(1, bins) / bins
    places = np.searchsorted(inner, confidence)  # an edge belongs to the bin below
    counts = np.bincount(places, minlength=bins)
    means = (np.bincount(places, values, bins) / np.maximum(counts, 1) for values in (confidence, right))
    columns = (tuple(map(float, column)) for column in means)
    return Calibration(tuple(map(int, counts)), *columns, float(nll.mean()), float(squares.mean()))

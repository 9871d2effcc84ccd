"""Whether a classifier is as often right as it claims: the diagram of Guo et al., arXiv:1706.04599, Figure 1."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kvision.visualize.figure import BLUE, GRID, INK, MUTED, ORANGE, blank, quiet

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def reliability(counts: Sequence[int], confidence: Sequence[float], accuracy: Sequence[float]) -> "Figure":
    """Above, the accuracy in bins of confidence, with its distance to the confidence; below, where confidences lie.

    Bars are the accuracy of a bin, the accent is what separates it from the bin's mean confidence: a bar that ends
    below it stands for predictions that claim too much. On the diagonal accuracy and confidence are the same.

    Args:
        counts: predictions in each of M bins of equal width, from 0 to 1, as in `kvision.evaluation.Calibration`.
        confidence, accuracy: of the predictions in each bin; of empty ones nothing is drawn.

    Raises:
        ValueError: numbers of bins that differ, no predictions, or a confidence or accuracy outside of 0 to 1.
    """
    counts, confidence, accuracy = (np.asarray(values, "float64") for values in (counts, confidence, accuracy))
    shapes = [values.shape for values in (counts, confidence, accuracy)]
    if len(set(shapes)) > 1 or counts.ndim != 1 or not counts.sum() > 0:
        raise ValueError(f"Each bin has a count, a confidence and an accuracy. Received: {shapes}, {counts.sum():g} in")
    if not all(0 <= value <= 1 for value in (*confidence, *accuracy)):
        raise ValueError(f"Confidence and accuracy lie in 0 to 1. Received: {confidence} and {accuracy}")
    bins, width = len(counts), 1 / len(counts)
    middles = (np.arange(bins) + 0.5) * width
    figure = blank(5.4, 6.2, "Reliability")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = counts > 0
    shares, gaps = counts / counts.sum(), np.abs(accuracy - confidence)

    quiet(above)
    above.bar(middles[filled], accuracy[filled], width, color=BLUE, edgecolor="white", label="accuracy")
    lower = np.minimum(accuracy, confidence)
    above.bar(
        middles[filled],
        gaps[filled],
        width,
        lower[filled],
        color=ORANGE,
        alpha=0.3,
        edgecolor=ORANGE,
        hatch="//",
        linewidth=0,
        label="distance to the confidence",
    )
    above.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle="--")
    above.set(xlim=(0, 1), ylim=(0, 1.02))
    above.set_ylabel("accuracy", color=MUTED)
    above.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper left")
    error = float((shares * gaps).sum())
    above.text(0.98, 0.04, f"calibration error {error:.1%}", ha="right", color=INK, fontsize=10, zorder=5)

    quiet(below)
    below.bar(middles, shares, width, color=MUTED, edgecolor="white")
    below.set_ylabel("share of\npredictions", color=MUTED)
    below.set_xlabel("confidence", color=MUTED)
    mean = {"confidence": float((shares * confidence).sum()), "accuracy": float((shares * accuracy).sum())}
    for (name, place), color in zip(mean.items(), (ORANGE, BLUE), strict=True):
        below.axvline(place, color=color, linewidth=1.6, label=f"mean {name} {place:.1%}")
    below.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper left")
    for axes in (above, below):
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    return figure

"""Whether a classifier is as often right as it claims: the diagram of Guo et al., arXiv:1706.04599, Figure 1."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kvision.visualize.figure import BLUE, GRID, INK, MUTED, ORANGE, blank, quiet

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def reliability(counts: Sequence[int], confidence: Sequence[float], accuracy: Sequence[float]) -> "Figure":
    """Above, how often predictions are right by how sure they are; below, how sure they are.

    A bar ends where the accuracy of its bin is. The pale end of a bar goes beyond the bin's mean confidence: these
    predictions claim too little. What is missing up to it is hatched: these claim too much. On the dashed diagonal
    accuracy and confidence are the same.

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
    from matplotlib.patches import Patch

    width = 1 / len(counts)
    middles = (np.arange(len(counts)) + 0.5) * width
    shares, gaps = counts / counts.sum(), np.abs(accuracy - confidence)
    figure = blank(5.4, 6.0, f"Reliability: calibration error {(shares * gaps).sum():.1%}")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))

    quiet(above)
    keys = []
    lower, little, much = np.minimum(accuracy, confidence), accuracy > confidence, accuracy < confidence
    for label, which, bottom, height, style in (
        ("as often right as claimed", counts > 0, 0 * lower, lower, dict(facecolor=BLUE)),
        ("more often", little, lower, gaps, dict(facecolor=BLUE, alpha=0.35)),
        ("less often", much, lower, gaps, dict(facecolor="white", edgecolor=ORANGE, hatch="////")),
    ):
        above.bar(middles[which], height[which], 0.9 * width, bottom[which], linewidth=0, **style)
        keys.append(Patch(linewidth=0, label=label, **style))  # of its own: there may be no such bar
    above.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle="--")
    above.set(xlim=(0, 1), ylim=(0, 1))
    above.set_ylabel("accuracy", color=MUTED)
    legend = dict(frameon=False, fontsize=9, labelcolor=INK, loc="lower left", handlelength=1.4, columnspacing=1.2)
    above.legend(handles=keys, **legend, bbox_to_anchor=(-0.02, 1), ncols=3)

    quiet(below)
    below.bar(middles, shares, 0.9 * width, color=MUTED)
    below.set_ylabel("share of\npredictions", color=MUTED)
    below.set_xlabel("confidence", color=MUTED)
    mean = {"confidence": float((shares * confidence).sum()), "accuracy": float((shares * accuracy).sum())}
    for (name, place), color in zip(mean.items(), (ORANGE, BLUE), strict=True):
        below.axvline(place, color=color, linewidth=1.6, label=f"mean {name} {place:.1%}")
    below.legend(**legend, bbox_to_anchor=(-0.02, 1), ncols=2)
    for axes in (above, below):
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    return figure

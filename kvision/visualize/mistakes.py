"""What a classifier gets wrong, to look at."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kvision.visualize.figure import GRID, INK, MUTED, blank, displayed, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 6


def mistakes(
    images: Sequence[np.ndarray],
    truths: Sequence[int],
    predictions: Sequence[int],
    scores: Sequence[float],
    class_names: Sequence[str],
    limit: int = 36,
) -> "Figure":
    """A sheet of misclassified images, each under "truth → prediction score", in the order given.

    Args:
        images: `(H, W)`, `(H, W, 1)` or `(H, W, 3)`, of equal sizes or not. Integers in [0, 255], or floats: those
            within [0, 1] are shown as they are, any others (normalized images) stretched over their own range.
        truths, predictions: class indices, one pair per image.
        scores: the score of each prediction, such as its probability.
        class_names: by class index.
        limit: how many images to show at most, from the first on.

    Raises:
        ValueError: the numbers of images, truths, predictions and scores differ; an image of another shape; a limit
            below 1.
    """
    counts = [len(images), len(truths), len(predictions), len(scores)]
    if len(set(counts)) > 1:
        raise ValueError(f"Every image has a truth, a prediction and a score. Received: {counts} of these")
    if limit < 1:
        raise ValueError(f"`limit` is at least 1. Received: {limit}")
    total, shown = counts[0], min(counts[0], limit)
    if not total:
        figure = blank(6, 2.4, "Mistakes")
        figure.text(0.5, 0.42, "There were no mistakes.", ha="center", va="center", fontsize=12, color=MUTED)
        return figure
    columns = min(shown, COLUMNS)
    rows = -(-shown // columns)
    which = f"{total:,}" if shown == total else f"{shown:,} of {total:,}"
    figure = blank(max(1.9 * columns, 3.2), 2.25 * rows + 0.5, f"Mistakes ({which})")
    for place in range(shown):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.imshow(displayed(images[place]), "gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[], anchor="NW")
        axes.spines[:].set_color(GRID)
        truth, prediction = (shorten(class_names[int(classes[place])], 18) for classes in (truths, predictions))
        title = f"{truth}\n→ {prediction} {scores[place]:.2f}"
        axes.set_title(title, loc="left", fontsize=8.5, color=INK, linespacing=1.35, pad=4, parse_math=False)
    return figure

"""Which classes a classifier takes for which."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kvision.visualize.figure import GRID, INK, MUTED, blank, quiet, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion(matrix: np.ndarray, class_names: Sequence[str]) -> "Figure":
    """A confusion matrix, each row coloured by the shares of its class; up to 20 classes, with counts in the cells.

    The colour goes with the square root of the share, so that rare confusions show beside the diagonal.

    Args:
        matrix: counts `(classes, classes)`: rows are the truth, columns the prediction.
        class_names: one per class. Up to 60 classes each has its tick, beyond that every so many.

    Raises:
        ValueError: the matrix is not square, not of counts, or not of as many classes as there are names.
    """
    matrix, classes = np.asarray(matrix), len(class_names)
    if matrix.shape != (classes, classes) or not classes or (matrix < 0).any():
        raise ValueError(
            f"A confusion matrix of {classes} named classes holds counts of shape ({classes}, {classes}). "
            f"Received: shape {matrix.shape}"
        )
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    supports = matrix.sum(1, keepdims=True)
    shares = np.divide(matrix, supports, out=np.zeros(matrix.shape), where=supports > 0)
    side = float(np.clip(2.6 + 0.45 * classes, 4.6, 11))
    figure = blank(side + 0.9, side, "Confusion matrix")
    axes = figure.add_subplot()
    quiet(axes)
    palette = LinearSegmentedColormap.from_list("blues", ["#ffffff", "#cfe0f1", "#6f9fd0", "#2b6cb0", "#123a66"])
    # Up to 1,000 classes every cell has a pixel of its own; beyond, averaging lets a lone cell fade but never vanish.
    interpolation = "nearest" if classes <= 1000 else "antialiased"
    shade = PowerNorm(0.5, 0, 1)
    cells = axes.imshow(shares, palette, shade, interpolation=interpolation, interpolation_stage="rgba")
    ticks = np.arange(0, classes, 1 if classes <= 60 else -(-classes // 20))
    names = [shorten(class_names[tick]) for tick in ticks]
    size = 9 if classes <= 30 else 7
    upright = classes > 12 or max(map(len, names)) * classes > 60
    axes.set_xticks(ticks, names, rotation=90 if upright else 0, fontsize=size, parse_math=False)
    axes.set_yticks(ticks, names, fontsize=size, parse_math=False)
    axes.set_xlabel("prediction", color=MUTED, labelpad=8)
    axes.set_ylabel("truth", color=MUTED, labelpad=8)
    if classes <= 60:
        axes.set_xticks(np.arange(1, classes) - 0.5, minor=True)
        axes.set_yticks(np.arange(1, classes) - 0.5, minor=True)
        axes.grid(which="minor", color=GRID, linewidth=0.8)
        axes.tick_params(which="both", length=0)
    axes.spines[:].set(visible=True, color=GRID)
    if classes <= 20:
        for row, column in np.argwhere(matrix):
            color = "white" if shade(shares[row, column]) > 0.55 else INK
            count = f"{matrix[row, column]:,}"
            axes.text(column, row, count, ha="center", va="center", color=color, fontsize=9 if len(count) < 6 else 7)
    scale = figure.colorbar(
        cells,
        ax=axes,
        shrink=0.75,
        aspect=28,
        pad=0.02,
        ticks=[0, 0.01, 0.05, 0.2, 0.5, 1],
        format=lambda share, _: f"{share:.0%}",
    )
    scale.outline.set_visible(False)
    scale.ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=9, length=0)
    scale.set_label("share of the true class", color=MUTED, fontsize=9)
    return figure

"""Figures of several runs side by side: how much of a difference is chance."""

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kvision.visualize.figure import BLUE, GRID, INK, MUTED, ORANGE, blank, quiet

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def spread(figures: Mapping[str, Sequence[float]]) -> "Figure":
    """A plot for each figure: a point for each run, their mean, and one standard deviation to both sides.

    Args:
        figures: by name, a value for each run.

    Raises:
        ValueError: no figures, or one without a value or of another number of runs.
    """
    runs = {len(values) for values in figures.values()}
    if len(runs) != 1 or 0 in runs:
        raise ValueError(f"Every figure has a value for every run. Received: {dict(figures)}")
    figure = blank(7.2, 0.95 * len(figures) + 0.7, "Spread")
    for place, (name, values) in enumerate(figures.items(), 1):
        axes = figure.add_subplot(len(figures), 1, place)
        quiet(axes)
        axes.spines["left"].set_visible(False)
        mean = statistics.fmean(values)
        if len(values) > 1:
            deviation = statistics.stdev(values)
            axes.plot([mean - deviation, mean + deviation], [0, 0], color=ORANGE, linewidth=8, alpha=0.3)
        axes.plot([mean], [0], "|", color=ORANGE, markersize=16, markeredgewidth=2.2)
        axes.plot(values, [0] * len(values), "o", color=BLUE, markersize=6, alpha=0.75, clip_on=False)
        axes.set(ylim=(-1, 1), yticks=[])
        axes.margins(x=0.12)
        axes.locator_params(axis="x", nbins=5)
        axes.set_ylabel(name, rotation=0, ha="right", va="center", color=INK, fontsize=10)
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(colors=MUTED)
    return figure

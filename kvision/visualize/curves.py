"""How training went, epoch by epoch."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kvision.visualize.figure import BLUE, GRID, INK, MUTED, ORANGE, blank, quiet

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves(*histories: Mapping[str, Sequence[float]] | str | os.PathLike) -> "Figure":
    """One plot per metric over the epochs, counted from 1, with the validation's curve beside the training's.

    Of several trainings the line is the mean, as far as the shortest goes, and the band reaches from the lowest to the
    highest. Metrics that not all of them have are left out.

    Args:
        histories: values per epoch by metric, as `model.fit(...).history` has them, or the path of a JSON file with the
            same. `val_x` goes on the axes of `x`, and so does `val_x_average`, of averaged weights.

    Raises:
        ValueError: there is no metric, or one without a value.
    """
    read = [json.loads(Path(x).read_text("utf-8")) if isinstance(x, str | os.PathLike) else x for x in histories]
    common = [name for name in (read[0] if read else ()) if all(name in history for history in read)]
    if not common or not all(len(values) for history in read for values in history.values()):
        raise ValueError(f"A history has values for every metric. Received: {[dict(history) for history in read]}")
    history = {name: np.stack([h[name][: min(len(h[name]) for h in read)] for h in read]) for name in common}
    names = (name.removesuffix("_average") if name.startswith("val_") else name for name in history)
    metrics = list(dict.fromkeys(name.removeprefix("val_") for name in names))
    columns = 2 if len(metrics) == 4 else min(len(metrics), 3)
    rows = -(-len(metrics) // columns)
    figure = blank(4.6 * columns + 0.4, 3.5 * rows + 0.4, "Training history")
    for place, metric in enumerate(metrics, 1):
        axes = figure.add_subplot(rows, columns, place)
        quiet(axes)
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_title(metric.replace("_", " "), loc="left", fontsize=11, color=INK)
        axes.set_xlabel("epoch", color=MUTED, fontsize=9)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        for name, label, color, style in (
            (metric, "training", BLUE, "-"),
            (f"val_{metric}", "validation", ORANGE, "-"),
            (f"val_{metric}_average", "averaged weights", ORANGE, ":"),
        ):
            if name in history:
                values = history[name]
                epochs = range(1, values.shape[1] + 1)
                marker = "o" if len(epochs) <= 30 else None
                axes.plot(
                    epochs, values.mean(0), style, color=color, lw=1.8, marker=marker, markersize=3.5, label=label
                )
                if len(values) > 1:
                    axes.fill_between(epochs, values.min(0), values.max(0), color=color, alpha=0.18, linewidth=0)
        if len(axes.lines) > 1:
            axes.legend(frameon=False, fontsize=9, labelcolor=INK)
        axes.set_xlim(0.5, max(len(line.get_xdata()) for line in axes.lines) + 0.5)
    return figure

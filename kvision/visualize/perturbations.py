"""What the dimensions of a capsule stand for: Figure 4 of Sabour, Frosst & Hinton, NIPS 2017, arXiv:1710.09829."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kvision.visualize.figure import INK, MUTED, blank

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def perturbations(images: np.ndarray, values: Sequence[float]) -> "Figure":
    """A row of reconstructions for each dimension of a capsule, from the lowest value added to it to the highest.

    Args:
        images: `(D, N, H, W, C)` in [0, 1], C 1 or 3, as `kvision.applications.capsnet.perturb` makes them.
        values: the N values that were added.

    Raises:
        ValueError: images of another shape, or another number of values.
    """
    images, values = np.asarray(images), list(values)
    if images.ndim != 5 or images.shape[-1] not in (1, 3) or images.shape[1] != len(values):
        raise ValueError(
            "Perturbed images are (dimensions, values, H, W, C), with C 1 or 3. "
            f"Received: images of shape {images.shape} and {len(values)} values"
        )
    dimensions, columns, height, width, _ = images.shape
    # One picture of all, with a light line between neighbours.
    framed = np.pad(images, ((0, 0), (0, 0), (1, 0), (1, 0), (0, 0)), constant_values=0.6)
    sheet = framed.transpose(0, 2, 1, 3, 4).reshape(dimensions * (height + 1), columns * (width + 1), -1)
    figure = blank(0.55 * columns + 1.2, 0.55 * dimensions * height / width + 1.2, "Perturbed capsule")
    axes = figure.add_subplot()
    axes.imshow(sheet.squeeze(-1) if sheet.shape[-1] == 1 else sheet, "gray", vmin=0, vmax=1)
    axes.set_xticks((np.arange(columns) + 0.5) * (width + 1), [f"{value:+.2f}" for value in values], rotation=90)
    axes.set_yticks((np.arange(dimensions) + 0.5) * (height + 1), range(dimensions))
    axes.set_xlabel("added to the dimension", color=INK)
    axes.set_ylabel("dimension", color=INK)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=8, length=0)
    axes.spines[:].set_visible(False)
    return figure

"""Images with captions, in rows and columns."""

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kvision.visualize.figure import BLUE, GRID, INK, MUTED, blank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 6
WIDTH = 1.9  # of a column, in inches


def sheet(
    images: Sequence[np.ndarray],
    captions: Sequence[str],
    title: str = "Images",
    marked: Collection[int] = (),
    note: str = "",
    columns: int | None = None,
) -> "Figure":
    """Each image under its caption, in the order given.

    Args:
        images: `(H, W)`, `(H, W, 1)` or `(H, W, 3)`, of equal sizes or not, floats in [0, 1].
        captions: one for each image, on as many lines as it has; 26 letters fit on a line.
        title: of the figure.
        marked: the numbers of the images whose caption has the accent colour.
        note: a line below the images.
        columns: how many images stand side by side; None for about as many as below each other, at most six.

    Raises:
        ValueError: no images, another number of captions, or an image of another shape.
    """
    if not len(images) or len(images) != len(captions):
        raise ValueError(f"Every image has a caption. Received: {len(images)} images, {len(captions)} captions")
    for image in images:
        if np.ndim(image) != 2 and (np.ndim(image) != 3 or np.shape(image)[-1] not in (1, 3)):
            raise ValueError(f"An image is (H, W), (H, W, 1) or (H, W, 3). Received: {np.shape(image)}")
    columns = columns or min(len(images), COLUMNS, max(3, math.ceil(len(images) ** 0.5)))
    rows = -(-len(images) // columns)
    lines = max(caption.count("\n") + 1 for caption in captions)
    tallest = max(np.shape(image)[0] / np.shape(image)[1] for image in images)
    height = 0.87 * WIDTH * min(tallest, 1.5) + 0.16 * lines + 0.15
    figure = blank(max(WIDTH * columns, 3.2), height * rows + (0.85 if note else 0.5), title)
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.imshow(np.squeeze(image, -1) if np.shape(image)[-1:] == (1,) else image, "gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[], anchor="NW")
        axes.spines[:].set_color(GRID)
        color = BLUE if place in marked else INK
        # As many lines everywhere, so that the images of a row stand on one line.
        caption = "\n" * (lines - 1 - caption.count("\n")) + caption
        axes.set_title(caption, loc="left", fontsize=8.5, color=color, linespacing=1.35, pad=4, parse_math=False)
    if note:
        figure.supxlabel(note, fontsize=8.5, color=MUTED)
    return figure

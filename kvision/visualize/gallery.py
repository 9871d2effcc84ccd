"""Images in rows, to be compared from above to below."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kvision.visualize.figure import INK, ORANGE, blank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAP, GAP_FOR_OUTLINES = 0.15, 0.42  # between images, in widths of an image: outlines may turn and leave theirs


def gallery(
    rows: Mapping[str, np.ndarray],
    outlines: Mapping[str, np.ndarray] | None = None,
    columns: Sequence[object] = (),
    title: str = "Gallery",
) -> "Figure":
    """A named row for each batch of images, one above the other: those of one column belong together.

    Args:
        rows: by name, from above to below, images `(N, H, W, C)` in [0, 1], C 1 or 3. H and W may differ from row to
            row: all images are shown equally wide.
        outlines: by name of a row, a closed line on each image, `(N, P, 2)`: x and y in pixels, (0, 0) the centre of
            the first pixel. A dot marks its first point: what is upright there.
        columns: what to write above each, or nothing.
        title: of the figure.

    Raises:
        ValueError: no images, images or lines of another shape or number, or lines on a row that does not exist.
    """
    rows = {name: np.asarray(images) for name, images in rows.items()}
    outlines = {name: np.asarray(lines) for name, lines in (outlines or {}).items()}
    count = len(next(iter(rows.values()), ()))
    shapes = {name: images.shape for name, images in rows.items()}
    if not count or not all(len(s) == 4 and s[0] == count and s[3] in (1, 3) for s in shapes.values()):
        raise ValueError(f"Every row has the same number of images (N, H, W, C), with C 1 or 3. Received: {shapes}")
    lines = {name: points.shape for name, points in outlines.items()}
    if not all(name in rows and len(s) == 3 and s[0] == count and s[2] == 2 for name, s in lines.items()):
        raise ValueError(f"Outlines are (N, P, 2) on one of {list(rows)}, and N is {count}. Received: {lines}")
    if columns and len(columns) != count:
        raise ValueError(f"There are {count} columns. Received: {len(columns)} names for them")
    heights = {name: height / width for name, (_, height, width, _) in shapes.items()}
    gap = GAP_FOR_OUTLINES if outlines else GAP
    wide, tall = (1 + gap) * count, sum(heights.values()) + gap * len(rows)
    figure = blank(max(0.75 * wide + 1.8, 0.12 * len(title) + 0.4), 0.75 * tall + 1.0, title)
    axes, top, places = figure.add_subplot(), 0.0, []
    for name, images in rows.items():
        for column, image in enumerate(images):
            left, height, width = (1 + gap) * column, heights[name], image.shape[1]
            image = image[..., 0] if image.shape[-1] == 1 else image
            axes.imshow(image, "gray", vmin=0, vmax=1, extent=(left, left + 1, top + height, top))
            if name in outlines:
                x, y = ((outlines[name][column] + 0.5) / width).T
                x, y = np.append(x, x[0]) + left, np.append(y, y[0]) + top
                axes.plot(x, y, color=ORANGE, linewidth=1.4, marker="o", markersize=4, markevery=[0])
        places.append(top + height / 2)
        top += height + gap
    axes.set(xlim=(-gap / 2, wide - gap / 2), ylim=(tall - gap / 2, -gap / 2), aspect="equal")
    axes.set_yticks(places, list(rows))
    axes.set_xticks([(1 + gap) * column + 0.5 for column in range(len(columns))], [str(name) for name in columns])
    axes.tick_params(top=False, labeltop=True, bottom=False, labelbottom=False, labelcolor=INK, labelsize=10, length=0)
    axes.spines[:].set_visible(False)
    return figure

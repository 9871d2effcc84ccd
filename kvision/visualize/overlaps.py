"""What a CapsNet sees in overlapping digits: Figure 5 of Sabour, Frosst & Hinton, NIPS 2017, arXiv:1710.09829."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kvision.visualize.figure import BLUE, INK, MUTED, ORANGE, blank, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def overlaps(images: np.ndarray, reconstructions: np.ndarray, captions: Sequence[str]) -> "Figure":
    """A row of images, each above its two reconstructions, one orange and one blue, white where both have ink.

    Args:
        images: `(N, H, W, 1)` in [0, 1], ink bright.
        reconstructions: `(N, 2, H, W, 1)` in [0, 1], as `kvision.applications.capsnet.reconstruct` makes them.
        captions: a line above each image.

    Raises:
        ValueError: arrays of other shapes, or another number of captions.
    """
    images, reconstructions = np.asarray(images), np.asarray(reconstructions)
    count, *shape = images.shape
    if images.ndim != 4 or shape[-1] != 1 or reconstructions.shape != (count, 2, *shape) or len(captions) != count:
        raise ValueError(
            "Images are (N, H, W, 1), with reconstructions (N, 2, H, W, 1) and N captions. "
            f"Received: {images.shape}, {reconstructions.shape} and {len(captions)} captions"
        )
    from matplotlib.colors import to_rgb

    colours = np.array([to_rgb(ORANGE), to_rgb(BLUE)])
    mixed = np.minimum(np.einsum("nkhwc,kr->nhwr", reconstructions, colours), 1)
    figure = blank(1.25 * count + 0.9, 3.4, "Overlapping digits, and the two that were seen")
    for row, (name, pictures) in enumerate((("input", images[..., 0]), ("seen", mixed))):
        for column, picture in enumerate(pictures):
            axes = figure.add_subplot(2, count, row * count + column + 1)
            axes.imshow(picture, "gray", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if column == 0:
                axes.set_ylabel(name, color=MUTED)
            if row == 0:
                axes.set_title(shorten(captions[column]), fontsize=9, color=INK, parse_math=False)
    return figure

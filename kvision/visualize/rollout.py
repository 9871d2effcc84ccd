"""What a transformer attends to: attention rollout, Abnar & Zuidema, ACL 2020, arXiv:2005.00928, section 3."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kvision.visualize.figure import GRID, INK, blank, displayed, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def attention_rollout(maps: Sequence[np.ndarray]) -> np.ndarray:
    """How much of each token of the input is in each token of the output: `(B, N, N)`, whose rows sum to 1.

    The heads of a block are averaged, half is left to the residual connection, and the blocks multiplied:
    `R_l = (A_l + I) / 2 R_{l-1}` (equation 1).

    Args:
        maps: the attention `(B, heads, N, N)` of every block, from first to last, such as
            `kvision.applications.vit.attention_maps` gives.

    Raises:
        ValueError: no maps, or maps of other shapes.
    """
    maps = [np.asarray(attention, "float64") for attention in maps]
    shapes = {(*attention.shape[:1], *attention.shape[2:]) for attention in maps}
    if len(shapes) != 1 or any(attention.ndim != 4 or attention.shape[2] != attention.shape[3] for attention in maps):
        raise ValueError(f"Each map is (B, heads, N, N). Received: {[attention.shape for attention in maps]}")
    identity = np.eye(maps[0].shape[-1])
    rolled = identity[None]
    for attention in maps:
        rolled = (attention.mean(axis=1) + identity) / 2 @ rolled
    return rolled


def rollout(images: Sequence[np.ndarray], maps: Sequence[np.ndarray], titles: Sequence[object] = ()) -> "Figure":
    """Each image, and below it the same image lit where its class token, the first, comes from.

    Args:
        images: `(H, W)`, `(H, W, 1)` or `(H, W, 3)`, of the size that the network saw, cut into square patches.
        maps: as `attention_rollout` takes them, of these images.
        titles: one for each image.

    Raises:
        ValueError: other maps; numbers of images, maps and titles that differ; patches that do not cover the image.
    """
    rolled = attention_rollout(maps)
    count, places = len(images), rolled.shape[1] - 1
    if not count or len(rolled) != count or len(titles) not in (0, count):
        raise ValueError(f"Received: {count} images, maps of {len(rolled)}, and {len(titles)} titles")
    figure = blank(max(1.9 * count, 3.2), 4.2, "Attention rollout")
    for number, image in enumerate(images):
        height, width = np.shape(image)[:2]
        size = round((height * width / places) ** 0.5) or 1
        if (height // size) * (width // size) != places:
            raise ValueError(f"{places} patches do not cover an image of {height}x{width} pixels.")
        light = rolled[number, 0, 1:].reshape(height // size, width // size)
        shade = np.zeros((*light.shape, 4))  # black, where little comes from
        shade[..., 3] = 1 - light / light.max()
        for row in (0, 1):
            axes = figure.add_subplot(2, count, row * count + number + 1)
            axes.imshow(displayed(image), "gray", vmin=0, vmax=1, extent=(0, width, height, 0))
            if row:
                axes.imshow(shade, interpolation="bilinear", extent=(0, width, height, 0))
            elif titles:
                axes.set_title(shorten(titles[number], 18), loc="left", fontsize=8.5, color=INK, parse_math=False)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color(GRID)
    return figure

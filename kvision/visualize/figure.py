"""Paper, ink and files: what every picture shares."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#1f2933", "#6b7785", "#e4e8ec"
BLUE, ORANGE = "#2b6cb0", "#dd6b20"


def blank(width: float, height: float, title: str) -> "Figure":
    """An empty figure of `width` by `height` inches with a title; its axes arrange themselves."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((width, height), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12, wspace=0.02, hspace=0.02)
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13, fontweight="bold", color=INK)
    return figure


def quiet(axes: "Axes") -> None:
    """Leaves of the frame the two sides that carry a scale, and lets the data speak."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=9, length=3)


def shorten(name: object, length: int = 20) -> str:
    """A name that fits, on one line: "great grey owl, great gr…"."""
    name = " ".join(str(name).split())
    return name if len(name) <= length else name[: length - 1].rstrip() + "…"


def displayed(image: np.ndarray) -> np.ndarray:
    """Floats in [0, 1], `(H, W)` or `(H, W, 3)`."""
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    if image.ndim != 2 and (image.ndim != 3 or image.shape[-1] != 3):
        raise ValueError(f"An image is (H, W), (H, W, 1) or (H, W, 3). Received: {image.shape}")
    if image.dtype.kind in "iu":
        return image / 255
    image = image.astype("float64")
    low, high = image.min(), image.max()
    return image if low >= 0 and high <= 1 else (image - low) / ((high - low) or 1)


def save(figure: "Figure", path: str | os.PathLike) -> None:
    """Writes a figure as a PNG at 150 dots per inch, creating the folders above it. Nobody sees half a file.

    Raises:
        ValueError: the name does not end in `.png`.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"Pictures are saved as PNG: the name ends in .png. Received: {path}")
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        figure.savefig(partial, format="png", dpi=150)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)

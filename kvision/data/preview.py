"""`preview`: a look at a batch as the model will see it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PART = 0.05  # of a label: what is below is not named
LETTERS = 24


def preview(
    batch: tf.data.Dataset | tuple[tf.Tensor, tf.Tensor],
    class_names: Sequence[str] | None = None,
    count: int = 24,
    title: str = "A training batch",
) -> "Figure":
    """A sheet of images with their labels, to be looked at before hours of training.

    Mixed labels read "cat 0.7 + dog 0.3", in the accent colour; parts below 0.05 are left out. A part that is 1 reads
    as its class alone.

    Args:
        batch: images and labels, or the dataset whose first batch they are. Images (B, H, W, C), C 1 or 3, uint8 or
            floats of one of three scales. What exceeds 0...255 has been normalised: the whole sheet is stretched, its
            lowest value to black and its highest to white, and a line below says so. What is within 0...1 is shown on
            that scale, all else on 0...255. Labels class ids, integers (B,), or parts of classes, floats (B, classes).
        class_names: the name of each class id, by default the ids themselves.
        count: how many images to show at most, from the first on.
        title: of the figure.

    Returns:
        A `matplotlib.figure.Figure`: `kvision.visualize.save(figure, "batch.png")` writes it.

    Raises:
        ValueError: images or labels of another shape or number, a class id without a name, or a count below 1.
    """
    from kvision.visualize.sheet import sheet

    if isinstance(batch, tf.data.Dataset):
        batch = next(iter(batch))
    images, labels = (np.asarray(part) for part in batch[:2])
    if count < 1:
        raise ValueError(f"count must be 1 or more, got {count!r}")
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(f"images must be (B, H, W, C), C 1 or 3, got {images.shape}")
    integers = labels.ndim == 1 and labels.dtype.kind in "iu"
    if not (integers or labels.ndim == 2) or len(labels) != len(images):
        raise ValueError(
            f"labels must be class ids (B,) or parts of classes (B, classes), as many as the {len(images)} images, got "
            f"{labels.shape} of {labels.dtype}"
        )
    classes = labels.max() + 1 if integers else labels.shape[1]
    names = list(map(str, range(classes))) if class_names is None else class_names
    if len(names) < classes:
        raise ValueError(f"class_names must name all classes, got {len(names)} names for {classes} classes")

    images, labels = images[:count], labels[:count]
    pixels, note = _scaled(images)
    parts = [{int(label): 1} if integers else _parts(label) for label in labels]
    mixed = [number for number, shares in enumerate(parts) if list(shares.values()) != [1]]
    return sheet(pixels, [_caption(shares, names) for shares in parts], title, mixed, note)


def _scaled(images: np.ndarray) -> tuple[np.ndarray, str]:
    """The images in 0...1, and what was done for it if that is not evident."""
    integers = images.dtype.kind in "iu"
    images = images.astype(np.float32)
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 255:
        return (images - low) / ((high - low) or 1), f"stretched: black is {low:.3g}, white {high:.3g}"
    return images / (1 if high <= 1 and not integers else 255), ""


def _parts(label: np.ndarray) -> dict[int, float]:
    """The larger parts of a label in hundredths, the largest first; at least one."""
    order = np.argsort(-label, kind="stable").tolist()
    return {place: round(float(label[place]), 2) for place in order if place == order[0] or label[place] >= PART}


def _caption(parts: dict[int, float], names: Sequence[str]) -> str:
    from kvision.visualize.figure import shorten

    words = [
        shorten(names[place], LETTERS) if share == 1 else f"{shorten(names[place], LETTERS - 7)} {share:g}"
        for place, share in parts.items()
    ]
    lines = words[:1]
    for word in words[1:]:
        joined = f"{lines[-1]} + {word}"
        lines[-1:] = [joined] if len(joined) <= LETTERS else [lines[-1], f"+ {word}"]
    return "\n".join(lines)

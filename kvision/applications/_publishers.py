"""Weights by their publisher: preprocessing and licenses as in the pretrained configurations of timm 1.0.31."""

from collections.abc import Mapping
from typing import Any

from kvision.applications._weights import Weights
from kvision.classifier import Preprocess

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's training set, in [0, 1]


def timm(
    tag: str,
    changes: Mapping[str, Any] | None = None,
    top1: float | None = None,
    mean: tuple[float, ...] = MEAN,
    std: tuple[float, ...] = STD,
    size: int = 288,
    crop: float = 1.0,
    auxiliary: tuple[str, ...] = (),
    rename: tuple[tuple[str, str], ...] = (),
    interpolation: str = "bicubic",
    top: tuple[str, ...] = ("fc",),
) -> Weights:
    """Trained or converted by timm, under Apache 2.0; `top1` as timm measured it at `size`, by default 288.

    The figures are those of timm's results/results-imagenet.csv at commit 0173a139.
    """
    return Weights(
        f"timm/{tag}",
        changes or {},
        rename=rename,
        top=top,
        auxiliary=auxiliary,
        preprocess=Preprocess(mean, std, size=(size, size), crop_fraction=crop, interpolation=interpolation),
        license="apache-2.0",
        publisher_top1=top1 and (top1, "timm, results/results-imagenet.csv at 0173a139"),
    )


def torchvision(
    tag: str,
    changes: Mapping[str, Any] | None = None,
    top1: float | None = None,
    crop: float = 0.875,
    top: tuple[str, ...] = ("fc",),
    host: str = "timm",
    rename: tuple[tuple[str, str], ...] = (),
    flattened: Mapping[str, tuple[int, int, int]] | None = None,
    auxiliary: tuple[str, ...] = (),
    mean: tuple[float, ...] = MEAN,
    std: tuple[float, ...] = STD,
) -> Weights:
    """Trained by torchvision and, but for a few, hosted by timm; `top1` as in torchvision's meta data, at 224."""
    return Weights(
        f"{host}/{tag}",
        changes or {},
        rename=rename,
        flattened=flattened or {},
        top=top,
        auxiliary=auxiliary,
        preprocess=Preprocess(mean, std, size=(224, 224), crop_fraction=crop),
        license="bsd-3-clause",
        publisher_top1=top1 and (top1, "torchvision, meta data of the weights"),
    )

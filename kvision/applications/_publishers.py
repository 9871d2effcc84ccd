"""Weights by their publisher: preprocessing and licenses as in the pretrained configurations of timm 1.0.31."""

from collections.abc import Mapping
from typing import Any

from kvision.applications._weights import Weights
from kvision.classifier import Preprocess

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's training set, in [0, 1]
HALF = (0.5, 0.5, 0.5)

# How timm tests what came from elsewhere, or was trained for few epochs.
A3 = dict(size=224, crop=0.95)
GLUON = dict(size=224, crop=0.875)
NONCOMMERCIAL = dict(size=224, crop=0.875, interpolation="bilinear", license="cc-by-nc-4.0")  # of Facebook


def timm(
    tag: str,
    changes: Mapping[str, Any] | None = None,
    top1: float | None = None,
    mean: tuple[float, ...] = MEAN,
    std: tuple[float, ...] = STD,
    size: int = 288,
    crop: float = 1.0,
    interpolation: str = "bicubic",
    squash: bool = False,
    license: str | None = "apache-2.0",
    **others,
) -> Weights:
    """Trained or converted by timm, or, where the license is another, hosted; `top1` as timm measured it at `size`.

    The figures are those of timm's results/results-imagenet.csv at commit 0173a139. `others` are fields of `Weights`.
    """
    resizing = dict(size=(size, size), crop_fraction=crop, interpolation=interpolation, squash=squash)
    return Weights(
        f"timm/{tag}",
        changes=changes or {},
        preprocess=Preprocess(mean, std, **resizing),
        license=license,
        publisher_top1=top1 and (top1, "timm, results/results-imagenet.csv at 0173a139"),
        **others,
    )


def torchvision(
    tag: str,
    changes: Mapping[str, Any] | None = None,
    top1: float | None = None,
    mean: tuple[float, ...] = MEAN,
    std: tuple[float, ...] = STD,
    crop: float = 0.875,
    interpolation: str = "bilinear",
    license: str | None = "bsd-3-clause",
    **others,
) -> Weights:
    """Trained by torchvision, hosted by timm or, with an `address`, by torchvision alone, as a torch pickle; `top1` as
    in torchvision's meta data, at 224. `others` are fields of `Weights`.
    """
    return Weights(
        f"{'torchvision' if 'address' in others else 'timm'}/{tag}",
        changes=changes or {},
        preprocess=Preprocess(mean, std, size=(224, 224), crop_fraction=crop, interpolation=interpolation),
        license=license,
        publisher_top1=top1 and (top1, "torchvision, meta data of the weights"),
        **others,
    )

"""What a recipe does to images: layers of `kvision.data` that are yet to be made, as records that compare by value."""

import inspect
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, init=False, repr=False)
class Layer:
    """A layer that is made when it is called, with these options: `Layer(data.CutMix, probability=0.5)`.

    Two with the same options are equal, which two layers are not. Options that are such records are made, too.
    """

    kind: type
    options: tuple[tuple[str, Any], ...]

    def __init__(self, kind: type, **options):
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "options", tuple(sorted(options.items())))

    def __call__(self, *args, **more):
        options = {name: value() if isinstance(value, Layer) else value for name, value in self.options}
        return self.kind(*args, **options, **more)

    def __repr__(self):
        return f"{self.kind.__name__}({', '.join(f'{name}={value!r}' for name, value in self.options)})"


@dataclass(frozen=True, init=False, repr=False)
class Layers:
    """Layers for batches, one after another: `Layers(Layer(data.RandomFlip), Layer(data.Mixup, alpha=0.2))(1000)`.

    Called with the number of classes, which it passes on to those that ask for it.
    """

    parts: tuple[Layer, ...]

    def __init__(self, *parts: Layer):
        object.__setattr__(self, "parts", parts)

    def __call__(self, classes: int) -> list:
        return [
            part(classes=classes) if "classes" in inspect.signature(part.kind).parameters else part()
            for part in self.parts
        ]

    def __repr__(self):
        return ", ".join(map(repr, self.parts))


@dataclass(frozen=True)
class ScaledCrop:
    """A window of an image whose shorter side is brought to a random length: `kvision.data.RandomScaleCrop`.

    Args:
        low, high: the least and the greatest length of the shorter side, in pixels.
        size: of the window for which they are meant; for another they change in proportion.
        square: whether the window lies in the square in the middle of the image.
    """

    low: int
    high: int
    size: int = 224
    square: bool = False

    def __call__(self, size: int | tuple[int, int]):
        from kvision.data import RandomScaleCrop

        longer = size if isinstance(size, int) else max(size)
        shorter = tuple(round(length * longer / self.size) for length in (self.low, self.high))
        return RandomScaleCrop(size, shorter, square=self.square)


def whole(size: int | tuple[int, int]) -> None:
    """No crop: the images have the size of the network's input."""


def nothing(classes: int) -> list:
    """No augmentation."""
    return []

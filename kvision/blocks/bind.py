"""The one closure: a callable with some of its keyword arguments filled in, which compares and prints by value."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, init=False, repr=False)
class bind:
    """`bind(f, ratio=16)(x)` is `f(x, ratio=16)`; later keywords win.

    Unlike `functools.partial`, two equal ones compare equal, and so do the rows that hold them.
    """

    function: Callable
    keywords: tuple[tuple[str, Any], ...]

    def __init__(self, function: Callable, **keywords):
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "keywords", tuple(sorted(keywords.items())))

    def __call__(self, *args, **keywords):
        return self.function(*args, **{**dict(self.keywords), **keywords})

    def __repr__(self):
        arguments = ", ".join(f"{name}={describe(value)}" for name, value in self.keywords)
        return f"{describe(self.function)}({arguments})"


def describe(value: Any) -> str:
    """A hole's filling as a reader would write it: a function or class by its name, anything else by its repr."""
    return getattr(value, "__name__", None) or repr(value)

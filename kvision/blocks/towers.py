"""What the Inception modules are made of: convolutions one after another, side by side with others."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import keras

from kvision.blocks.conv import At, conv_norm_relu


def normalized(x, filters, kernel=1, stride=1, *, name, pad=None):
    """Convolution, batch normalization with the Inception networks' epsilon of 1e-3, and rectifier."""
    at = At(f"{name}.conv", f"{name}.bn", f"{name}.relu")
    return conv_norm_relu(x, filters, kernel, stride, pad=pad, at=at, epsilon=1e-3)


def tower(x, steps: Sequence[tuple], *, name: str, first: int = 0, convolve: Callable = normalized):
    """Convolutions one after another.

    Args:
        steps: `(filters, kernel, stride, pad)` of each; from the kernel on they may be left out.
        name: of the convolutions, with `{}` for their number.
        first: the first number.
        convolve: `convolve(x, filters, kernel, stride, name=, pad=)`.
    """
    for number, (filters, *window) in enumerate(steps, start=first):
        kernel, stride, pad = (*window, *(1, 1, None)[len(window) :])
        x = convolve(x, filters, kernel, stride, name=name.format(number), pad=pad)
    return x


def lettered(modules: Iterable, first: str = "a") -> Iterator[tuple]:
    """The modules of one resolution with their letters: `3a`, `3b`, ... as the papers and checkpoints name them."""
    for place, module in enumerate(modules):
        yield chr(ord(first) + place), module


def concatenate(towers: Sequence, *, name: str):
    """Towers `(B, H, W, C_i)` side by side: `(B, H, W, sum of C_i)`."""
    return keras.layers.Concatenate(name=name)(list(towers))

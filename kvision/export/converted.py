"""Files for other runtimes are believed after they have been asked."""

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator

import numpy as np

from kvision.export.signatures import PixelModule

TOLERANCE = 1e-4
"""Of the largest answer. Other kernels sum in another order; what is converted wrongly is further off."""


def new_file(path: str | os.PathLike) -> pathlib.Path:
    """The path.

    Raises:
        FileExistsError: it exists.
    """
    path = pathlib.Path(path)
    if path.exists():
        raise FileExistsError(f"{str(path)!r} exists and is kept. Pass another path.")
    return path


@contextlib.contextmanager
def representable(runtime: str) -> Iterator[None]:
    """Converters and runtimes raise errors of all kinds; outside they are one.

    Raises:
        ValueError: instead of any other.
    """
    try:
        yield
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"The network cannot be written for {runtime}: {type(error).__name__}: {error}") from error


def ask_both(module: PixelModule, answers: Callable[[np.ndarray], dict[str, np.ndarray]], runtime: str) -> None:
    """Asks the converted network and the network itself about one image, and about three.

    Raises:
        ValueError: other outputs or answers.
    """
    random = np.random.default_rng(0)
    for count in (1, 3):
        pixels = random.uniform(0, 255, (count, *module.size, module.channels)).astype("float32")
        found, expected = answers(pixels), {name: value.numpy() for name, value in module.tensor(pixels).items()}
        if found.keys() != expected.keys():
            raise ValueError(f"{runtime} answers {sorted(found)}, the network {sorted(expected)}.")
        for name, value in expected.items():
            difference = np.abs(found[name] - value).max() / max(np.abs(value).max(), 1e-30)
            if found[name].shape != value.shape or not difference <= TOLERANCE:
                raise ValueError(
                    f"{runtime} answers otherwise than the network: {name} differs by {difference:.1e} of its largest "
                    f"value, for {count} images; shapes {found[name].shape} and {value.shape}."
                )

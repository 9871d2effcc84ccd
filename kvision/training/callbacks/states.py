"""Files of which each is whole or known not to be."""

import hashlib
import os
import pathlib
import re
import warnings
from collections.abc import Callable

NAME = re.compile(r"epoch-(\d+)(?:\.([0-9a-f]{16}))?\.weights\.h5")


class States:
    """The states of training in a directory: one file for each epoch, with a part of its SHA-256 in its name.

    The name is given when the contents are on the disk, so that a process killed at any moment leaves what was there
    before or the new state. The last two whole ones are kept.

    Args:
        directory: created when there is something to write.
    """

    def __init__(self, directory: str | os.PathLike):
        self.directory = pathlib.Path(directory)
        self._kept: pathlib.Path | None = None
        self._told: set[pathlib.Path] = set()

    def newest(self) -> pathlib.Path | None:
        """The newest file that holds what was written. Warns of newer ones that do not, of each once."""
        damaged, self._kept = [], None
        for path in self._named():
            expected, found = NAME.fullmatch(path.name)[2], _checksum(path)
            if found == expected:
                self._kept = path
                break
            what = f"its SHA-256 begins with {found}" if path.stat().st_size else "it is empty"
            damaged.append((path, what if expected else "there is no checksum in its name"))
        onward = f"Training goes on after epoch {epochs(self._kept)}." if self._kept else "Training begins anew."
        for path, what in damaged:
            if path not in self._told:
                warnings.warn(f"The state {str(path)!r} is damaged: {what}. {onward}", stacklevel=2)
                self._told.add(path)
        return self._kept

    def write(self, epochs: int, save: Callable[[pathlib.Path], None]) -> None:
        """Writes what `save` writes as the newest state. All but this one and the whole one before it are deleted."""
        self.directory.mkdir(parents=True, exist_ok=True)
        partial = self.directory / ".partial.weights.h5"
        partial.unlink(missing_ok=True)
        save(partial)
        _to_disk(partial)
        path = self.directory / f"epoch-{epochs:04d}.{_checksum(partial)}.weights.h5"
        partial.replace(path)
        _to_disk(self.directory)
        for other in self._named():
            if other not in (path, self._kept):
                other.unlink()
        self._kept = path

    def _named(self) -> list[pathlib.Path]:
        """The files that are named as states are, the newest first."""
        return sorted((p for p in self.directory.glob("epoch-*") if NAME.fullmatch(p.name)), key=epochs, reverse=True)


def epochs(path: pathlib.Path) -> int:
    """How many epochs the state in a file has seen."""
    return int(NAME.fullmatch(path.name)[1])


def _checksum(path: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()[:16]


def _to_disk(path: pathlib.Path) -> None:
    """Waits until a file's contents, or a directory's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

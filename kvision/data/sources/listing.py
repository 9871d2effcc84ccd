"""The image files below a folder, and everything else that lies there."""

import os
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")


def subfolders(home: Path) -> tuple[list[str], list[bytes]]:
    """The names of the folders in a folder, and the paths of all else; both sorted, nothing hidden."""
    folders, others = [], []
    with os.scandir(home) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                folders.append(entry.name) if os.path.isdir(entry.path) else others.append(os.fsencode(entry.path))
    return sorted(folders), sorted(others)


def image_files(home: Path) -> tuple[list[bytes], list[bytes]]:
    """The image files anywhere below a folder, and the paths of all else; both sorted, nothing hidden.

    What is an image is decided by the name: a suffix of SUFFIXES in any case. Links are followed, each folder is read
    once, and none above this one.
    """
    images, others = [], []
    seen = {_identity(folder) for folder in home.resolve().parents}
    suffixes = tuple(suffix.encode() for suffix in SUFFIXES)

    def read(folder):
        if (identity := _identity(folder)) in seen:
            others.append(folder)
            return
        seen.add(identity)
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(b".")]
        for entry in sorted(visible, key=lambda entry: entry.name):  # so that always the same name of a folder is first
            link = entry.is_symlink()
            if os.path.isdir(entry.path) if link else entry.is_dir():
                read(entry.path)
            elif entry.name.lower().endswith(suffixes) and (link or entry.is_file()):
                images.append(entry.path)
            else:
                others.append(entry.path)

    read(os.fsencode(home))
    return sorted(images), sorted(others)


def printable(path: bytes | str) -> str:
    r"""A path as text that can be printed and saved: bytes that are not UTF-8 become \xff."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _identity(folder: str | bytes | Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino

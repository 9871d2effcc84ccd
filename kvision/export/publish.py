"""Version folders as TensorFlow Serving watches them: each appears whole, under the next number."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator


def version_folder(path: str | os.PathLike) -> pathlib.Path:
    """The path itself where its last part is a number, else the next version below it.

    Raises:
        FileExistsError: the version exists.
    """
    path = pathlib.Path(path)
    if not path.name.isdigit():
        versions = [int(entry.name) for entry in path.iterdir() if entry.name.isdigit()] if path.is_dir() else []
        path = path / str(max(versions, default=0) + 1)
    if path.exists():
        raise FileExistsError(
            f"{str(path)!r} exists and is kept. Pass another version, such as '{path.with_name('2')}'."
        )
    return path


@contextlib.contextmanager
def published(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A place beside the path to write to, which becomes the path at the end, or disappears with an error.

    TensorFlow Serving looks at folders whose names are numbers; this one's begins with a dot.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield partial
        partial.rename(path)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        partial.unlink(missing_ok=True)

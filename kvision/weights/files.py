"""Checkpoint files as mappings of NumPy arrays. Pickles are never read."""

import pathlib
import zipfile
from collections.abc import Iterator, Mapping

import numpy as np


def read(path: str | pathlib.Path) -> Mapping[str, np.ndarray]:
    """The tensors of a `.safetensors` or `.npz` file by name.

    Those of a `.safetensors` file are read from it one by one, when they are asked for.

    Raises:
        ValueError: another kind of file, or one that is corrupt or truncated.
    """
    path = pathlib.Path(path)
    if path.suffix == ".safetensors":
        return Tensors(path)
    if path.suffix == ".npz":
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{str(path)!r} is no readable npz file of plain arrays: {error}") from error
    raise ValueError(
        f"Weights are read from .safetensors and .npz files. Received: {str(path)!r}. Convert a torch pickle where "
        "torch is installed: safetensors.torch.save_file(torch.load(path, weights_only=True), 'model.safetensors')"
    )


NUMBERS = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL")


class Tensors(Mapping):
    """The tensors of a `.safetensors` file: names and shapes at once, values when they are asked for.

    Raises:
        ValueError: the file is no safetensors file, its length is not the one that its header tells, or a tensor has
            other than plain numbers.
    """

    def __init__(self, path: pathlib.Path):
        import ml_dtypes  # noqa: F401  (tells NumPy what bfloat16 is)
        from safetensors import SafetensorError, safe_open

        try:
            self._file = safe_open(path, framework="numpy")
        except SafetensorError as error:
            raise ValueError(f"{str(path)!r} is no readable safetensors file: {error}") from error
        self._names = dict.fromkeys(self._file.keys())
        for name in self._names:
            if (kind := self._file.get_slice(name).get_dtype()) not in NUMBERS:
                raise ValueError(f"{name} of {str(path)!r} has numbers of type {kind}; read are {', '.join(NUMBERS)}.")

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        return self._file.get_tensor(name)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._file.get_slice(name).get_shape())

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

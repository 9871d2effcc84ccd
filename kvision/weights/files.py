"""Checkpoint files as mappings of NumPy arrays. Pickles are never read."""

import pathlib
import zipfile

import numpy as np


def read(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """The tensors of a `.safetensors` or `.npz` file by name.

    Raises:
        ValueError: another kind of file, or one that is corrupt or truncated.
    """
    path = pathlib.Path(path)
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{str(path)!r} is no readable safetensors file: {error}") from error
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

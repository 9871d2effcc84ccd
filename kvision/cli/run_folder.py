"""The run folder: everything that training one network leaves behind, under one path."""

import json
import os
import pathlib
from typing import Any


class RunFolder:
    """What lies where.

    config.json      how it was trained: the flags and the class names
    state/           the last epoch, for --resume
    model.keras      the trained network
    history.json     loss and metrics of every epoch; curves.png draws them
    report.json      the evaluation; confusion.png and mistakes.png draw it
    served/1         the exported SavedModel
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)

    def __truediv__(self, name: str) -> pathlib.Path:
        return self.path / name

    @property
    def model(self) -> pathlib.Path:
        return self / "model.keras"

    @property
    def config(self) -> dict[str, Any]:
        """What `begin` wrote.

        Raises:
            ValueError: the folder is no run folder.
        """
        file = self / "config.json"
        if not file.is_file():
            raise ValueError(f"{str(self.path)!r} is no run folder: it has no config.json. `kvision train` makes one.")
        return json.loads(file.read_text())

    def begin(self, config: dict[str, Any], resume: bool) -> None:
        """Creates the folder, or goes on in it.

        Raises:
            ValueError: it exists and `resume` is False, or it was begun with another configuration.
        """
        if not resume:
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise ValueError(
                    f"The run folder {str(self.path)!r} exists, and nothing in it is overwritten. "
                    "Pass --resume to go on with it, or another --run."
                )
            self.path.mkdir(parents=True, exist_ok=True)
            self.write("config.json", config)
            return
        if not self.path.exists():
            raise ValueError(f"There is no run folder {str(self.path)!r} to resume. Leave --resume out to begin it.")
        begun = self.config
        differing = [key for key in config if json.loads(json.dumps(config[key])) != begun.get(key)]
        if differing:
            told = "; ".join(f"{key}: {begun.get(key)!r}, now {config[key]!r}" for key in differing)
            raise ValueError(f"{str(self.path)!r} was begun with another configuration ({told}). Resume with the same.")

    def write(self, name: str, content: Any) -> None:
        """JSON, all or nothing."""
        partial = self / f".{name}"
        partial.write_text(json.dumps(content, indent=2) + "\n")
        partial.replace(self / name)

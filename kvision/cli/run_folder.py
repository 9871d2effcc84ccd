"""The run folder: everything that training one network leaves behind, under one path."""

import importlib
import json
import os
import pathlib
import platform
import warnings
from typing import Any

VERSIONED = ("kvision", "keras", "tensorflow", "numpy")


class RunFolder:
    """What lies where.

    config.json      how it is trained: flags, seed, recipe, class names, command, versions, fingerprint of the data
    state/           the last epochs, for `kvision train --resume`
    model.keras      the trained network; average.keras, if asked for, is the same with its averaged weights
    history.json     loss and metrics of every epoch; curves.png draws them
    report.json      the evaluation; confusion, reliability and mistakes .png draw it, report.html shows everything
    tensorboard/     events, if asked for
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
    def average(self) -> pathlib.Path:
        """Where the network with averaged weights is, or will be."""
        return self / "average.keras"

    def trained_average(self) -> str:
        """Its file.

        Raises:
            ValueError: there is none.
        """
        if not self.average.is_file():
            raise ValueError(
                f"{str(self.path)!r} has no averaged weights. `kvision train --average=0.999` keeps them until it ends."
            )
        return str(self.average)

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

    def check(self, config: dict[str, Any]) -> None:
        """That a run with this configuration may begin here, or go on.

        Raises:
            ValueError: something else is there already, or a run that was begun with another configuration.
        """
        if not (self / "config.json").is_file():
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise ValueError(
                    f"{str(self.path)!r} exists, and nothing in it is overwritten: it is no run folder that could be "
                    "gone on with. Pass another --run."
                )
            return
        begun = self.config
        differing = [key for key in config if json.loads(json.dumps(config[key])) != begun.get(key)]
        if differing:
            told = "; ".join(f"{key}: {begun.get(key)!r}, now {config[key]!r}" for key in differing)
            raise ValueError(
                f"{str(self.path)!r} was begun with another configuration ({told}). Go on with the same, or pass "
                "another --run."
            )

    def begin(self, config: dict[str, Any], command: str, replicas: int = 1) -> None:
        """Creates the folder with this configuration, or goes on in one that was begun with the same.

        The command that began it, versions and the number of replicas are recorded, too: going on with others is warned
        of.

        Raises:
            ValueError: see `check`.
        """
        self.check(config)
        versions = {name: importlib.import_module(name).__version__ for name in VERSIONED}
        found = {"versions": {"python": platform.python_version(), **versions}, "replicas": replicas}
        if not (self / "config.json").is_file():
            self.path.mkdir(parents=True, exist_ok=True)
            self.write("config.json", {**config, "command": command, **found})
            return
        begun = self.config
        for name, now in found.items():
            if begun.get(name, now) != now:
                warnings.warn(
                    f"{str(self.path)!r} was begun with {name} {begun[name]}, now {now}: its figures may not be those "
                    "of an uninterrupted run.",
                    stacklevel=2,
                )

    def write(self, name: str, content: Any) -> None:
        """JSON, all or nothing."""
        partial = self / f".{name}"
        partial.write_text(json.dumps(content, indent=2) + "\n")
        partial.replace(self / name)

    def save(self, model, path: pathlib.Path) -> None:
        """A Keras model, all or nothing."""
        partial = path.with_name(f"partial-{path.name}")
        model.save(partial)
        partial.replace(path)

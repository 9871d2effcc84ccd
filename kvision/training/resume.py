"""Interrupted training goes on from its last epoch."""

import json
import os
import pathlib
import re
import shutil
import warnings

import keras


class Resume(keras.callbacks.Callback):
    """Saves the state of training after every epoch, and `fit` goes on from it when it is called again.

        model.fit(batches, epochs=90, callbacks=[resume := Resume("runs/a/state")])     # killed in epoch 37
        model.fit(batches, epochs=90, callbacks=[resume := Resume("runs/a/state")])     # in another process: epoch 37

    As `keras.callbacks.BackupAndRestore`, but the epoch is part of the file's name, and the file appears by one rename:
    a process killed at any moment leaves the state of a whole epoch. Weights, moving statistics, the optimizer and the
    history are kept.

    Args:
        directory: of the state, created when there is something to save.

    `history` has the metrics of all epochs, before and after interruptions: name to list.

    Raises:
        ValueError: when `fit` begins, if the state does not fit the model.
    """

    def __init__(self, directory: str | os.PathLike):
        super().__init__()
        self.directory = pathlib.Path(directory)
        self.history: dict[str, list[float]] = {}

    @property
    def epochs(self) -> int:
        """How many epochs the saved state has seen; 0 without one."""
        return max(self._states(), default=0)

    def on_train_begin(self, logs=None):
        epochs = self.epochs
        if not epochs:
            return
        path = self._path(epochs)
        self.model.optimizer.build(self.model.trainable_variables)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # Keras only warns about parts that it skips
                self.model.load_weights(path)
        except (ValueError, OSError, KeyError, UserWarning) as error:
            raise ValueError(f"The state {str(path)!r} does not fit '{self.model.name}': {error}") from error
        saved = json.loads((self.directory / "history.json").read_text())
        self.history = {name: values[:epochs] for name, values in saved.items()}
        self.model._initial_epoch = epochs  # where Keras's own BackupAndRestore puts it for `fit` to read

    def on_epoch_end(self, epoch, logs=None):
        self.directory.mkdir(parents=True, exist_ok=True)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        # The history first: if the process dies in between, its last entry is one too many, and is cut off.
        partial = self.directory / ".history.json"
        partial.write_text(json.dumps(self.history, indent=1))
        partial.replace(self.directory / "history.json")
        partial = self.directory / ".partial.weights.h5"
        self.model.save_weights(partial)
        partial.replace(self._path(epoch + 1))
        for earlier in self._states():
            if earlier <= epoch:
                self._path(earlier).unlink()

    def discard(self) -> None:
        """Deletes the state, once the trained model is kept elsewhere. `history` stays in memory."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _path(self, epochs: int) -> pathlib.Path:
        return self.directory / f"epoch-{epochs:04d}.weights.h5"

    def _states(self) -> list[int]:
        found = (re.fullmatch(r"epoch-(\d+)\.weights\.h5", path.name) for path in self.directory.glob("epoch-*"))
        return sorted(int(match[1]) for match in found if match)

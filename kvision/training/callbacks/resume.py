"""Interrupted training goes on from its last epoch, to the weights that it would have had."""

import json
import os
import pathlib
import shutil
import sys
import warnings
from collections.abc import Iterator

import keras

from kvision.training.callbacks import states
from kvision.training.distribution import agreed
from kvision.training.distribution.cluster import is_chief

# What Keras's callbacks know from one epoch to the next, and forget when `fit` begins.
REMEMBERED = {
    keras.callbacks.EarlyStopping: ("best", "best_epoch", "best_weights", "stopped_epoch", "wait"),
    keras.callbacks.ModelCheckpoint: ("best",),
    keras.callbacks.ReduceLROnPlateau: ("best", "cooldown_counter", "wait"),
}


class Resume(keras.callbacks.Callback):
    """Saves the state of training after every epoch, and `fit` goes on from it when it is called again.

        model.fit(batches, epochs=90, callbacks=[resume := Resume("runs/a/state")])     # killed in epoch 37
        model.fit(batches, epochs=90, callbacks=[resume := Resume("runs/a/state")])     # in another process: epoch 37

    Kept are the weights, moving statistics, the optimizer, the states of the model's random generators (of dropout, for
    one, which `save_weights` leaves out), the history, and what the other callbacks of `fit` remember:
    `EarlyStopping`, `ReduceLROnPlateau` and `ModelCheckpoint` of Keras, and each that has `save_own_variables(store)`
    and `load_own_variables(store)` as Keras's layers do, such as `WeightAverage`. With batches that begin at
    `first_epoch=resume.epochs` (`kvision.data.training_batches`) the resumed run is the uninterrupted one, bit for bit.

    A state is one file with a part of its SHA-256 in its name, which it gets when it is on the disk: a process killed
    at any moment leaves the state of a whole epoch. The last two are kept. One that does not hold what was written, cut
    or with a bit turned, is passed over with a warning, and training goes on from the one before.

    Wherever it stands among the callbacks, its turn is last. Of several workers (`kvision.training.distribution`) the
    chief writes, and all read.

    Args:
        directory: of the states, created when there is something to save.

    `history` has the metrics of all epochs, before and after interruptions: name to list.

    Raises:
        ValueError: when `fit` begins, if the state does not fit the model, or workers see different ones.
    """

    def __init__(self, directory: str | os.PathLike):
        super().__init__()
        self.directory = pathlib.Path(directory)
        self.history: dict[str, list[float]] = {}
        self._states = states.States(directory)
        self._others: list[keras.callbacks.Callback] = []

    @property
    def epochs(self) -> int:
        """How many epochs the newest whole state has seen; 0 without one. It is read to compare its checksum."""
        path = self._states.newest()
        return states.epochs(path) if path else 0

    def set_model(self, model):
        super().set_model(model)
        # A state is whole when the other callbacks have had their turn, and has a part of theirs. Keras shows a
        # callback neither the others nor its place among them, so that the list is looked up where it calls.
        caller = sys._getframe(1).f_locals.get("self")
        if isinstance(caller, keras.callbacks.CallbackList):
            self._others = [callback for callback in caller.callbacks if callback is not self]
            caller.callbacks = [*self._others, self]

    def on_train_begin(self, logs=None):
        self.history, self.model._initial_epoch = {}, None
        path = self._states.newest()
        if keras.backend.backend() == "tensorflow":
            saved = {"the epochs that are saved": states.epochs(path) if path else 0}
            remedy = f"Here {str(self.directory)!r} was looked at: it needs to be storage that all of them share."
            agreed(self.model.distribute_strategy, saved, remedy)
        if path is None:
            return
        import h5py

        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # Keras only warns about parts that it skips
                self.model.load_weights(path)
            with h5py.File(path) as file:
                unknown = self._load(file["resume"])
        except (ValueError, OSError, KeyError, UserWarning) as error:
            raise ValueError(f"The state {str(path)!r} does not fit '{self.model.name}': {error}") from error
        if unknown:
            warnings.warn(f"The state {str(path)!r} has nothing of {', '.join(unknown)}: begun anew.", stacklevel=2)
        stopped = any(isinstance(c, keras.callbacks.EarlyStopping) and c.stopped_epoch for c in self._others)
        # Where Keras's own BackupAndRestore puts it for `fit` to read.
        self.model._initial_epoch = self.params["epochs"] if stopped else states.epochs(path)

    def on_epoch_end(self, epoch, logs=None):
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        if self._writes():
            self._states.write(epoch + 1, self._save)

    def on_train_end(self, logs=None):
        self.model._initial_epoch = None  # Keras would begin the next `fit` there, too

    def discard(self) -> None:
        """Deletes the states, once the trained model is kept elsewhere. `history` stays in memory."""
        if self._writes():
            shutil.rmtree(self.directory, ignore_errors=True)

    def _writes(self) -> bool:
        """Whether this process is the one that writes the states, which all read."""
        return is_chief()

    def _save(self, path: pathlib.Path) -> None:
        import h5py

        self.model.save_weights(path)
        with h5py.File(path, "a") as file:
            store = file.create_group("resume")
            store["history"] = json.dumps(self.history)
            for index, state in enumerate(_random_states(self.model)):
                store[f"random/{index}"] = keras.ops.convert_to_numpy(state)
            for name, callback in self._with_state():
                _save_callback(callback, store.create_group(f"callbacks/{name}"))

    def _load(self, store) -> list[str]:
        """Returns the names of the callbacks of which the store has nothing."""
        self.history = json.loads(store["history"][()])
        variables, saved = _random_states(self.model), store.get("random", ())
        if len(variables) != len(saved):
            raise ValueError(f"it has {len(saved)} random generators, the model {len(variables)}")
        for index, variable in enumerate(variables):
            variable.assign(saved[str(index)][()])
        unknown, saved = [], store.get("callbacks", ())
        for name, callback in self._with_state():
            if name in saved:
                _load_callback(callback, saved[name])
            else:
                unknown.append(name)
        return unknown

    def _with_state(self) -> Iterator[tuple[str, keras.callbacks.Callback]]:
        """The callbacks of `fit` that remember something, with their class and their number in it as a name."""
        counts = {}
        for callback in self._others:
            if hasattr(callback, "save_own_variables") or _remembered(callback):
                kind = type(callback).__name__
                counts[kind] = counts.get(kind, 0) + 1
                yield f"{kind} {counts[kind]}", callback


def _random_states(model: keras.Model) -> list[keras.Variable]:
    """Of the generators that the model's layers draw from: what is in its variables and not in its weights."""
    weights = {id(weight) for weight in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


def _remembered(callback: keras.callbacks.Callback) -> tuple[str, ...]:
    return next((names for kind, names in REMEMBERED.items() if isinstance(callback, kind)), ())


def _save_callback(callback, store) -> None:
    if hasattr(callback, "save_own_variables"):
        callback.save_own_variables(store)
    for name in _remembered(callback):
        value = getattr(callback, name)
        if isinstance(value, list):
            for index, array in enumerate(value):
                store[f"{name}/{index}"] = array
        elif value is not None:
            store[name] = value


def _load_callback(callback, store) -> None:
    if hasattr(callback, "load_own_variables"):
        callback.load_own_variables(store)
    for name in _remembered(callback):
        value = store.get(name)
        if hasattr(value, "keys"):
            value = [value[str(index)][()] for index in range(len(value))]
        elif value is not None:
            value = value[()].item()
        setattr(callback, name, value)

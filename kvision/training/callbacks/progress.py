"""How fast training is, and how long it will take."""

import shutil
import sys
import time
from typing import TextIO

import keras

INTERVAL = 0.2  # seconds between two looks of a line


class Progress(keras.callbacks.Callback):
    """A line for each epoch: the metrics, images per second, the time left for the epoch and for all of them.

        model.fit(batches, epochs=90, verbose=0, callbacks=[Progress()])

    In a terminal the line changes while the epoch goes on; elsewhere, in a file or a pipe, it is written at its end.
    Images per second are those of the training steps but the epoch's first, in which TensorFlow traces and fills its
    pipeline. The time left counts validation and whatever else came between the steps of earlier epochs.

    Put it behind callbacks that add to the metrics, such as `WeightAverage`.

    Args:
        stream: what is written to; `sys.stdout` by default.
    """

    def __init__(self, stream: TextIO | None = None):
        super().__init__()
        self.stream = stream

    def on_train_begin(self, logs=None):
        self._out = self.stream or sys.stdout
        self._in_terminal = self._out.isatty()
        self._steps = self.params["steps"]  # of an epoch; None until a dataset of unknown length has ended once
        self._per_step = None  # seconds
        self._besides = []  # seconds of each epoch that were not in its steps

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._done, self._images = epoch + 1, 0, 0
        self._began = self._shown = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        if not self._done:
            self._first, self._first_end = batch + 1, now
        self._done, self._last_end = batch + 1, now
        if self._done > self._first:
            self._per_step = (now - self._first_end) / (self._done - self._first)
        if self._in_terminal and now - self._shown > INTERVAL:
            self._shown = now
            of = f"/{self._steps}" if self._steps else ""
            self._write(f"step {self._done}{of}", logs)

    def on_test_begin(self, logs=None):
        self._images = self._images or self._seen()  # validation counts from 0

    def on_epoch_end(self, epoch, logs=None):
        self._images = self._images or self._seen()
        self._steps = self._done
        now = time.monotonic()
        self._besides.append(now - self._last_end)
        self._write(_clock(now - self._began), logs, "\n")

    def _write(self, place: str, logs, end: str = "") -> None:
        parts = [f"epoch {self._epoch}/{self.params['epochs']}, {place}"]
        if self._per_step:
            parts.append(f"{(self._images or self._seen()) / self._done / self._per_step:.4g} images/s")
            if self._steps:
                parts.append(self._left())
        parts.append(", ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items()))
        line = "; ".join(part for part in parts if part)
        if self._in_terminal:
            width = shutil.get_terminal_size().columns
            line = f"\r{line if end else line[: width - 1]}\x1b[K"
        self._out.write(line + end)
        self._out.flush()

    def _left(self) -> str:
        """The time left for this epoch, while it goes on, and for all."""
        epoch = (self._steps - self._done) * self._per_step
        more = self.params["epochs"] - self._epoch
        beside = sum(self._besides) / len(self._besides) if self._besides else 0.0
        total = epoch + more * (self._steps * self._per_step + beside)
        texts = [f"{_clock(epoch)} left in epoch"] if epoch else []
        return ", ".join(texts + ([f"{_clock(total + (beside if epoch else 0))} in all"] if more else []))

    def _seen(self) -> float:
        """The images of this epoch's steps: the weights of the mean that Keras's loss metric takes over them.

        Of several replicas only those of this process are looked at, since the sum over all workers would be for all of
        them to ask for, at once.
        """
        count = next(metric for metric in self.model.metrics if metric.name == "loss").count
        strategy = getattr(self.model, "distribute_strategy", None)  # on the TensorFlow backend
        if strategy is None:
            return float(keras.ops.convert_to_numpy(count))
        local = [float(part) for part in strategy.experimental_local_results(count.value)]
        return sum(local) * strategy.num_replicas_in_sync / len(local)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"

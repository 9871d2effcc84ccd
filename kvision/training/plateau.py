"""The learning rate falls when validation stops improving."""

import math

import keras

from kvision.optimizers import Warmup
from kvision.training.resume import Resume


class ReduceOnPlateau(keras.callbacks.ReduceLROnPlateau):
    """Keras's `ReduceLROnPlateau`, which may warm up first, and goes on after an interruption.

    Keras's begins anew in every `fit`: its best value and its patience are not saved. This one goes through the history
    that `Resume` kept, and comes to the state and the rate that it would have had.

        resume = Resume("runs/a/state")
        plateau = ReduceOnPlateau(0.1, resume=resume)
        model.fit(batches, validation_data=validation, epochs=90, callbacks=[plateau, resume])

    The optimizer's rate is a number, not a schedule.

    Args:
        rate: until the first drop: a number, or a `Warmup` to one. Nothing drops while it lasts.
        monitor, mode, factor, patience, drops: see `Plateau`.
        resume: what keeps the history of interrupted trainings; None if nothing does.

    Raises:
        ValueError: when `fit` goes on after an interruption, and the history lacks what is monitored.
    """

    def __init__(
        self,
        rate: float | Warmup,
        monitor: str = "val_accuracy",
        mode: str = "max",
        factor: float = 0.1,
        patience: int = 5,
        drops: int | None = None,
        resume: Resume | None = None,
    ):
        self.warmup = rate if isinstance(rate, Warmup) else Warmup(rate, 0)
        self.rate = self.warmup.schedule
        least = 0.0 if drops is None else self.rate * factor**drops
        super().__init__(monitor, factor, patience, mode=mode, min_lr=least)
        self.resume = resume

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.begun, self.climbed, self.climbing = False, False, self.warmup.steps > 0
        if self.climbing and self.params.get("steps"):
            self.cooldown_counter = math.ceil(self.warmup.steps / self.params["steps"])

    def on_epoch_begin(self, epoch, logs=None):
        if epoch and not self.begun and self.resume is not None:
            self._go_through(epoch)
        self.begun = True

    def _go_through(self, epochs: int) -> None:
        values = self.resume.history.get(self.monitor, [])
        if len(values) < epochs:
            raise ValueError(
                f"The rate falls by {self.monitor!r}, of which the history of {epochs} epochs has {len(values)} "
                f"values. It has: {', '.join(self.resume.history)}"
            )
        self.model.optimizer.learning_rate = self.rate
        for epoch, value in enumerate(values[:epochs]):
            self.on_epoch_end(epoch, {self.monitor: value})

    def on_train_batch_begin(self, batch, logs=None):
        if not self.climbing:
            return
        step = int(self.model.optimizer.iterations)
        if step < self.warmup.steps:
            self.model.optimizer.learning_rate, self.climbed = float(self.warmup(step)), True
            return
        self.climbing = False
        if self.climbed:  # and not in an earlier process, after which the rate may have dropped
            self.model.optimizer.learning_rate = self.rate

"""The learning rate falls when validation stops improving."""

import math

import keras

from kvision.optimizers import Warmup


class ReduceOnPlateau(keras.callbacks.ReduceLROnPlateau):
    """Keras's `ReduceLROnPlateau`, which may warm up first.

    `Resume` keeps its best value and its patience, as those of Keras's own. The optimizer's rate is a number, not a
    schedule.

    Args:
        rate: until the first drop: a number, or a `Warmup` to one. Nothing drops while it lasts.
        monitor, mode, factor, patience, drops: see `Plateau`.
    """

    def __init__(
        self,
        rate: float | Warmup,
        monitor: str = "val_accuracy",
        mode: str = "max",
        factor: float = 0.1,
        patience: int = 5,
        drops: int | None = None,
    ):
        self.warmup = rate if isinstance(rate, Warmup) else Warmup(rate, 0)
        self.rate = self.warmup.schedule
        least = 0.0 if drops is None else self.rate * factor**drops
        super().__init__(monitor, factor, patience, mode=mode, min_lr=least)

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.climbed, self.climbing = False, self.warmup.steps > 0
        if self.climbing and self.params.get("steps"):
            self.cooldown_counter = math.ceil(self.warmup.steps / self.params["steps"])

    def on_train_batch_begin(self, batch, logs=None):
        if not self.climbing:
            return
        step = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
        if step < self.warmup.steps:
            self.model.optimizer.learning_rate, self.climbed = float(self.warmup(step)), True
            return
        self.climbing = False
        if self.climbed:  # and not in an earlier process, after which the rate may have dropped
            self.model.optimizer.learning_rate = self.rate

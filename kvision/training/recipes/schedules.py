"""Learning-rate schedules in epochs, as papers state them: records that become Keras's for so many steps."""

from dataclasses import dataclass, replace
from typing import ClassVar

import keras

from kvision import optimizers

KerasSchedule = keras.optimizers.schedules.LearningRateSchedule


@dataclass(frozen=True)
class Schedule:
    """How a learning rate falls. Records compare by value, and print as a sentence.

    `schedule(rate, steps_per_epoch, epochs)` is a Keras schedule that starts from the rate, or the rate itself.
    """

    after_warmup: ClassVar[bool] = False  # whether a warmup comes before it, or takes the place of its first epochs

    def __call__(self, rate: float, steps_per_epoch: float, epochs: float) -> KerasSchedule | float:
        raise NotImplementedError(f"{type(self).__name__} must define __call__(rate, steps_per_epoch, epochs)")

    def stretched(self, by: float) -> "Schedule":
        """The same for a training that is longer by this factor."""
        return self

    def check(self, epochs: float) -> None:
        """Raises a ValueError where the schedule does not fit into so many epochs."""


@dataclass(frozen=True)
class Constant(Schedule):
    """The rate does not fall."""

    def __call__(self, rate, steps_per_epoch, epochs):
        return rate

    def __str__(self):
        return "constant"


@dataclass(frozen=True)
class Steps(Schedule):
    """The rate is multiplied by a factor after some epochs: `Steps(at=(30, 60, 80))`.

    Args:
        at: how many epochs come before each drop; they may have fractions.
        factor: of each drop.

    Raises:
        ValueError: drops that are not in order, or not after the start; a factor that is not positive.
    """

    at: tuple[float, ...]
    factor: float = 0.1

    def __post_init__(self):
        object.__setattr__(self, "at", tuple(self.at))
        if not self.at or list(self.at) != sorted(set(self.at)) or self.at[0] <= 0:
            raise ValueError(f"`at` is one epoch or more, above 0 and in order. Received: {self.at}")
        if self.factor <= 0:
            raise ValueError(f"`factor` is positive. Received: {self.factor}")

    def __call__(self, rate, steps_per_epoch, epochs):
        # Keras still has the earlier rate at the boundary.
        last = [round(epoch * steps_per_epoch) - 1 for epoch in self.at]
        rates = [rate * self.factor**drops for drops in range(len(last) + 1)]
        return keras.optimizers.schedules.PiecewiseConstantDecay(last, rates)

    def stretched(self, by):
        return replace(self, at=tuple(by * epoch for epoch in self.at))

    def check(self, epochs):
        if self.at[-1] >= epochs:
            raise ValueError(
                f"The rate drops after {self.at[-1]:g} epochs, and the training has {epochs:g}. "
                "`recipe.adapted(epochs=...)` moves the drops with the end."
            )

    def __str__(self):
        return f"times {self.factor:g} after epoch {_listed(self.at)}"


@dataclass(frozen=True)
class Exponential(Schedule):
    """The rate is multiplied by a factor every so many epochs.

    Args:
        factor: of the rate, in (0, 1].
        every: how many epochs; they may have fractions.
        staircase: whether it falls at once when they have passed, or all the time.
        floor: the least part of the rate, in [0, 1].

    Raises:
        ValueError: an argument out of its range.
    """

    factor: float
    every: float = 1
    staircase: bool = True
    floor: float = 0.0

    def __post_init__(self):
        if not 0 < self.factor <= 1 or self.every <= 0 or not 0 <= self.floor <= 1:
            raise ValueError(f"`factor` lies in (0, 1], `every` above 0, `floor` in [0, 1]. Received: {self!r}")

    def __call__(self, rate, steps_per_epoch, epochs):
        steps = self.every * steps_per_epoch
        decay = keras.optimizers.schedules.ExponentialDecay(rate, steps, self.factor, self.staircase)
        return optimizers.AtLeast(decay, self.floor * rate) if self.floor else decay

    def stretched(self, by):
        return replace(self, every=by * self.every)

    def __str__(self):
        smoothly, least = "" if self.staircase else ", smoothly", f", to {self.floor:g} of it" if self.floor else ""
        return f"times {self.factor:g} every {_few(self.every)} epochs{smoothly}{least}"


@dataclass(frozen=True)
class Polynomial(Schedule):
    """The rate is multiplied by a power of the part of the training that is left; with the power 1 it falls linearly.

    Raises:
        ValueError: a power that is not positive.
    """

    power: float = 1.0

    def __post_init__(self):
        if self.power <= 0:
            raise ValueError(f"`power` is positive. Received: {self.power}")

    def __call__(self, rate, steps_per_epoch, epochs):
        return keras.optimizers.schedules.PolynomialDecay(rate, _whole(epochs * steps_per_epoch), 0.0, self.power)

    def __str__(self):
        return f"times what is left, to the power of {self.power:g}"


@dataclass(frozen=True)
class Cosine(Schedule):
    """The rate falls to 0 along half a cosine (Loshchilov & Hutter, arXiv:1608.03983), when the warmup is over."""

    after_warmup: ClassVar[bool] = True

    def __call__(self, rate, steps_per_epoch, epochs):
        return keras.optimizers.schedules.CosineDecay(rate, _whole(epochs * steps_per_epoch))

    def __str__(self):
        return "half a cosine to 0"


@dataclass(frozen=True)
class Halving(Schedule):
    """The rate is multiplied by a factor whenever half of the epochs that were left have passed (FractalNet).

    Raises:
        ValueError: a factor that is not positive.
    """

    factor: float = 0.1

    def __post_init__(self):
        if self.factor <= 0:
            raise ValueError(f"`factor` is positive. Received: {self.factor}")

    def __call__(self, rate, steps_per_epoch, epochs):
        return optimizers.Halving(rate, _whole(epochs * steps_per_epoch), self.factor)

    def __str__(self):
        return f"times {self.factor:g} whenever half of the epochs left have passed"


@dataclass(frozen=True)
class Plateau(Schedule):
    """The rate is multiplied by a factor when validation stops improving. The work of a callback, `Recipe.callbacks`.

    Authors looked at curves; the patience is ours. It is the same for trainings of any length.

    Args:
        factor: of each drop, in (0, 1).
        patience: epochs without a better value before a drop.
        drops: how many there are at most; None for any number.
        monitor: what is watched, a key of the logs.
        mode: whether it is better when "max", larger, or "min", smaller.

    Raises:
        ValueError: an argument out of its range.
    """

    factor: float = 0.1
    patience: int = 5
    drops: int | None = None
    monitor: str = "val_accuracy"
    mode: str = "max"

    def __post_init__(self):
        if not 0 < self.factor < 1 or self.patience < 1 or (self.drops or 0) < 0 or self.mode not in ("max", "min"):
            raise ValueError(
                "`factor` lies in (0, 1), `patience` is 1 or more, `drops` None or a number, `mode` 'max' or 'min'. "
                f"Received: {self!r}"
            )

    def __call__(self, rate, steps_per_epoch, epochs):
        return rate

    def __str__(self):
        times = "" if self.drops is None else f", {self.drops} times at most"
        return f"times {self.factor:g} when {self.monitor} stays for {self.patience} epochs{times}"


def _whole(number: float) -> int:
    return max(1, round(number))


def _few(number: float) -> str:
    """A number of epochs with two digits after the point at most."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _listed(numbers: tuple[float, ...]) -> str:
    *first, last = map(_few, numbers)
    return f"{', '.join(first)} and {last}" if first else last

"""Learning-rate schedules that Keras does not have.

Keras has the others: `PiecewiseConstantDecay` for drops, `ExponentialDecay` with `staircase=True`, `PolynomialDecay`,
`CosineDecay`, and the callback `ReduceLROnPlateau`. Momentum correction (Goyal et al., arXiv:1706.02677, remark 3) is
no schedule's work: `TorchSGD` keeps the rate out of the momentum, and needs none.
"""

import keras

Schedule = keras.optimizers.schedules.LearningRateSchedule


class _Around(Schedule):
    """Base of what goes around a schedule, or around a constant rate."""

    def __init__(self, schedule: Schedule | float):
        self.schedule = schedule

    def _scheduled(self, step):
        return self.schedule(step) if callable(self.schedule) else keras.ops.convert_to_tensor(self.schedule, "float32")

    def get_config(self):
        serialize = keras.optimizers.schedules.serialize
        return {"schedule": serialize(self.schedule) if isinstance(self.schedule, Schedule) else self.schedule}

    @classmethod
    def from_config(cls, config):
        if isinstance(config["schedule"], dict):
            config = {**config, "schedule": keras.optimizers.schedules.deserialize(config["schedule"])}
        return cls(**config)


@keras.saving.register_keras_serializable(package="kvision")
class Warmup(_Around):
    """Warmup: a lower rate for the first steps, then the schedule itself.

    Goyal et al., arXiv:1706.02677, section 2.2. Gradual: linear in the steps from `start` to the schedule, so that no
    jump remains; there over the first 5 epochs, from the rate of a batch of 256. Constant: `start`, then the schedule.

    Args:
        schedule: a Keras schedule, or a constant rate.
        steps: of the warmup, 0 for none.
        start: rate of the first step.
        gradual: whether the rate climbs; otherwise the warmup is constant.
        delay: whether the schedule begins when the warmup ends; otherwise it counts all steps, those of the warmup too.

    Raises:
        ValueError: negative steps or a negative start.
    """

    def __init__(
        self, schedule: Schedule | float, steps: int, start: float = 0.0, gradual: bool = True, delay: bool = False
    ):
        super().__init__(schedule)
        if steps < 0 or start < 0:
            raise ValueError(f"`steps` and `start` are not negative. Received: steps={steps}, start={start}")
        self.steps, self.start, self.gradual, self.delay = int(steps), float(start), bool(gradual), bool(delay)

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        if self.steps == 0:
            return self._scheduled(step)
        skipped = self.steps if self.delay else 0
        later = self._scheduled(keras.ops.maximum(step - skipped, 0.0))
        early = self.start
        if self.gradual:
            target = self._scheduled(keras.ops.convert_to_tensor(float(self.steps - skipped)))
            early += (target - self.start) * step / self.steps
        return keras.ops.where(step < self.steps, early, later)

    def get_config(self):
        own = {"steps": self.steps, "start": self.start, "gradual": self.gradual, "delay": self.delay}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="kvision")
class AtLeast(_Around):
    """A schedule that does not fall below a rate.

    The networks of capsules (Sabour, Frosst & Hinton, arXiv:1710.09829, authors' code) end their exponential decay so,
    and so do the columns of Ciresan, Meier & Schmidhuber (arXiv:1202.2745).

    Args:
        schedule: a Keras schedule, or a constant rate.
        floor: the least rate.

    Raises:
        ValueError: a negative floor.
    """

    def __init__(self, schedule: Schedule | float, floor: float):
        super().__init__(schedule)
        if floor < 0:
            raise ValueError(f"`floor` is not negative. Received: {floor}")
        self.floor = float(floor)

    def __call__(self, step):
        return keras.ops.maximum(self._scheduled(step), self.floor)

    def get_config(self):
        return {**super().get_config(), "floor": self.floor}


@keras.saving.register_keras_serializable(package="kvision")
class Halving(Schedule):
    """Multiplies the rate by a factor whenever half of the steps that remained have passed: at 1/2, 3/4, 7/8, ...

    FractalNet: Larsson, Maire & Shakhnarovich, ICLR 2017, arXiv:1605.07648, section 4.

    Args:
        rate: until half of the steps have passed.
        steps: of the whole training.
        factor: by which the rate falls.

    From the last step on the rate is that of the last drop that came before it.

    Raises:
        ValueError: fewer than 1 step, or a rate or factor that is not positive.
    """

    def __init__(self, rate: float, steps: int, factor: float = 0.1):
        if steps < 1 or rate <= 0 or factor <= 0:
            raise ValueError(
                "`steps` is at least 1, `rate` and `factor` are positive. "
                f"Received: rate={rate}, steps={steps}, factor={factor}"
            )
        self.rate, self.steps, self.factor = float(rate), int(steps), float(factor)

    def __call__(self, step):
        remaining = keras.ops.maximum(self.steps - keras.ops.cast(step, "float32"), 1.0)
        # The logarithm of an exact half may come out a little below 1.
        drops = keras.ops.floor(keras.ops.log2(self.steps / remaining) + 1e-5)
        return self.rate * self.factor**drops

    def get_config(self):
        return {"rate": self.rate, "steps": self.steps, "factor": self.factor}

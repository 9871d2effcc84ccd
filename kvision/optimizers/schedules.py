"""Learning-rate schedules that Keras does not have."""

import keras


@keras.saving.register_keras_serializable(package="kvision")
class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """Gradual warmup: linear in the steps from `start` to the schedule, then the schedule itself.

    Goyal et al., arXiv:1706.02677, section 2.2: over the first 5 epochs, step by step, so that no jump remains. The
    schedule counts all steps, those of the warmup too.

    Args:
        schedule: a Keras schedule, or a constant rate.
        steps: of the warmup, 0 for none.
        start: rate before the first step.
    """

    def __init__(self, schedule, steps: int, start: float = 0.0):
        if steps < 0 or start < 0:
            raise ValueError(f"`steps` and `start` are not negative. Received: steps={steps}, start={start}")
        self.schedule, self.steps, self.start = schedule, int(steps), float(start)

    def _scheduled(self, step):
        return self.schedule(step) if callable(self.schedule) else keras.ops.convert_to_tensor(self.schedule, "float32")

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        if self.steps == 0:
            return self._scheduled(step)
        target = self._scheduled(keras.ops.convert_to_tensor(float(self.steps)))
        ramp = self.start + (target - self.start) * step / self.steps
        return keras.ops.where(step < self.steps, ramp, self._scheduled(step))

    def get_config(self):
        schedule = self.schedule
        if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            schedule = keras.optimizers.schedules.serialize(schedule)
        return {"schedule": schedule, "steps": self.steps, "start": self.start}

    @classmethod
    def from_config(cls, config):
        schedule = config["schedule"]
        if isinstance(schedule, dict):
            schedule = keras.optimizers.schedules.deserialize(schedule)
        return cls(schedule, config["steps"], config["start"])


@keras.saving.register_keras_serializable(package="kvision")
class Halving(keras.optimizers.schedules.LearningRateSchedule):
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

"""Does routing as products of matrices pay? Training steps of the digit capsules, and of the whole CapsNet.

    TF_ENABLE_ONEDNN_OPTS=1 python examples/benchmarks/capsule.py                # 5 minutes on two cores
    TF_ENABLE_ONEDNN_OPTS=1 python examples/benchmarks/capsule.py --batch=8 --rounds=3

`Capsule` against the straightforward implementation: inputs repeated for each capsule above, einsum for predictions,
sums and agreements, and Procedure 1 to the letter; in the whole network also `StridedConv2D` against Keras's
convolution. Times are interleaved in one process. The peak of the memory is that of a process for each form, beyond
what the built model holds.
"""

import os
import time
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags
from interleaved import take_turns
from memory import apart, growth

BATCH = flags.DEFINE_integer("batch", 32, "images in a step")
STEPS = flags.DEFINE_integer("steps", 3, "training steps in a round")
ROUNDS = flags.DEFINE_integer("rounds", 9, "rounds")

SIZES = ("digit capsules", "CapsNet")


def tiled():
    """The baseline: of the straightforward layouts, the fastest (the capsules above come first)."""
    import tensorflow as tf

    from kvision.layers import Capsule
    from kvision.layers.routing import squash

    class TiledCapsule(Capsule):
        def build(self, input_shape):
            _, below, size = input_shape
            self.kernel = self.add_weight((self.capsules, below, size, self.dimensions), self.kernel_initializer)

        def call(self, inputs):
            repeated = tf.tile(inputs[:, None], (1, self.capsules, 1, 1))  # (B, J, I, D_in)
            predictions = tf.einsum("bjip,jipd->bjid", repeated, tf.convert_to_tensor(self.kernel))
            logits = tf.zeros_like(predictions[..., 0])
            for _ in range(self.iterations):
                coupling = tf.nn.softmax(logits, axis=1)
                v = squash(tf.einsum("bji,bjid->bjd", coupling, predictions))
                logits += tf.einsum("bjid,bjd->bji", predictions, v)
            return v

    return TiledCapsule


def build(name: str):
    """The model of that name: the digit capsules alone or the whole network, with the baseline's layers or ours."""
    import keras

    from kvision import applications
    from kvision.applications import capsnet
    from kvision.layers import Capsule, CapsuleLength, StridedConv2D, capsule

    ours = name.endswith("kvision")
    kind, conv = (Capsule, StridedConv2D) if ours else (tiled(), keras.layers.Conv2D)
    if name.startswith("CapsNet"):
        with mock.patch.object(capsnet, "Capsule", kind), mock.patch.object(capsule, "StridedConv2D", conv):
            return applications.CapsNet()
    inputs = keras.Input((1152, 8))
    return keras.Model(inputs, CapsuleLength()(kind(10)(inputs)))


def stepper(name: str, batch: int, steps: int):
    """A function that trains so many steps on one batch and returns the milliseconds of one."""
    import keras
    import numpy as np
    import tensorflow as tf

    from kvision.losses import MarginLoss

    keras.utils.set_random_seed(0)
    model = build(name)
    model.compile(keras.optimizers.SGD(1e-3), MarginLoss())
    random = np.random.default_rng(0)
    x = tf.constant(random.random((batch, *model.input_shape[1:]), "float32"))
    y = tf.constant(random.integers(0, 10, batch))

    def run(steps=steps):
        start = time.perf_counter()
        for _ in range(steps):
            model.train_on_batch(x, y)
        return 1e3 * (time.perf_counter() - start) / steps

    return run


def measure(name: str, batch: int, steps: int) -> tuple[float, float]:
    return growth(stepper(name, batch, steps))


def main(_):
    names = [f"{size}, {form}" for size in SIZES for form in ("tiled einsum", "kvision")]
    for name in names:
        more, built = apart(measure, name, BATCH.value, STEPS.value)
        print(f"{name:30s} {more:6,.0f} MiB beyond {built:,.0f}", flush=True)
    runs = {name: stepper(name, BATCH.value, STEPS.value) for name in names}
    for run in runs.values():
        run(1)  # traces and warms up
    medians, lines = take_turns({tuple(name.split(", ")): run for name, run in runs.items()}, ROUNDS.value, unit="ms")
    for name, line in lines.items():
        print(f"{', '.join(name):30s} {line} ms a step", flush=True)
    for size in SIZES:
        ratio = medians[size, "tiled einsum"] / medians[size, "kvision"]
        print(f"{size}: {ratio:.2f} times as fast", flush=True)


if __name__ == "__main__":
    app.run(main)

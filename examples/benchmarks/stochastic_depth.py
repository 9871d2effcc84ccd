"""How much shorter is a training step that skips branches? (Huang et al., arXiv:1603.09382, section 4: about 25 %.)

    python examples/benchmarks/stochastic_depth.py                # StochasticDepth110, batch 32, about 6 minutes
    python examples/benchmarks/stochastic_depth.py --batch=64 --rounds=3

Prints images per second of plain `fit` on random images of CIFAR's shape, medians of interleaved rounds in one process
with their spread: constant depth, gates that multiply, gates that skip. Then the time of the last two for a step in
percent of the first's. Of 54 branches 40.25 survive on average, 74.5 %.
"""

import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

ROUNDS = flags.DEFINE_integer("rounds", 5, "interleaved rounds")
STEPS = flags.DEFINE_integer("steps", 20, "training steps in a round; each draws its own depth")
BATCH = flags.DEFINE_integer("batch", 32, "images in a step")
BLOCKS = flags.DEFINE_integer("blocks", 18, "residual units in each of the three stages")


def trainer(model):
    """A function that trains by plain `fit` and returns the images per second of its last `STEPS` steps."""
    import keras
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(0)
    images = random.normal(size=(BATCH.value, 32, 32, 3)).astype("float32")
    batches = tf.data.Dataset.from_tensors((images, random.integers(0, 10, BATCH.value))).cache().repeat()
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True), "sparse_categorical_crossentropy")

    class Clock(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.times = []

        def on_train_batch_end(self, batch, logs=None):
            self.times.append(time.perf_counter())

    def run():
        clock = Clock()
        model.fit(batches, steps_per_epoch=STEPS.value + 1, shuffle=False, verbose=0, callbacks=[clock])
        return BATCH.value * STEPS.value / (clock.times[-1] - clock.times[0])

    run()  # traces and warms up
    return run


def main(_):
    from kvision.applications import ResNet110, StochasticDepth110
    from kvision.applications.stochastic_depth import stochastic
    from kvision.blocks.bind import bind

    depths = (BLOCKS.value,) * 3
    runs = {
        "constant": trainer(ResNet110(depths=depths)),
        "multiplied": trainer(StochasticDepth110(depths=depths)),
        "skipped": trainer(StochasticDepth110(depths=depths, connect=bind(stochastic, skip=True))),
    }
    rates = {name: [] for name in runs}
    for _ in range(ROUNDS.value):
        for name, run in runs.items():
            rates[name].append(run())
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        share = medians["constant"] / medians[name]
        print(
            f"{name:10}  {medians[name]:6.1f} ({min(values):.1f} to {max(values):.1f}) images/s, {share:.1%} of a step"
        )


if __name__ == "__main__":
    app.run(main)

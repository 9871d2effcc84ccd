"""How fast does a plain `compile()` and `fit` train, against keras.applications at the same multiply-adds?

    python examples/benchmarks/training.py                      # ResNet50, float32 and mixed_bfloat16, about 5 minutes
    python examples/benchmarks/training.py --policies=float32 --rounds=3
    python examples/benchmarks/training.py --model=AlexNet --size=227 --peer=stock      # on Keras's grouped convolution

Prints images per second of both, medians of interleaved rounds in one process with their spread, and the ratio.
"""

import os
import statistics
import time
from functools import partial

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

MODEL = flags.DEFINE_string("model", "ResNet50", "a name that both kvision.applications and keras.applications have")
PEER = flags.DEFINE_enum(
    "peer", "keras", ["keras", "stock"], "keras.applications, or our network on Keras's own grouped convolutions"
)
POLICIES = flags.DEFINE_list("policies", ["float32", "mixed_bfloat16"], "Keras dtype policies, one after the other")
ROUNDS = flags.DEFINE_integer("rounds", 5, "interleaved rounds")
STEPS = flags.DEFINE_integer("steps", 4, "training steps in a round")
BATCH = flags.DEFINE_integer("batch", 8, "images in a step")
SIZE = flags.DEFINE_integer("size", 224, "height and width of the images")


def trainer(build):
    """A function that trains by plain `fit` and returns the images per second of its last `STEPS` steps.

    The steps alone are timed: tf.data takes up to 2.6 s to put its threads away at the end of a `fit`.
    """
    import keras
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(0)
    images = random.normal(size=(BATCH.value, SIZE.value, SIZE.value, 3)).astype("float32")
    labels = random.integers(0, 1000, BATCH.value)
    batches = tf.data.Dataset.from_tensors((images, labels)).cache().repeat()
    model = build()
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")

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


def ours(shape):
    import kvision

    return getattr(kvision.applications, MODEL.value)(input_shape=shape)


def stock(shape):
    """Our network, with Keras's `Conv2D(groups=...)`, which runs inside XLA, where it has groups."""
    from unittest import mock

    import keras

    with mock.patch("kvision.blocks.conv.GroupedConv2D", keras.layers.Conv2D):
        return ours(shape)


def theirs(shape):
    import keras

    return getattr(keras.applications, MODEL.value)(weights=None, input_shape=shape)


def main(_):
    import keras
    import tensorflow as tf

    print(f"{MODEL.value}, batch {BATCH.value} at {SIZE.value}, {os.cpu_count()} cores, ", end="")
    print(f"keras {keras.__version__}, tensorflow {tf.__version__}; images/s: median (min to max)")
    shape = (SIZE.value, SIZE.value, 3)
    for policy in POLICIES.value:
        keras.config.set_dtype_policy(policy)
        peer = {"keras": theirs, "stock": stock}[PEER.value]
        runs = {"kvision": trainer(partial(ours, shape)), PEER.value: trainer(partial(peer, shape))}
        rates = {name: [] for name in runs}
        for _ in range(ROUNDS.value):
            for name, run in runs.items():
                rates[name].append(run())
        medians = {name: statistics.median(values) for name, values in rates.items()}
        row = ", ".join(f"{n} {medians[n]:.2f} ({min(v):.2f} to {max(v):.2f})" for n, v in rates.items())
        print(f"{policy}: {row}; ratio {medians['kvision'] / medians[PEER.value]:.2f}", flush=True)


if __name__ == "__main__":
    app.run(main)

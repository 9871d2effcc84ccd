"""How much longer is a training step whose weights are averaged, and one whose loss is watched?

    python examples/benchmarks/weight_average.py               # ResNet50, float32 and mixed_bfloat16, about 8 minutes
    python examples/benchmarks/weight_average.py --policies=float32 --rounds=3 --steps=2

Prints images per second of `fit` on random images, medians of interleaved rounds in one process with their spread:
without callbacks, with `WeightAverage`, with Keras's own `use_ema`, with `StopOnNonFinite`. And, since a few parts of a
hundred are less than the spread on most machines, how long the update of the averages takes after each of the steps.
"""

import os
import statistics
import time

from absl import app, flags
from interleaved import take_turns, trainer

MODEL = flags.DEFINE_string("model", "ResNet50", "a network that `kvision models` lists")
POLICIES = flags.DEFINE_list("policies", ["float32", "mixed_bfloat16"], "Keras dtype policies, one after the other")
ROUNDS = flags.DEFINE_integer("rounds", 7, "interleaved rounds")
STEPS = flags.DEFINE_integer("steps", 4, "training steps in a round")
BATCH = flags.DEFINE_integer("batch", 8, "images in a step")


def main(_):
    import keras

    from kvision.applications import get_model
    from kvision.training import StopOnNonFinite, WeightAverage

    class Timed(WeightAverage):
        seconds = []

        def on_train_batch_end(self, batch, logs=None):
            start = time.perf_counter()
            super().on_train_batch_end(batch, logs)
            self.seconds.append(time.perf_counter() - start)

    def run(*callbacks, **arguments):
        sgd = keras.optimizers.SGD(0.01, momentum=0.9, **arguments)
        return trainer(get_model(MODEL.value)(), sgd, BATCH.value, STEPS.value, callbacks=callbacks)

    print(f"{MODEL.value}, batch {BATCH.value}, {os.cpu_count()} cores; images/s: median (min to max)")
    for policy in POLICIES.value:
        keras.config.set_dtype_policy(policy)
        runs = {
            "plain": run(),
            "WeightAverage": run(Timed(0.9999)),
            "use_ema": run(use_ema=True, ema_momentum=0.9999),
            "StopOnNonFinite": run(StopOnNonFinite()),
        }
        Timed.seconds.clear()  # the first updates were compiled
        medians, texts = take_turns(runs, ROUNDS.value)
        for name, text in texts.items():
            print(f"{policy}: {name:15}  {text}, {medians['plain'] / medians[name] - 1:+.1%} of a step")
        update = statistics.median(Timed.seconds)
        spread = f"{1e3 * min(Timed.seconds):.3g} to {1e3 * max(Timed.seconds):.3g}"
        share = update * medians["plain"] / BATCH.value
        print(f"{policy}: the update alone  {1e3 * update:.3g} ({spread}) ms, {share:.1%} of a step", flush=True)


if __name__ == "__main__":
    app.run(main)

"""What does recomputation save? (Pleiss et al., arXiv:1707.06990: memory linear in the depth, 15 to 20 % more time.)

    python examples/benchmarks/densenet_memory.py                           # DenseNetBC100k12, batch 64, 2 minutes
    python examples/benchmarks/densenet_memory.py --model=DenseNet121 --batch=16

Each form trains some steps by plain `fit` in a process of its own. Prints the highest resident memory of the training
beyond that of the built model, and the median time of a step.
"""

import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags
from memory import apart, growth

MODEL = flags.DEFINE_string("model", "DenseNetBC100k12", "a DenseNet of kvision.applications")
BATCH = flags.DEFINE_integer("batch", 64, "images in a step")
STEPS = flags.DEFINE_integer("steps", 4, "training steps after the first")


def measure(recompute: bool, name: str, batch: int, steps: int) -> str:
    import keras
    import numpy as np

    from kvision import applications

    row = applications.get_model(name)
    model = row(recompute=recompute)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    random = np.random.default_rng(0)
    images = random.normal(size=(batch, *row.input_shape)).astype("float32")
    labels = random.integers(0, row.classes, batch)
    times = []

    def train():
        for _ in range(steps + 1):
            start = time.perf_counter()
            model.train_on_batch(images, labels)
            times.append(time.perf_counter() - start)

    more, built = growth(train)
    return f"{more:6,.0f} MiB beyond {built:,.0f}, {statistics.median(times[1:]):.2f} s a step"


def main(_):
    for form, recompute in (("plain", False), ("recomputed", True)):
        print(f"{form:10s}", apart(measure, recompute, MODEL.value, BATCH.value, STEPS.value), flush=True)


if __name__ == "__main__":
    app.run(main)

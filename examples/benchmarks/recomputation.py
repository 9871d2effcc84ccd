"""What does recomputation save, and what does it cost? And does a training step take more memory than the peers'?

    python examples/benchmarks/recomputation.py                                 # ResNet50, batch 32 at 224
    python examples/benchmarks/recomputation.py --model=SENet154 --batch=8 --steps=2
    python examples/benchmarks/recomputation.py --model=DenseNetBC100k12 --batch=64
    python examples/benchmarks/recomputation.py --model=VGG16 --batch=16 --forms=plain,keras --rounds=3

The forms: `plain`; `recomputed`, as `recompute=True` builds it (Chen et al., arXiv:1604.06174: memory like the root of
the depth for one more forward pass); `efficient`, DenseNet's `memory_efficient=True` (Pleiss et al., arXiv:1707.06990:
memory linear in the depth, 15 to 20 % more time); `keras`, the network of that name in keras.applications. Each trains
some steps by plain `fit` in processes of its own, in turns. Prints the highest resident memory of the training beyond
that of the built model, and the median time of a step.
"""

import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags
from memory import apart, growth
from results import record

FORMS = {
    "plain": "kvision",
    "recomputed": "kvision recomputed",
    "efficient": "kvision memory_efficient",
    "keras": "keras.applications",
}

MODEL = flags.DEFINE_string("model", "ResNet50", "a network of kvision.applications")
CHOSEN = flags.DEFINE_list("forms", list(FORMS), "which to measure, of those that the network has")
BATCH = flags.DEFINE_integer("batch", 32, "images in a step")
SIZE = flags.DEFINE_integer("size", None, "height and width of the images; by default the network's own")
POLICY = flags.DEFINE_string("policy", "float32", "a Keras dtype policy")
STEPS = flags.DEFINE_integer("steps", 4, "training steps after the first")
ROUNDS = flags.DEFINE_integer("rounds", 1, "processes of each form")


def build(form: str, name: str, size: int | None):
    """The network in one of its forms, or None where it has no such."""
    import keras

    from kvision import applications

    row = applications.get_model(name)
    shape = (size, size, row.input_shape[2]) if size else row.input_shape
    if form == "keras":
        theirs = getattr(keras.applications, name, None)
        return theirs and theirs(weights=None, input_shape=shape)
    if form == "efficient" and not hasattr(row.architecture, "memory_efficient"):
        return None
    changes = {"plain": {}, "recomputed": {"recompute": True}, "efficient": {"memory_efficient": True}}
    return row(input_shape=shape, **changes[form])


def measure(form: str, name: str, size: int | None, policy: str, batch: int, steps: int):
    """MiB that training adds, MiB of the built model, and seconds of a step; or None where there is no such form."""
    import keras
    import numpy as np

    keras.config.set_dtype_policy(policy)
    model = build(form, name, size)
    if model is None:
        return None
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    random = np.random.default_rng(0)
    images = random.normal(size=(batch, *model.input_shape[1:])).astype("float32")
    labels = random.integers(0, model.output_shape[-1], batch)
    times = []

    def train():
        for _ in range(steps + 1):
            start = time.perf_counter()
            model.train_on_batch(images, labels)
            times.append(time.perf_counter() - start)

    more, built = growth(train)
    return more, built, statistics.median(times[1:])


def main(_):
    found = {}
    for _ in range(ROUNDS.value):
        for form in CHOSEN.value:
            measured = apart(measure, form, MODEL.value, SIZE.value, POLICY.value, BATCH.value, STEPS.value)
            if measured is not None:
                more, built, seconds = measured
                found.setdefault(FORMS[form], []).append(more)
                print(f"{form:10s} {more:6,.0f} MiB beyond {built:,.0f}, {seconds:.2f} s a step", flush=True)
    record(f"memory of a step of {MODEL.value}, {POLICY.value}, batch {BATCH.value}", found, "MiB")


if __name__ == "__main__":
    app.run(main)

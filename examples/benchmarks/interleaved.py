"""What the benchmarks share: networks that train, runs that take turns, and a line of medians with their spread."""

import contextlib
import ctypes
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import results
from absl import flags
from results import record

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def trainer(model, optimizer, batch: int, steps: int, batches=None, callbacks=()) -> Callable[[], float]:
    """A function that trains by plain `fit` and returns the images per second of its last `steps`.

    On random images that stay in memory, or on `batches`, a dataset without end. The steps alone are timed: tf.data
    takes up to 2.6 s to put its threads away at the end of a `fit`.
    """
    import keras
    import numpy as np
    import tensorflow as tf

    if batches is None:
        random = np.random.default_rng(0)
        images = random.normal(size=(batch, *model.input_shape[1:])).astype("float32")
        labels = random.integers(0, model.output_shape[-1], batch)
        batches = tf.data.Dataset.from_tensors((images, labels)).cache().repeat()
    model.compile(optimizer, "sparse_categorical_crossentropy")

    class Clock(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.times = []

        def on_train_batch_end(self, batch, logs=None):
            self.times.append(time.perf_counter())

    def run():
        clock = Clock()
        model.fit(batches, steps_per_epoch=steps + 1, shuffle=False, verbose=0, callbacks=[*callbacks, clock])
        return batch * steps / (clock.times[-1] - clock.times[0])

    run()  # traces and warms up
    return run


def take_turns(
    runs: dict[str, Callable[[], float]], rounds: int, task: str = "", unit: str = "images/s"
) -> tuple[dict[str, float], dict[str, str]]:
    """The median of what each run returns in `rounds` interleaved rounds, and `median (min to max)` as text.

    With a task, the results are recorded (see results.py); and with runs named (task, contestant), those of each task.
    """
    found = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
    if task:
        record(task, found, unit)
    for part in dict.fromkeys(name[0] for name in runs if isinstance(name, tuple)):
        record(part, {name[1]: values for name, values in found.items() if name[0] == part}, unit)
    medians = {name: statistics.median(values) for name, values in found.items()}
    return medians, {n: f"{medians[n]:.4g} ({min(v):.4g} to {max(v):.4g})" for n, v in found.items()}


@contextlib.contextmanager
def processes(build: dict[str, Callable[[], Callable[[], float]]]) -> Iterator[dict[str, Callable[[], float]]]:
    """The runs that the functions build, each in a process of its own, as it would train or serve.

    In one process they disturb each other. Of two exports of ResNet-50, one with constants for weights, the one that
    runs first decides how fast both are, by a tenth: they seem to share what oneDNN keeps for a convolution's shape.
    The threads of ONNX Runtime go on waiting, busily.
    """
    spawn = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        pools = {name: stack.enter_context(ProcessPoolExecutor(1, spawn)) for name in build}
        for prepared in [pool.submit(_prepare, build[name]) for name, pool in pools.items()]:
            results.took_part.update(prepared.result())
        yield {name: partial(_ask, pool) for name, pool in pools.items()}


def _prepare(build: Callable[[], Callable[[], float]]) -> set[str]:
    global _run
    flags.FLAGS(sys.argv)
    _run = build()
    return results.imported()


def _go() -> float:
    return _run()


def _ask(pool: ProcessPoolExecutor) -> float:
    return pool.submit(_go).result()


def keep_memory() -> None:
    """Has glibc keep what is freed, or page faults take 6 to 13 % of the time in which PyTorch's ResNet-50 answers."""
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        mallopt = ctypes.CDLL(None).mallopt
        for parameter in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            mallopt(parameter, 2**30)


def matrix_products(dtype: str, macs: int, size: int = 2048) -> Callable[[], float]:
    """A function that returns how often in a second this machine could do so many multiply-adds, in this dtype.

    As fast as TensorFlow's product of two square matrices on all cores. Other libraries' products may be faster.
    """
    import tensorflow as tf

    matrix = tf.cast(tf.random.stateless_normal((size, size), (0, 0)), dtype)
    product = tf.function(lambda: tf.linalg.matmul(matrix, matrix))

    def run():
        times = []
        for _ in range(7):
            start = time.perf_counter()
            product().numpy()
            times.append(time.perf_counter() - start)
        return size**3 / statistics.median(times) / macs

    run()
    return run


def lineage(row, peers: Sequence[str]) -> str | None:
    """The row's lineage that computes what timm's network does, if one of the peers is one: equal multiply-adds."""
    tags = [weights.source for weights in row.weights]
    return next((tag for tag in tags if tag.partition("/")[2].partition(".")[0] in peers), None)

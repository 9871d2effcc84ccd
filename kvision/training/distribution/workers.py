"""How replicas share the work, in one process or several, and what a lost worker leaves behind."""

import functools
import signal
import sys

import tensorflow as tf

from kvision.training.distribution.cluster import Cluster
from kvision.training.distribution.whole_gradient import judge_all_replicas


def strategy() -> tf.distribute.Strategy:
    """How replicas share the work: of all workers of TF_CONFIG, or of all local devices of one kind, GPUs first.

    With several workers it waits until all of them are there; it must come before all else that TensorFlow computes.

    Returns:
        A `MultiWorkerMirroredStrategy` under which Keras's `fit` and `evaluate` work; for several devices of one
        process a `MirroredStrategy`; for one device the default strategy, which changes nothing.

    Raises:
        ValueError: TF_CONFIG is not what it should be.
    """
    cluster = Cluster.from_environment()
    if len(cluster.tasks) > 1:
        judge_all_replicas()
        print(f"This is {cluster.worker(cluster.index)}. It waits for the others.", file=sys.stderr, flush=True)
        sys.excepthook = functools.partial(_explained, sys.excepthook, cluster)
        ending = signal.getsignal(signal.SIGTERM)
        workers = Workers()
        signal.signal(signal.SIGTERM, ending or signal.SIG_DFL)  # TensorFlow takes it for a notice, and would train on
        return workers
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) > 1:
        judge_all_replicas()
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


class Workers(tf.distribute.MultiWorkerMirroredStrategy):
    """`MultiWorkerMirroredStrategy` with the answers that Keras expects from `reduce`.

    Before training and evaluation Keras asks for the mean of a whole batch over the replicas, to learn its shapes.
    TensorFlow has none of several tensors, and workers may have batches of different sizes: the answer is a batch of
    this worker. After every step Keras asks for the mean of scalars over their axis 0, which they do not have: the
    answer is their mean over the replicas.
    """

    def reduce(self, reduce_op, value, axis):
        if axis is None and tf.nest.is_nested(value):
            return tf.nest.map_structure(lambda part: self.experimental_local_results(part)[0], value)
        if axis == 0 and self.experimental_local_results(value)[0].shape.rank == 0:
            axis = None
        return super().reduce(reduce_op, value, axis)


def _explained(otherwise, cluster, kind, error, traceback):
    """Tells, below the traceback of an error that ends this process, of the worker that was lost."""
    otherwise(kind, error, traceback)
    message = str(error)
    unreachable = issubclass(kind, (tf.errors.UnavailableError, tf.errors.DeadlineExceededError))
    if unreachable and ("ollective" in message or "oordination" in message):
        print(
            f"\n{cluster.worker(cluster.lost(message))} was lost: it has ended, hangs, or cannot be reached; its own "
            f"output may say why. {cluster.worker(cluster.index)} ends, too, since none can train alone.\n"
            "Start all workers again with the same command: kvision.training.Resume goes on from the last whole epoch.",
            file=sys.stderr,
            flush=True,
        )

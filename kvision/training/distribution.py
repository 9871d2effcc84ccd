"""Large minibatches on many workers: Goyal et al., arXiv:1706.02677.

The program of one process, started on every worker, with a few lines more:

    strategy = distribution.strategy()  # first of all
    with strategy.scope():
        model = kvision.applications.ResNet50()
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    resume = Resume("/shared/run/state")
    images = distribution.batches(strategy, data.training_batches, train, 32, first_epoch=resume.epochs, ...)
    model.fit(
        images,
        steps_per_epoch=data.steps(train, 32 * strategy.num_replicas_in_sync),
        validation_data=distribution.batches(strategy, data.evaluation_batches, validation, 32, ...),
        callbacks=[distribution.SharedStatistics(), resume],
        ...
    )
    if distribution.is_chief():
        model.save("/shared/run/model.keras")
    distribution.barrier(strategy)  # last of all

`kvision.training.cluster` tells how workers find each other. A replica is a device that trains: each GPU, or the
processor of a worker without one. k replicas with n images each make a minibatch of kn:

- The gradient is the mean over all kn images (section 3, gradient aggregation), if losses are `keras.losses.Loss`,
  `add_loss` or regularizers: these are divided by k, and gradients summed. It is whole when it is clipped, and when
  mixed_float16 asks whether it is finite; Keras would judge that of one replica. Weight decay is not divided (section
  3). The rate is the recipe's: 0.1 kn / 256, after a warmup (section 2.1).
- Batch normalization takes the statistics of n images, each replica its own (section 2.3). For those of all kn, set
  `layer.synchronized = True` for every `keras.layers.BatchNormalization` of the model before it is compiled.
- No two replicas see the same image in an epoch (section 3, data shuffling). What is trained depends on how many
  replicas there are, and not on how many of them share a worker.
- Layers that draw random numbers, such as dropout, draw the same ones on all replicas.

`Resume` writes on the chief alone and reads on every worker, so its directory is on storage that they share. Other
callbacks that write files are for the chief.

A worker that dies ends the job. The others raise a `tf.errors.OpError` within about 15 seconds, as soon as they need
what it would have computed, say which one it was, and exit with status 1; likewise if it hangs, or cannot be reached,
for 10 seconds. Once all workers are started again, `Resume` goes on from the last whole epoch, to the same end as
without interruption.
"""

import functools
import json
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kvision.training.cluster import Cluster, is_chief
from kvision.training.whole_gradient import judge_all_replicas

__all__ = ["SharedStatistics", "agreed", "barrier", "batches", "is_chief", "shared", "strategy"]


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


def batches(strategy: tf.distribute.Strategy, make: Callable[..., tf.data.Dataset], *arguments, **keywords):
    """What `make(*arguments, **keywords)` makes, shared among the replicas, for `fit` and `evaluate`.

    For each replica of this worker `make` is called with `shard=(replica, replicas)`, which `data.training_batches`
    and `data.evaluation_batches` take; a batch size is that of a replica. Where there is one replica, there is no
    shard. `cache` is what each replica may keep, of the whole split.

    Those of `kvision.data` give all replicas equally many batches. Others that do not end with batches of no images,
    which count for nothing, but which not every network takes: oneDNN's fused convolutions do not.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return make(*arguments, **keywords)
    lengths = []

    def own(context):
        local = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * local
        shards = [make(*arguments, shard=(first + i, replicas), **keywords) for i in range(local)]
        lengths.extend(int(shard.cardinality()) for shard in shards)
        turns = tf.data.Dataset.range(local).repeat()  # a step takes the next batch for each replica, in turn
        return tf.data.Dataset.choose_from_datasets(shards, turns, stop_on_empty_dataset=False)

    dataset = strategy.distribute_datasets_from_function(own)
    # Keras reads the steps of an evaluation from this: TensorFlow puts the local batches there, which are other numbers
    # than the steps, and differ from worker to worker, so that some would wait for others forever.
    dataset._cardinality = _longest(_gathered(strategy, [_longest(lengths)]))
    return dataset


def _longest(lengths):
    """The largest; or, as tf.data has it, a negative number if one of them is infinite or unknown."""
    return min(lengths) if min(lengths) < 0 else max(lengths)


def barrier(strategy: tf.distribute.Strategy) -> None:
    """Waits for all workers. The last line of a program, so that none ends before the chief has written its files.

    Were a chief to die in the middle of that, it would be started again alone, and wait for the others.
    """
    _gathered(strategy, [0])


def agreed(strategy: tf.distribute.Strategy, values: dict[str, Any], remedy: str) -> None:
    """Raises a ValueError on all workers, with this remedy, unless they have the same values.

    Args:
        strategy: that of `strategy()`.
        values: what JSON can hold, by names which are the same on all workers.
        remedy: what each worker is told below the values that differ.
    """
    text = np.frombuffer(json.dumps(values).encode(), "uint8")
    ends = np.cumsum(_gathered(strategy, [len(text)]))
    texts = np.split(np.array(_gathered(strategy, text), "uint8"), ends[:-1])
    found = [json.loads(text.tobytes()) for text in texts]
    differing = [name for name in values if any(one[name] != found[0][name] for one in found)]
    if differing:
        told = "; ".join(f"{name}: {[one[name] for one in found]}" for name in differing)
        raise ValueError(f"Workers differ in {told}. {remedy}")


def _gathered(strategy, numbers):
    """The numbers of all replicas, one after the other."""
    return _gather(strategy)(tf.constant(numbers, tf.int64)).numpy().tolist()


@functools.cache
def _gather(strategy):
    return tf.function(
        lambda x: strategy.gather(strategy.run(tf.identity, (x,)), axis=0),
        input_signature=[tf.TensorSpec([None], tf.int64)],
        autograph=False,
    )


def shared(strategy: tf.distribute.Strategy, variables: Sequence[keras.Variable]) -> Callable[[], None]:
    """The function that gives variables, of which each replica has a value of its own, the means of these values."""

    def replica():
        all_reduce = tf.distribute.get_replica_context().all_reduce
        means = all_reduce(tf.distribute.ReduceOp.MEAN, [tf.identity(variable.value) for variable in variables])
        for variable, mean in zip(variables, means, strict=True):
            variable.assign(mean)

    @tf.function(autograph=False)
    def share():
        if variables:
            strategy.run(replica)

    return share


class SharedStatistics(keras.callbacks.Callback):
    """Before every validation and after every epoch, moving statistics become their means over the replicas.

    Every replica has moving statistics of its own batches. Without this callback it validates with them, and those of
    the chief's first replica are saved. Their means over replicas are those of as many batches more (Ioffe & Szegedy,
    arXiv:1502.03167, algorithm 2), and what is validated is what is saved. Goes before callbacks that save.
    """

    def set_model(self, model):
        super().set_model(model)
        norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
        statistics = [variable for norm in norms for variable in norm.non_trainable_variables]
        self._share = shared(model.distribute_strategy, statistics)

    def on_test_begin(self, logs=None):
        self._share()

    def on_epoch_end(self, epoch, logs=None):
        self._share()

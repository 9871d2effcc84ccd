"""Each replica's own part of a dataset."""

from collections.abc import Callable

import tensorflow as tf

from kvision.training.distribution.agreement import gathered


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
    dataset._cardinality = _longest(gathered(strategy, [_longest(lengths)]))
    return dataset


def _longest(lengths):
    """The largest; or, as tf.data has it, a negative number if one of them is infinite or unknown."""
    return min(lengths) if min(lengths) < 0 else max(lengths)

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

`cluster.py` tells how workers find each other. A replica is a device that trains: each GPU, or the processor of a
worker without one. k replicas with n images each make a minibatch of kn:

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

from kvision.training.distribution.agreement import agreed, barrier
from kvision.training.distribution.cluster import is_chief
from kvision.training.distribution.shards import batches
from kvision.training.distribution.shared_statistics import SharedStatistics, shared
from kvision.training.distribution.workers import strategy

__all__ = ["SharedStatistics", "agreed", "barrier", "batches", "is_chief", "shared", "strategy"]

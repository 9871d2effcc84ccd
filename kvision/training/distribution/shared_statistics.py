"""Statistics that each replica has of its own become their means over the replicas."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf


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

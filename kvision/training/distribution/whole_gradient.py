"""Keras judges the gradient of one replica where it should judge the sum of all: is it finite, is it too long?"""

import keras
import tensorflow as tf

CLIPPINGS = ("clipnorm", "global_clipnorm", "clipvalue")


def judge_all_replicas() -> None:
    """From now on, in this process, Keras's optimizers judge the gradient of the whole batch."""
    keras.optimizers.LossScaleOptimizer.check_finite = check_finite
    keras.optimizers.Optimizer._clip_gradients = clip_gradients


def check_finite(optimizer, gradients, own=keras.optimizers.LossScaleOptimizer.check_finite):
    """Whether the gradients of all replicas are finite.

    Keras asks the first local replica, as if gradients were summed already. Where those of another overflow, as they
    do in the first steps of mixed_float16, devices of one process get NaN for weights, and workers part: some wait for
    the gradients of others that have left this step out, forever.
    """
    finite = tf.cast(own(optimizer, gradients), tf.float32)
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, finite) == 1


def clip_gradients(optimizer, gradients, own=keras.optimizers.Optimizer._clip_gradients):
    """Each replica's equal part of the whole gradient, clipped; their sum is what the update takes.

    Keras clips what each replica adds to the sum, whose norm is a k-th of that of the mean, or more: k replicas would
    need another bound than one.
    """
    if not any(getattr(optimizer, name) for name in CLIPPINGS):
        return own(optimizer, gradients)
    replica = tf.distribute.get_replica_context()
    some = [gradient for gradient in gradients if gradient is not None]
    whole = iter(replica.all_reduce(tf.distribute.ReduceOp.SUM, some))
    clipped = own(optimizer, [gradient if gradient is None else next(whole) for gradient in gradients])
    return [gradient if gradient is None else gradient / replica.num_replicas_in_sync for gradient in clipped]

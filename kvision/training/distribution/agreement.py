"""What all workers tell each other: that they are there, and that they mean the same."""

import functools
import json
from typing import Any

import numpy as np
import tensorflow as tf


def barrier(strategy: tf.distribute.Strategy) -> None:
    """Waits for all workers. The last line of a program, so that none ends before the chief has written its files.

    Were a chief to die in the middle of that, it would be started again alone, and wait for the others.
    """
    gathered(strategy, [0])


def agreed(strategy: tf.distribute.Strategy, values: dict[str, Any], remedy: str) -> None:
    """Raises a ValueError on all workers, with this remedy, unless they have the same values.

    Args:
        strategy: that of `strategy()`.
        values: what JSON can hold, by names which are the same on all workers.
        remedy: what each worker is told below the values that differ.
    """
    text = np.frombuffer(json.dumps(values).encode(), "uint8")
    ends = np.cumsum(gathered(strategy, [len(text)]))
    texts = np.split(np.array(gathered(strategy, text), "uint8"), ends[:-1])
    found = [json.loads(text.tobytes()) for text in texts]
    differing = [name for name in values if any(one[name] != found[0][name] for one in found)]
    if differing:
        told = "; ".join(f"{name}: {[one[name] for one in found]}" for name in differing)
        raise ValueError(f"Workers differ in {told}. {remedy}")


def gathered(strategy, numbers):
    """The numbers of all replicas, one after the other."""
    return _gather(strategy)(tf.constant(numbers, tf.int64)).numpy().tolist()


@functools.cache
def _gather(strategy):
    return tf.function(
        lambda x: strategy.gather(strategy.run(tf.identity, (x,)), axis=0),
        input_signature=[tf.TensorSpec([None], tf.int64)],
        autograph=False,
    )

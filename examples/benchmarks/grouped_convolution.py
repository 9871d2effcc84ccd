"""How much faster does a grouped convolution train than Keras's, which runs every one inside XLA?

    python examples/benchmarks/grouped_convolution.py           # 8x28x28x128 in 32 groups, under a minute

Prints milliseconds of a forward and backward pass, medians of interleaved rounds, and the ratio.
"""

import time

from absl import app, flags
from interleaved import take_turns

ROUNDS = flags.DEFINE_integer("rounds", 5, "interleaved rounds")
GROUPS = flags.DEFINE_integer("groups", 32, "of the convolution")


def step(kind):
    """A function that runs one compiled forward and backward pass and returns its milliseconds."""
    import tensorflow as tf

    layer = kind(128, 3, padding="same", groups=GROUPS.value)
    x = tf.random.stateless_normal((8, 28, 28, 128), (0, 0))
    layer.build(x.shape)

    @tf.function
    def train():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x) ** 2)
        return tape.gradient(loss, [x, *(variable.value for variable in layer.trainable_variables)])

    def run():
        start = time.perf_counter()
        train()[0].numpy()
        return 1000 * (time.perf_counter() - start)

    run()
    return run


def main(_):
    import keras

    from kvision.layers import GroupedConv2D

    runs = {"kvision": step(GroupedConv2D), "keras": step(keras.layers.Conv2D)}
    medians, texts = take_turns(runs, ROUNDS.value)
    row = ", ".join(f"{name} {text} ms" for name, text in texts.items())
    print(f"8x28x28x128, {GROUPS.value} groups, forward and backward: {row}; ", end="")
    print(f"{medians['keras'] / medians['kvision']:.0f} x faster")


if __name__ == "__main__":
    app.run(main)

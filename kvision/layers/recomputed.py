"""Memory for time: Pleiss et al., "Memory-Efficient Implementation of DenseNets", arXiv:1707.06990."""

import keras
from keras import tree

from kvision.layers.nested import Nested


@keras.saving.register_keras_serializable(package="kvision")
class Recomputed(Nested):
    """A model whose intermediate results are not kept for the backward pass, but computed again there (section 3).

    Worth it where they are large and cheap: concatenations, batch norms, rectifiers. What ends the model costs nothing
    twice: the gradient of a last convolution does not ask for its output, which is therefore not computed again.

    The same outputs, gradients and moving statistics as without: the model's variables go in as values and its updates
    come out as values, once. (`keras.remat` and `tf.recompute_grad` on a layer update moving statistics twice.)
    Dropout inside draws the same numbers again.

    Training needs the TensorFlow or the JAX backend. JAX has been seen to save nothing on CPUs, whose compiler does not
    keep the second computation apart.

    Args:
        model: a built Functional model.

    Input and output: as the model's, tensors or lists.

    Raises:
        NotImplementedError: training on another backend than TensorFlow and JAX.
    """

    def call(self, inputs, training=None):
        if not training:
            return self.model(inputs, training=False)
        backend = keras.backend.backend()
        if backend not in ("tensorflow", "jax"):
            raise NotImplementedError(
                f"Recomputed trains on the TensorFlow and JAX backends. Received: {backend!r}. "
                "Build the network without recomputation; it takes the same weights."
            )
        trainable, state = self.values()
        count, end = len(tree.flatten(inputs)), len(tree.flatten(inputs)) + len(trainable)
        changed = []

        def run(*tensors):
            """The outputs, and what becomes of the variables that change, named by `changed`."""
            x, state = tree.pack_sequence_as(inputs, tensors[:count]), tensors[end:]
            outputs, after = self.model.stateless_call(tensors[count:end], state, x, training=True)
            changed[:] = [place for place, value in enumerate(after) if value is not state[place]]
            return tree.flatten(outputs), [after[place] for place in changed]

        recomputing = keras.remat(run) if backend == "jax" else _recomputing(run, count)
        outputs, values = recomputing(*tree.flatten(inputs), *trainable, *state)
        for place, value in zip(changed, values, strict=True):
            self.model.non_trainable_variables[place].assign(value)
        return outputs[0] if len(outputs) == 1 else tree.pack_sequence_as(self.model.output, outputs)

    def compute_output_shape(self, input_shape):
        return self.model.compute_output_shape(input_shape)

    def for_inference(self) -> keras.Model:
        return self.model


def _recomputing(run, count):
    """`run(*tensors)` as it is, and once more for its gradient, on TensorFlow. The first `count` tensors are inputs."""
    import tensorflow as tf

    @tf.custom_gradient
    def forward(*tensors):
        outputs, values = run(*tensors)

        def backward(*upstream):
            upstream = upstream[: len(outputs)]
            zero = _zero_after(upstream)
            again = [x + tf.cast(zero, x.dtype) if place < count else x for place, x in enumerate(tensors)]
            floating = [x for x in again if x.dtype.is_floating]
            with tf.GradientTape() as tape:
                tape.watch(floating)
                results, _ = run(*again)
            gradients = iter(tape.gradient(results, floating, upstream))
            return [next(gradients) if x.dtype.is_floating else None for x in again]

        return (outputs, values), backward

    return forward


def _zero_after(upstream):
    """A zero that waits for the gradients: else the compiler would see the same operation twice and keep the first."""
    import tensorflow as tf

    first = tf.add_n([tf.cast(tf.reshape(x, [-1])[0], "float32") for x in upstream])
    return tf.where(first == first, 0.0, float("nan"))  # NaN stays NaN

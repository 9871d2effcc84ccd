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
    come out as values, once. (`keras.remat` and `tf.recompute_grad` update moving statistics twice.) Dropout inside
    draws the same numbers again.

    Args:
        model: a built Functional model with one output.

    Input: as the model's, a tensor or a list. Output: the model's.
    """

    def call(self, inputs, training=None):
        if not training:
            return self.model(inputs, training=False)
        trainable, state = self.values()
        count = len(tree.flatten(inputs))

        def run(tensors):
            x = tree.pack_sequence_as(inputs, tensors[:count])
            return self.model.stateless_call(tensors[count:], state, x, training=True)

        tensors = [*tree.flatten(inputs), *trainable]
        if keras.backend.backend() != "tensorflow":
            outputs, state = keras.remat(run)(tensors)
            self.keep(state)
            return outputs
        import tensorflow as tf

        @tf.custom_gradient
        def forward(*tensors):
            outputs, new_state = run(tensors)

            def backward(upstream, *_):
                again = list(tensors)
                again[count - 1] += _zero_after(upstream, again[count - 1].dtype)
                with tf.GradientTape() as tape:
                    tape.watch(again)
                    outputs, _ = run(again)
                return tape.gradient(outputs, again, upstream)

            return (outputs, *new_state), backward

        outputs, *new_state = forward(*tensors)
        self.keep(new_state)
        return outputs

    def compute_output_shape(self, input_shape):
        return self.model.compute_output_shape(input_shape)

    def for_inference(self) -> keras.Model:
        return self.model


def _zero_after(upstream, dtype):
    """A zero that waits for the gradient: else the compiler would see the same operation twice and keep the first."""
    import tensorflow as tf

    first = tf.reshape(upstream, [-1])[0]
    return tf.cast(tf.where(first == first, 0.0, first.dtype.as_numpy_dtype("nan")), dtype)  # NaN stays NaN

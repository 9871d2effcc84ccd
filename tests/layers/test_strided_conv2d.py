import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.layers import StridedConv2D

RANDOM = np.random.default_rng(0)


def gradients(layer, x, jit):
    @tf.function(jit_compile=jit, input_signature=[tf.TensorSpec((None, *x.shape[1:]))])
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(tf.cast(y, "float32") ** 2)
        return [y, *tape.gradient(loss, [x, *(weight.value for weight in layer.trainable_weights)])]

    return [np.array(value, "float32") for value in run(x)]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(
    ("shape", "kernel_size", "strides"),
    [
        ((3, 12, 12, 4), 9, 2),  # the last row and column meet no kernel
        ((3, 13, 11, 4), (9, 3), (2, 1)),
        ((2, 11, 9, 1), (2, 3), (3, 4)),  # strides beyond the kernel: some pixels between are skipped
        ((1, 5, 5, 2), 5, 2),
    ],
)
def test_equals_conv2d_in_values_and_gradients(shape, kernel_size, strides, jit, policy):
    x = tf.constant(RANDOM.normal(size=shape), "float32")
    options = dict(bias_initializer="normal", dtype=policy)
    ours = StridedConv2D(6, kernel_size, strides, **options)
    theirs = keras.layers.Conv2D(6, kernel_size, strides, **options)
    for layer in (ours, theirs):
        layer.build(shape)
        layer.set_weights(ours.get_weights())
    for mine, other in zip(gradients(ours, x, jit), gradients(theirs, x, jit), strict=True):
        assert mine.shape == other.shape
        np.testing.assert_allclose(mine, other, atol=(1e-5 if policy == "float32" else 2e-2) * np.abs(other).max())


def test_its_kernel_has_the_gradient_of_a_convolution(monkeypatch):
    """No operation of the training graph is TensorFlow's slow form for it."""
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    layer = StridedConv2D(6, 9, 2)
    layer.build((None, 12, 12, 4))

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            y = layer(x)
        return tape.gradient(y, layer.kernel.value)

    operations = [node.type for node in run.get_concrete_function(tf.TensorSpec((3, 12, 12, 4))).graph.get_operations()]
    assert operations.count("Conv2D") == 2 and "Conv2DBackpropFilter" not in operations

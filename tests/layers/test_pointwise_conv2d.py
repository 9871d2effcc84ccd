import keras
import numpy as np
import tensorflow as tf

from kvision.layers import PointwiseConv2D

X = np.random.default_rng(0).normal(size=(2, 5, 7, 8)).astype("float32")


def test_equals_a_dense_layer_on_the_channels():
    """Y(i, j) = W X(i, j)."""
    layer = PointwiseConv2D(6, bias_initializer="normal")
    y = layer(X)
    np.testing.assert_allclose(y, X @ np.array(layer.kernel)[0, 0] + np.array(layer.bias), atol=1e-5)


def test_equals_conv2d_in_values_and_gradients():
    x, results = tf.constant(X), []
    ours = PointwiseConv2D(6, activation="relu")
    theirs = keras.layers.Conv2D(6, 1, activation="relu")
    for layer in (ours, theirs):
        layer.build(X.shape)
        layer.set_weights(ours.get_weights())
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y**2)
        results.append([y, *tape.gradient(loss, [x, layer.kernel.value, layer.bias.value])])
    for mine, other in zip(*results, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5 * np.abs(other).max())


def test_is_saved_as_itself():
    layer = PointwiseConv2D(6, use_bias=False, name="fc1")
    again = PointwiseConv2D.from_config(layer.get_config())
    assert again.get_config() == layer.get_config() and isinstance(layer.for_inference(), keras.layers.Conv2D)

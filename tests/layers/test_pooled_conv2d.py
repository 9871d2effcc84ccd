import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.evaluation import count_macs
from kvision.layers import PooledConv2D

X = np.random.default_rng(0).normal(size=(2, 5, 8, 4)).astype("float32")  # the fifth row has no partner


@pytest.mark.parametrize("use_bias", [False, True])
def test_equals_a_convolution_and_the_pooling_after_it(use_bias):
    ours = PooledConv2D(6, use_bias=use_bias, bias_initializer="normal")
    theirs = keras.layers.Conv2D(6, 1, use_bias=use_bias)
    for layer in (ours, theirs):
        layer.build(X.shape)
        layer.set_weights(ours.get_weights())
    x, results = tf.constant(X), []
    for layer, function in ((ours, ours), (theirs, lambda x: keras.layers.AveragePooling2D(2)(theirs(x)))):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
            loss = tf.reduce_sum(y**2)
        results.append([y, *tape.gradient(loss, [x, *(weight.value for weight in layer.trainable_weights)])])
    for mine, other in zip(*results, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5 * np.abs(other).max())


def test_counts_as_the_paper_orders_them():
    image = keras.Input((8, 8, 3))
    pooled_last = keras.layers.AveragePooling2D(2)(keras.layers.Conv2D(6, 1)(image))
    assert count_macs(keras.Model(image, PooledConv2D(6)(image))) == count_macs(keras.Model(image, pooled_last)) == 1152


def test_unknown_sizes_stay_unknown():
    assert PooledConv2D(6)(keras.Input((None, 9, 3))).shape == (None, None, 4, 6)


def test_an_activation_would_stand_between():
    with pytest.raises(ValueError, match="Received: activation='relu'"):
        PooledConv2D(6, activation="relu")

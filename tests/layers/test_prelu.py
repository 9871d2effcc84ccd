import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.evaluation import count_macs
from kvision.layers import PReLU

X = np.random.default_rng(0).normal(size=(2, 5, 7, 4)).astype("float32")


def test_values_by_hand():
    """Slopes 0.25, then -1 and 2: f(y) = max(0, y) + a min(0, y)."""
    layer = PReLU()
    y = np.array([[-4.0, 3.0], [8.0, -2.0]], "float32")
    np.testing.assert_array_equal(layer(y), [[-1, 3], [8, -0.5]])
    layer.alpha.assign([-1.0, 2.0])
    np.testing.assert_array_equal(layer(y), [[4, 3], [8, -4]])


@pytest.mark.parametrize("shared", [False, True])
def test_slope_0_is_the_rectifier_and_slope_1_the_identity(shared):
    np.testing.assert_array_equal(PReLU(shared, alpha_initializer="zeros")(X), np.maximum(X, 0))
    np.testing.assert_array_equal(PReLU(shared, alpha_initializer="ones")(X), X)


@pytest.mark.parametrize(("shared", "shape", "alpha"), [(False, (5, 7, 4), (1, 1, 4)), (True, (5, 7, 4), (1, 1, 1))])
def test_one_slope_for_each_channel_or_one_for_all(shared, shape, alpha):
    for size in (shape, (None, None, shape[-1])):
        layer = PReLU(shared)
        layer.build((None, *size))
        assert layer.alpha.shape == alpha and layer.count_params() == np.prod(alpha)
        np.testing.assert_array_equal(layer.alpha, np.full(alpha, 0.25))
    assert count_macs(keras.Sequential([keras.Input(shape), PReLU(shared)])) == 0


@pytest.mark.parametrize("shared", [False, True])
def test_the_slopes_gradient_is_summed_over_all_positions(shared):
    """Equations 2 and 3: dE/da_i sums dE/df min(0, y) over the feature map, and over the channels where they share."""
    layer, upstream = PReLU(shared), np.random.default_rng(1).normal(size=X.shape).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(X) * upstream)
    expected = (upstream * np.minimum(X, 0)).sum((0, 1, 2, 3) if shared else (0, 1, 2))
    np.testing.assert_allclose(np.ravel(tape.gradient(loss, layer.alpha.value)), np.ravel(expected), rtol=1e-4)


@pytest.mark.parametrize(("spared", "expected"), [(True, 0.25), (False, 0.25 * (1 - 0.5 * 0.1))])
def test_weight_decay_spares_the_slopes_only_where_told(spared, expected):
    """Positive inputs give the slopes no gradient: decay alone moves them."""
    model = keras.Sequential([keras.Input((3,)), PReLU()])
    sgd = keras.optimizers.SGD(0.5, weight_decay=0.1)
    if spared:
        sgd.exclude_from_weight_decay(var_names=["alpha"])
    model.compile(sgd, "mse")
    model.train_on_batch(np.ones((2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(model.layers[0].alpha, np.full(3, expected, "float32"))


def test_a_kernels_regularizer_does_not_see_the_slopes():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.1))])
    model.add(PReLU())
    dense, prelu = model.layers
    with tf.GradientTape() as tape:
        loss = tf.add_n(model.losses)
    kernel, alpha = tape.gradient(loss, [dense.kernel.value, prelu.alpha.value])
    np.testing.assert_allclose(kernel, 0.2 * np.array(dense.kernel), rtol=1e-6)
    assert alpha is None


def test_which_axes_share_follows_from_the_input():
    with pytest.raises(TypeError, match="shared_axes"):
        PReLU(shared_axes=(1, 2))

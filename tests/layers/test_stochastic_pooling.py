import keras
import numpy as np
import pytest

from kvision.layers import StochasticPooling2D

WINDOW = np.array([[0.0, 1.6], [2.4, 0.0]], "float32")[None, :, :, None]  # p = 0, 0.4, 0.6, 0


def test_inference_is_the_expected_value():
    """0.4 * 1.6 + 0.6 * 2.4 = 2.08."""
    np.testing.assert_allclose(StochasticPooling2D(2)(WINDOW), [[[[2.08]]]], rtol=1e-6)


def test_training_picks_in_proportion_to_the_activations():
    y = np.asarray(StochasticPooling2D(2, seed=0)(np.repeat(WINDOW, 10_000, 0), training=True))
    assert set(np.unique(y)) == {np.float32(1.6), np.float32(2.4)}
    assert np.mean(y == np.float32(2.4)) == pytest.approx(0.6, abs=0.02)  # four standard deviations


@pytest.mark.parametrize("training", [False, True])
def test_a_window_of_zeros_gives_zero_and_a_constant_one_its_value(training):
    layer = StochasticPooling2D(3, 2, seed=0)
    for value in (0.0, 2.0):
        x = np.full((2, 7, 9, 3), value, "float32")
        np.testing.assert_allclose(layer(x, training=training), np.full((2, 3, 4, 3), value), rtol=1e-6)


def test_windows_overlap_where_max_pooling_has_them():
    """A single positive value of a window is its maximum and its pick."""
    x = np.zeros((1, 7, 8, 2), "float32")
    x[0, 2, 4, 0], x[0, 5, 1, 1] = 3, 4
    expected = keras.layers.MaxPooling2D(3, 2)(x)
    for training in (False, True):
        np.testing.assert_allclose(StochasticPooling2D(3, 2, seed=0)(x, training=training), expected, rtol=1e-6)


def test_the_gradient_goes_to_the_pick():
    import tensorflow as tf

    x = tf.constant(WINDOW)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = StochasticPooling2D(2, seed=0)(x, training=True)
    gradient = tape.gradient(y, x).numpy()
    np.testing.assert_array_equal(gradient != 0, np.float32(y) == WINDOW)
    assert gradient.sum() == 1


def test_each_call_picks_anew_and_the_seed_repeats():
    x = np.abs(np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32"))
    first, again = StochasticPooling2D(3, seed=1), StochasticPooling2D(3, seed=1)
    a, b = (np.asarray(first(x, training=True)) for _ in range(2))
    assert not np.array_equal(a, b)
    np.testing.assert_array_equal(again(x, training=True), a)


@pytest.mark.parametrize("jit", [False, True])
def test_trains_under_mixed_float16(jit):
    keras.config.set_dtype_policy("mixed_float16")
    inputs = keras.Input((None, None, 2))
    x = keras.layers.Conv2D(3, 3, activation="relu")(inputs)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(StochasticPooling2D(3, 2)(x)))
    model.compile("sgd", "mse", jit_compile=jit)
    before = model.get_weights()[0]
    assert np.isfinite(model.train_on_batch(np.ones((2, 9, 9, 2), "float32"), np.ones((2, 3), "float32")))
    assert not np.array_equal(model.get_weights()[0], before)

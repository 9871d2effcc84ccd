import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.classifier import Preprocess
from kvision.export import for_inference, savedmodel
from kvision.layers import GammaActivation, GroupedConv2D, ScaledStdConv2D
from tests.serving import ask

RANDOM = np.random.default_rng(0)


def layer(channels=4, policy="float32", **arguments):
    made = ScaledStdConv2D(**{"filters": 6, "kernel_size": 3, "dtype": policy, **arguments})
    made.build((None, 9, 9, channels))
    made.kernel.assign(RANDOM.normal(2.0, 3.0, made.kernel.shape))
    made.bias.assign(RANDOM.normal(size=made.filters))
    return made


@pytest.mark.parametrize("groups", [1, 2])
def test_every_filter_has_mean_0_and_variance_1_over_n(groups):
    """Equation 4: the squares of a filter's N weights sum to 1; its gain is a factor."""
    conv = layer(groups=groups)
    filters = np.array(conv.standardize(conv.kernel)).reshape(-1, 6)
    np.testing.assert_allclose(filters.sum(0), 0, atol=1e-5)
    np.testing.assert_allclose((filters**2).sum(0), 1, rtol=1e-5)
    conv.gain.assign(np.arange(6.0))
    np.testing.assert_allclose(conv.standardize(conv.kernel), (filters * range(6)).reshape(conv.kernel.shape), 1e-6)


def test_by_hand():
    """1, 3: mean 2, variance 1, N = 2. With a gain of 4 and gamma of 0.5: 4 * 0.5 * (-1, 1) / sqrt(2)."""
    conv = layer(2, filters=1, kernel_size=1, gamma=0.5)
    conv.set_weights([np.reshape([1.0, 3.0], (1, 1, 2, 1)), np.array([10.0]), np.array([4.0])])
    expected = 10 + 2 * (7 - 5) / np.sqrt(2)
    np.testing.assert_allclose(conv(np.reshape([5.0, 7.0], (1, 1, 1, 2))), np.full((1, 1, 1, 1), expected), rtol=1e-6)


def test_scale_and_offset_of_the_weights_do_not_matter():
    conv = layer()
    before = np.array(conv.standardize(conv.kernel))
    conv.kernel.assign(7 * conv.kernel + 5)
    np.testing.assert_allclose(conv.standardize(conv.kernel), before, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "squares"),
    [
        (dict(), 36e-10 / 1e-4),  # N var = 36e-10 is under the floor
        (dict(epsilon=1e-5, floor=0.0), 1e-10 / (1e-10 + 1e-5)),
    ],
)
def test_two_ways_of_not_dividing_by_zero(arguments, squares):
    """Both leave a filter of almost equal weights almost zero: the sum of squares by hand, weights of +-1e-5."""
    conv = layer(**arguments)
    signs = np.where(np.arange(36) % 2, 1e-5, -1e-5).astype("float64").reshape(3, 3, 4, 1)
    filters = np.array(conv.standardize(tf.constant(np.repeat(signs, 6, -1), "float32")))
    np.testing.assert_allclose((filters**2).sum((0, 1, 2)), squares, rtol=1e-4)


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_variance_1_in_variance_1_out(kernel_size):
    """Section 4.2: the activations' means cancel in filters that sum to zero, and their variance of 1 stays."""
    x = RANDOM.normal(size=(4, 16, 16, 256)).astype("float32")
    for activation in ("relu", "gelu", "gelu_tanh", "silu"):
        conv = ScaledStdConv2D(256, kernel_size, kernel_initializer="he_normal")
        y = np.array(conv(GammaActivation(activation)(x)))
        assert y.var((0, 1, 2)).mean() == pytest.approx(1, abs=0.05)
        assert (y.mean((0, 1, 2)) ** 2).mean() < 0.01


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("strides", [1, 2])
def test_equals_a_convolution_with_standardised_filters_in_values_and_gradients(groups, kernel_size, strides):
    x = tf.constant(RANDOM.normal(size=(2, 7, 9, 8)), "float32")
    conv = layer(8, groups=groups, kernel_size=kernel_size, strides=strides, padding="same")
    kernel, results = conv.kernel.value, []

    def reference(x):
        mean, variance = tf.nn.moments(kernel, (0, 1, 2))
        filters = tf.split((kernel - mean) / tf.sqrt(variance * float(np.prod(kernel.shape[:3]))), groups, -1)
        parts = zip(tf.split(x, groups, -1), filters, strict=True)
        return tf.concat([tf.nn.conv2d(x, kernel, strides, "SAME") for x, kernel in parts], -1) + conv.bias.value

    for function in (conv, reference):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
            loss = tf.reduce_sum(y**2)
        results.append([y, *tape.gradient(loss, [x, kernel, conv.bias.value])])
    for mine, other in zip(*results, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_rounds_the_filters_not_the_weights(policy):
    """Weights 1 +- 1e-5 are all 1 in half precision, and nothing would be left of them."""
    conv = layer(policy=policy, floor=0.0)
    conv.kernel.assign(1 + 1e-5 * RANDOM.normal(size=conv.kernel.shape))
    conv.bias.assign(np.zeros(6))
    x = RANDOM.normal(size=(2, 9, 9, 4)).astype("float32")
    expected = tf.nn.conv2d(x, conv.standardize(conv.kernel), 1, "VALID")
    y = conv(x)
    assert y.dtype == conv.compute_dtype and np.std(expected) > 0.5
    np.testing.assert_allclose(tf.cast(y, "float32"), expected, atol=0.05)


@pytest.mark.parametrize(("groups", "kind"), [(1, keras.layers.Conv2D), (2, GroupedConv2D)])
def test_exported_networks_have_plain_convolutions(groups, kind, tmp_path):
    inputs = keras.Input((9, 9, 3))
    first, second = ScaledStdConv2D(8, 3, name="first"), ScaledStdConv2D(6, 3, groups=groups, name="second")
    x = GammaActivation("gelu")(second(GammaActivation()(first(inputs))))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    for variable in model.trainable_variables:
        variable.assign(RANDOM.normal(1, 0.5, variable.shape))
    plain, x = for_inference(model), RANDOM.normal(size=(2, 9, 9, 3)).astype("float32")
    assert type(plain.get_layer("second")) is kind and len(plain.weights) == 4
    expected = np.array(model(x))
    np.testing.assert_allclose(plain(x), expected, atol=1e-5 * np.abs(expected).max())
    folder = savedmodel(model, tmp_path / "served", preprocess=Preprocess())
    for onednn in (True, False):
        answer = ask({folder: 255 * x}, onednn)[folder]
        np.testing.assert_allclose(answer, expected, atol=1e-5 * np.abs(expected).max())

import keras
import numpy as np
import pytest

from kvision.layers import BatchNormalization

X = np.random.default_rng(0).normal(3, 2, (4, 6, 5, 3)).astype("float32")


def moments(layer, x):
    layer(x, training=True)
    return np.array(layer.moving_mean), np.array(layer.moving_variance)


@pytest.mark.parametrize("shape", [(4, 6, 5, 3), (120, 3)], ids=["fused", "plain"])
@pytest.mark.parametrize("unbiased", [True, False])
def test_moving_variance_is_the_unbiased_one(shape, unbiased):
    """Algorithm 2, line 10: m / (m - 1) times the variance of the batch."""
    layer = BatchNormalization(momentum=0.0, unbiased_moving=unbiased)
    mean, variance = moments(layer, X.reshape(shape))
    flat = X.reshape(-1, 3).astype("float64")
    np.testing.assert_allclose(mean, flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, flat.var(0, ddof=int(unbiased)), rtol=1e-5)


@pytest.mark.parametrize("shape", [(4, 6, 5, 3), (120, 3)], ids=["fused", "plain"])
def test_equals_the_formula_in_output_and_gradients(shape):
    """In training and in inference, against float64."""
    import tensorflow as tf

    gamma, beta = np.array([0.5, 1.0, 2.0]), np.array([0.1, -0.2, 0.3])
    layer = BatchNormalization(0.9, 1e-5)
    layer.build(shape)
    statistics = np.array([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]])
    for training in (True, False):
        layer.set_weights([gamma, beta, *statistics])

        def formula(x, gamma, beta, training=training):
            mean, variance = tf.nn.moments(x, list(range(len(shape) - 1))) if training else statistics
            return gamma * (x - mean) / tf.sqrt(variance + 1e-5) + beta

        results = []
        for dtype in ("float32", "float64"):
            x = tf.constant(X.reshape(shape), dtype)
            weights = (
                [layer.gamma.value, layer.beta.value] if dtype == "float32" else [tf.constant(gamma), tf.constant(beta)]
            )
            with tf.GradientTape() as tape:
                tape.watch([x, *weights])
                y = layer(x, training=training) if dtype == "float32" else formula(x, *weights)
                loss = tf.reduce_sum(y**4)  # no cancellation in the sums of its gradients
            results.append([y, *tape.gradient(loss, [x, *weights])])
        for ours, exact in zip(*results, strict=True):
            np.testing.assert_allclose(ours, exact, atol=1e-5 * np.abs(exact).max())


def test_normalizes_to_beta_and_gamma_squared_and_its_gradient_sums_to_zero():
    import tensorflow as tf

    layer = BatchNormalization(epsilon=0.0)
    layer.build(X.shape)
    layer.gamma.assign([0.5, 1.0, 2.0])
    layer.beta.assign([0.1, -0.2, 0.3])
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        loss = tf.reduce_sum(y**3)
    np.testing.assert_allclose(np.mean(y, (0, 1, 2)), layer.beta, atol=1e-5)
    np.testing.assert_allclose(np.var(y, (0, 1, 2)), np.square(layer.gamma), rtol=1e-4)
    gradient = tape.gradient(loss, x)
    np.testing.assert_allclose(np.sum(gradient, (0, 1, 2)), 0, atol=1e-4 * np.abs(gradient).sum())


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_statistics_are_float32_under_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    layer = BatchNormalization(momentum=0.0)
    x = keras.ops.cast(1000 + 2 * X, layer.compute_dtype)
    mean, variance = moments(layer, x)
    expected = np.array(keras.ops.cast(x, "float32"), "float64").reshape(-1, 3)
    np.testing.assert_allclose(mean, expected.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, expected.var(0, ddof=1), rtol=1e-3)


@pytest.mark.parametrize("shape", [X.shape, (-1, 3)], ids=["fused", "plain"])
def test_variables_may_be_bfloat16(shape):
    """Which rounds the statistics to three digits: the mixed policy keeps them in float32."""
    x = X.reshape(shape)
    exact, rounded = BatchNormalization(momentum=0.0), BatchNormalization(momentum=0.0, dtype="bfloat16")
    for training in (True, False):
        expected, y = exact(x, training=training), rounded(x, training=training)
        assert y.dtype == "bfloat16" and rounded.moving_mean.dtype == "bfloat16"
        np.testing.assert_allclose(keras.ops.cast(y, "float32"), expected, atol=0.05)


def test_frozen_layers_keep_their_statistics():
    layer = BatchNormalization(momentum=0.0)
    layer.build(X.shape)
    layer.trainable = False
    mean, variance = moments(layer, X)
    np.testing.assert_array_equal([mean, variance], [np.zeros(3), np.ones(3)])


def test_one_value_per_channel_has_no_variance():
    for shape in [(1, 1, 1, 3), (1, 3)]:
        _, variance = moments(BatchNormalization(momentum=0.0), X[:1, :1, :1].reshape(shape))
        np.testing.assert_array_equal(variance, 0)


def test_synchronized_statistics_are_those_of_the_global_batch():
    """Two replicas on two logical CPU devices, in a process of their own (devices are set up once in a process)."""
    import subprocess
    import sys

    script = """
import numpy as np, tensorflow as tf
cpu, two = tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
import keras, kvision
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
x = np.random.default_rng(0).normal(3, 2, (8, 4, 4, 3)).astype("float32")
with strategy.scope():
    layer = kvision.layers.BatchNormalization(momentum=0.0, synchronized=True)
    layer.build(x.shape)
parts = strategy.experimental_distribute_values_from_function(
    lambda context: tf.constant(np.split(x, 2)[context.replica_id_in_sync_group]))
@tf.function
def step(parts):
    strategy.run(lambda part: layer(part, training=True), args=(parts,))
step(parts)
flat = x.reshape(-1, 3).astype("float64")
np.testing.assert_allclose(layer.moving_mean, flat.mean(0), rtol=1e-5)
np.testing.assert_allclose(layer.moving_variance, flat.var(0, ddof=1), rtol=1e-5)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)


def test_a_mask_is_refused():
    with pytest.raises(ValueError, match="takes no mask"):
        BatchNormalization()(np.ones((2, 5, 3), "float32"), mask=keras.ops.ones((2, 5), "bool"))


@pytest.mark.parametrize("training", [True, False])
def test_float64_is_computed_in_float64(training):
    """TensorFlow's own kernel has no float64."""
    ours, theirs = BatchNormalization(0.9, 1e-5, dtype="float64"), keras.layers.BatchNormalization(dtype="float64")
    theirs.epsilon = 1e-5
    x = X.astype("float64")
    y, expected = ours(x, training=training), theirs(x, training=training)
    assert keras.backend.standardize_dtype(y.dtype) == "float64"
    np.testing.assert_allclose(y, expected, atol=1e-12)

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.evaluation import count_macs
from kvision.layers import Capsule, CapsuleLength, PrimaryCapsules
from kvision.layers.routing import squash

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 6, 4)).astype("float32")


def plain_squash(s):
    n = np.linalg.norm(s, axis=-1, keepdims=True)
    return n**2 / (1 + n**2) * s / n


def plain_predictions(x, kernel):
    """u_{j|i} = W_ij u_i: (B, I, J, D)."""
    return np.array([[[u @ kernel[i, :, j] for j in range(kernel.shape[2])] for i, u in enumerate(one)] for one in x])


def plain_routing(predictions, iterations, bias=0):
    """Procedure 1, line by line; also the coupling coefficients of every iteration."""
    batch, below, above, _ = predictions.shape
    logits, couplings = np.zeros((batch, below, above)), []
    for _ in range(iterations):
        c = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
        v = plain_squash((c[..., None] * predictions).sum(1) + bias)
        logits = logits + (predictions * v[:, None]).sum(3)
        couplings.append(c)
    return v, couplings


def routed(**options):
    layer = Capsule(3, 5, kernel_initializer=keras.initializers.RandomNormal(0.0, 0.5, seed=1), **options)
    layer.build(X.shape)
    return layer


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_squash(dtype):
    direction = np.array([0.0, 0.6, -0.8])
    for length, expected in ((0.5, 0.2), (1, 0.5), (2, 0.8), (10, 0.990099)):
        s = tf.constant([length * direction], dtype)
        v = np.array(squash(s), "float32")[0]
        np.testing.assert_allclose(v, expected * direction, atol=1e-6 if dtype == "float32" else 4e-3)
    zero = tf.zeros((2, 3), dtype)
    with tf.GradientTape() as tape:
        tape.watch(zero)
        v = squash(zero)
    assert v.dtype == dtype
    np.testing.assert_array_equal(np.array([v, tape.gradient(v, zero)], "float32"), 0)


def test_lengths_and_their_gradient_at_zero():
    x = tf.constant([[[3.0, 4.0], [0.0, 0.0]]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        lengths = CapsuleLength()(x)
    np.testing.assert_allclose(lengths, [[5, 0]])
    np.testing.assert_allclose(tape.gradient(lengths, x), [[[0.6, 0.8], [0, 0]]])


@pytest.mark.parametrize("iterations", [1, 2, 3, 5])
@pytest.mark.parametrize("use_bias", [False, True])
def test_procedure_1(iterations, use_bias):
    layer = routed(iterations=iterations, use_bias=use_bias)
    v, couplings = plain_routing(plain_predictions(X, np.array(layer.kernel)), iterations, 0.1 * use_bias)
    np.testing.assert_allclose(layer(X), v, atol=1e-5)
    for c in couplings:
        np.testing.assert_allclose(c.sum(2), 1)  # over the capsules above
    assert iterations == 1 or np.abs(couplings[-1] - 1 / 3).max() > 0.05


def test_one_iteration_weighs_by_the_capsules_above():
    """s_j = 1 / J sum_i u_{j|i}: no mean over the capsules below."""
    layer = routed(iterations=1)
    sums = plain_predictions(X, np.array(layer.kernel)).sum(1) / 3
    np.testing.assert_allclose(layer(X), plain_squash(sums), atol=1e-5)


@pytest.mark.parametrize(("iterations", "products"), [(1, 1), (2, 3), (3, 5)])
def test_no_work_is_wasted(iterations, products):
    """The first iteration needs no agreement and no couplings, the last adds none to the logits."""
    layer = routed(iterations=iterations)
    graph = tf.function(layer).get_concrete_function(tf.TensorSpec((None, 6, 4))).graph.as_graph_def()
    inner = [node.op for function in graph.library.function for node in function.node_def]
    operations = [node.op for node in graph.node] + inner
    assert sum("MatMul" in operation for operation in operations) == products
    assert operations.count("Softmax") == iterations - 1


def test_capsules_below_have_no_order():
    layer, other = routed(), routed()
    order = RANDOM.permutation(6)
    other.kernel.assign(np.array(layer.kernel)[order])
    np.testing.assert_allclose(other(X[:, order]), layer(X), atol=1e-5)
    assert np.abs(np.array(layer(X[:, order])) - layer(X)).max() > 0.01


def test_equal_predictions_keep_their_direction():
    layer = Capsule(3, 4, iterations=4, kernel_initializer=keras.initializers.Zeros())
    layer.build(X.shape)
    layer.kernel.assign(np.tile(np.eye(4)[None, :, None], (6, 1, 3, 1)))
    x = np.repeat(X[:, :1], 6, axis=1)
    v = np.array(layer(x))
    expected = plain_squash(6 / 3 * X[:, 0])  # couplings stay uniform: all capsules above agree as much
    np.testing.assert_allclose(v, np.repeat(expected[:, None], 3, axis=1), atol=1e-6)


def gradients(layer, x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(layer(x) ** 2 * np.arange(15).reshape(3, 5))
    return [np.array(g) for g in tape.gradient(total, [x, layer.kernel])]


@pytest.mark.parametrize("iterations", [1, 3])
def test_stopped_gradients_are_those_of_fixed_couplings(iterations):
    layer, full = routed(iterations=iterations, stop_gradient=True), routed(iterations=iterations)
    np.testing.assert_array_equal(layer(X), full(X))
    *_, c = plain_routing(plain_predictions(X, np.array(layer.kernel)), iterations)[1]

    class Fixed(keras.layers.Layer):
        kernel = layer.kernel

        def call(self, x):
            predictions = tf.einsum("bip,ipjd->bijd", x, tf.convert_to_tensor(self.kernel))
            return squash(tf.einsum("bij,bijd->bjd", c.astype("float32"), predictions))

    stopped = gradients(layer, X)
    for mine, fixed in zip(stopped, gradients(Fixed(), X), strict=True):
        np.testing.assert_allclose(mine, fixed, atol=1e-4)
    difference = max(np.abs(a - b).max() for a, b in zip(stopped, gradients(full, X), strict=True))
    assert difference < 1e-5 if iterations == 1 else difference > 0.01


def test_the_gradient_through_the_routing_is_that_of_the_value():
    layer = routed()
    g = gradients(layer, X)[0]
    weights = np.arange(15).reshape(3, 5)

    def value(x):
        v, _ = plain_routing(plain_predictions(x, np.array(layer.kernel, "float64")), 3)
        return (v**2 * weights).sum()

    direction = RANDOM.normal(size=X.shape)
    slope = (value(X + 1e-5 * direction) - value(X - 1e-5 * direction)) / 2e-5
    assert (g * direction).sum() == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("iterations", [1, 2, 3, 5])
@pytest.mark.parametrize("use_bias", [False, True])
def test_gradients_are_those_of_procedure_1(iterations, use_bias):
    """By automatic differentiation of its lines, for inputs, weights and bias."""
    layer = routed(iterations=iterations, use_bias=use_bias)
    weights, results = np.arange(15).reshape(3, 5), []
    x = tf.constant(X)

    def plain(x):
        predictions = tf.einsum("bip,ipjd->bijd", x, tf.convert_to_tensor(layer.kernel))
        logits = tf.zeros_like(predictions[..., 0])
        for _ in range(iterations):
            sums = tf.einsum("bij,bijd->bjd", tf.nn.softmax(logits, axis=2), predictions)
            v = squash(sums + tf.convert_to_tensor(layer.bias) if use_bias else sums)
            logits += tf.einsum("bijd,bjd->bij", predictions, v)
        return v

    for form in (layer, plain):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(form(x) ** 2 * weights)
        results.append(tape.gradient(total, [x, *(weight.value for weight in layer.trainable_weights)]))
    assert len(results[0]) == 2 + use_bias
    for mine, automatic in zip(*results, strict=True):
        np.testing.assert_allclose(mine, automatic, atol=1e-5 * np.abs(automatic).max())


def test_the_gradient_of_the_predictions_is_one_product():
    """Not a tensor of their size for each of the five terms, and a sum of those."""
    layer = routed()

    @tf.function
    def step(x):
        return tf.gradients(layer(x), [x, layer.kernel.value])

    graph = step.get_concrete_function(tf.TensorSpec((2, 6, 4))).graph
    large = [node for node in graph.get_operations() if node.outputs and node.outputs[0].shape == (2, 3, 6, 5)]
    assert [node.type for node in large if "MatMul" in node.type or "Add" in node.type] == ["BatchMatMulV2"]


def test_zero_capsules_give_zero_and_finite_gradients():
    layer = routed()
    for g in gradients(layer, np.zeros_like(X)):
        np.testing.assert_array_equal(g, 0)
    np.testing.assert_array_equal(layer(np.zeros_like(X)), 0)


def test_primary_capsules_are_squashed_channels_of_a_convolution():
    layer = PrimaryCapsules(3, 2, kernel_size=3, strides=2)
    image = RANDOM.normal(size=(2, 7, 9, 4)).astype("float32")
    y = np.array(layer(image))
    x = np.array(layer.conv(image))
    assert x.shape == (2, 3, 4, 6) and x.min() < 0 and y.min() < 0  # not rectified
    np.testing.assert_allclose(y.reshape(2, 3, 4, 3, 2), plain_squash(x.reshape(2, 3, 4, 3, 2)), atol=1e-6)


def test_counts_of_section_4():
    inputs = keras.Input((20, 20, 256))
    model = keras.Model(inputs, Capsule(10)(PrimaryCapsules()(inputs)))
    assert model.layers[1].output.shape == (None, 6 * 6 * 32, 8)
    assert [layer.count_params() for layer in model.layers] == [0, 9 * 9 * 256 * 256 + 256, 1152 * 10 * 8 * 16]
    routing = 2 * 2 * 1152 * 160  # two iterations of agreements and sums
    assert count_macs(model) == 36 * 81 * 256 * 256 + 1152 * 8 * 160 + routing


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Capsule(0), "`capsules` is at least 1"),
        (lambda: Capsule(3, 0), "`dimensions` is at least 1"),
        (lambda: Capsule(3, iterations=0), "`iterations` is at least 1"),
        (lambda: PrimaryCapsules(0), "`capsules` is at least 1"),
        (lambda: Capsule(3)(np.zeros((2, 0, 4), "float32")), r"Received: an input of shape \(2, 0, 4\)"),
        (lambda: Capsule(3)(keras.Input((None, 4))), "their number and dimensions are known"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()

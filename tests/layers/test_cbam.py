import keras
import numpy as np
import pytest

from kvision.evaluation import count_macs
from kvision.layers import CBAM, ChannelGate, SpatialGate, SqueezeExcite

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 5, 6, 8)).astype("float32")


def randomized(layer, shape=X.shape):
    layer.build(shape)
    for weight in layer.weights:
        weight.assign(RANDOM.uniform(0.2, 1.5, weight.shape) if "variance" in weight.name else 0.5 * normal(weight))
    return layer


def normal(weight):
    return RANDOM.normal(size=weight.shape)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize("pools", [("avg", "max"), ("avg",), ("max",)])
def test_equation_2_by_hand(pools):
    layer = randomized(ChannelGate(ratio=4, pools=pools))
    w1, b1, w2, b2 = layer.get_weights()
    found = [{"avg": X.mean((1, 2)), "max": X.max((1, 2))}[pool] for pool in pools]
    gate = sigmoid(sum(np.maximum(z @ w1 + b1, 0) @ w2 + b2 for z in found))
    np.testing.assert_allclose(layer(X), X * gate[:, None, None, :], atol=1e-6)


def test_the_means_alone_are_squeeze_and_excitation():
    layer, other = randomized(ChannelGate(ratio=4, pools=("avg",))), SqueezeExcite(ratio=4)
    other.build(X.shape)
    other.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(X), other(X))


@pytest.mark.parametrize("size", [3, 7])
def test_equation_3_by_hand(size):
    layer = randomized(SpatialGate(size))
    values = {weight.path.split("/", 1)[1]: np.array(weight) for weight in layer.weights}
    kernel = values["conv/kernel"]
    half = size // 2
    pooled = np.pad(np.stack([X.mean(-1), X.max(-1)], -1), ((0, 0), (half, half), (half, half), (0, 0)))
    z = np.empty(X.shape[:3])
    for i, j in np.ndindex(*z.shape[1:]):
        z[:, i, j] = (pooled[:, i : i + size, j : j + size] * kernel[..., 0]).sum((1, 2, 3))
    z = (z - values["bn/moving_mean"]) / np.sqrt(values["bn/moving_variance"] + 1e-5)
    z = z * values["bn/gamma"] + values["bn/beta"]
    np.testing.assert_allclose(layer(X), X * sigmoid(z)[..., None], atol=1e-5)


def test_channel_first_then_spatial():
    """Equation 1; and the other order of Table 3, which is another function."""
    layer = randomized(CBAM(ratio=4))
    other = CBAM(ratio=4, spatial_first=True)
    other.build(X.shape)
    other.set_weights(layer.get_weights())
    expected = np.array(layer.spatial(layer.channel(X)))
    np.testing.assert_array_equal(layer(X), expected)
    np.testing.assert_array_equal(other(X), layer.channel(layer.spatial(X)))
    assert np.abs(np.array(other(X)) - expected).max() > 1e-3


@pytest.mark.parametrize("training", [False, True])
def test_the_initial_gate(training):
    """Every pixel is halved, whatever the kernel; with a perceptron of zeros every channel is, too."""
    np.testing.assert_array_equal(SpatialGate()(X, training=training), X / 2)
    layer = CBAM(ratio=4)
    layer.build(X.shape)
    assert np.abs(layer.spatial.conv.kernel).max() > 0
    layer.channel.set_weights([np.zeros_like(weight) for weight in layer.channel.get_weights()])
    np.testing.assert_array_equal(layer(X, training=training), X / 4)


def test_which_channels_and_where():
    """One gate is the same at every pixel, the other in every channel; that one sees 7 x 7 pixels."""
    x = RANDOM.uniform(0.5, 1, (1, 12, 15, 8)).astype("float32")
    channel, spatial = randomized(ChannelGate(ratio=4)), randomized(SpatialGate())
    gates = np.array(channel(x)) / x
    np.testing.assert_allclose(gates, np.broadcast_to(gates[:, :1, :1], gates.shape), rtol=1e-5)
    gates = np.array(spatial(x)) / x
    np.testing.assert_allclose(gates, np.broadcast_to(gates[..., :1], gates.shape), rtol=1e-5)
    other = x.copy()
    other[0, 5, 7] += 1
    changed = np.abs(np.array(spatial(other)) / other - gates).max((0, 3)) > 1e-5
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 8, 4, 10)


def test_training_normalizes_with_the_batch():
    layer = randomized(SpatialGate())
    before = [np.array(weight) for weight in layer.non_trainable_weights]
    layer(X)
    for weight, value in zip(layer.non_trainable_weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    gates = np.array(layer(X, training=True))[..., 0] / X[..., 0]
    logits = np.log(gates / (1 - gates))
    np.testing.assert_allclose(logits.mean(), layer.norm.beta, atol=1e-3)
    np.testing.assert_allclose(logits.std(), abs(layer.norm.gamma[0]), rtol=1e-3)
    pooled = np.stack([X.mean(-1), X.max(-1)], -1)
    moved = 0.99 * before[0] + 0.01 * np.array(layer.conv(pooled)).mean()
    np.testing.assert_allclose(layer.norm.moving_mean, moved, rtol=1e-4)


def test_counts():
    """The two pools share one perceptron, and each passes it; the convolution has 98 weights and no bias."""
    model = keras.Sequential([keras.Input((14, 20, 256)), CBAM(name="gate")])
    weights = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert weights == (2 * 256 * 16 + 16 + 256) + (98 + 2)
    assert count_macs(model) == 2 * (2 * 256 * 16) + 98 * 14 * 20
    assert count_macs(keras.Sequential([keras.Input((4, 3, 32)), ChannelGate(8, ("max",))])) == 2 * 32 * 4
    assert count_macs(keras.Sequential([keras.Input((4, 3, 32)), SpatialGate(3)])) == 18 * 12


@pytest.mark.parametrize(
    ("layer", "arguments", "message"),
    [
        (CBAM, dict(ratio=0), "positive"),
        (CBAM, dict(ratio=16), "leaves nothing of the 8 channels"),
        (CBAM, dict(ratio=4, kernel_size=4), "`kernel_size` is odd"),
        (ChannelGate, dict(pools=()), "at least one"),
        (ChannelGate, dict(pools=("avg", "lp")), "`pools` are of .*'lp'"),
    ],
)
def test_errors(layer, arguments, message):
    with pytest.raises(ValueError, match=message):
        layer(**arguments)(X)

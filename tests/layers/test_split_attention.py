"""The paper's formulas, which number the groups first, against the layer, which numbers the splits first."""

import keras
import numpy as np
import pytest

from kvision.evaluation import count_macs
from kvision.layers import SplitAttention, SqueezeExcite

RANDOM = np.random.default_rng(0)


def built(channels, **arguments):
    layer = SplitAttention(**arguments)
    layer.build((None, None, None, channels))
    for variable in layer.weights:
        variable.assign(RANDOM.uniform(0.5, 1.5, variable.shape) * RANDOM.choice((-1, 1), variable.shape))
    layer.bn1.moving_variance.assign(RANDOM.uniform(0.5, 1.5, layer.bn1.moving_variance.shape))
    return layer


def cardinal_major(U, layer):
    """Section 3.1: V of the cardinal groups, one after another.

    U is the list of all the groups' `(B, H, W, c)` in the paper's order, U_{R(k-1)+r}.
    """
    K, R = layer.cardinality, layer.radix
    w1, b1, w2, b2 = (np.array(v) for v in (*layer.fc1.weights, *layer.fc2.weights))
    gamma, beta, mean, variance = (np.array(v) for v in layer.bn1.weights)
    V = []
    for k in range(K):
        splits = U[R * k : R * (k + 1)]
        s = sum(splits).mean((1, 2))
        hidden = np.split(np.arange(len(b1)), K)[k]
        z = s @ w1[0, 0][:, hidden] + b1[hidden]
        z = gamma[hidden] * (z - mean[hidden]) / np.sqrt(variance[hidden] + 1e-5) + beta[hidden]
        outputs = np.split(np.arange(len(b2)), K)[k]
        scores = np.split(np.maximum(z, 0) @ w2[0, 0][:, outputs] + b2[outputs], R, -1)
        if R == 1:
            weights = [1 / (1 + np.exp(-scores[0]))]
        else:
            largest = np.max(scores, axis=0)
            total = sum(np.exp(score - largest) for score in scores)
            weights = [np.exp(score - largest) / total for score in scores]
        V.append(sum(a[:, None, None] * u for a, u in zip(weights, splits, strict=True)))
    return np.concatenate(V, -1)


@pytest.mark.parametrize(("radix", "cardinality"), [(2, 1), (4, 2), (3, 2), (1, 4), (1, 1)])
def test_section_3s_formulas(radix, cardinality):
    U = [RANDOM.normal(size=(2, 3, 5, 4)).astype("float32") for _ in range(radix * cardinality)]
    layer = built(4 * radix * cardinality, radix=radix, cardinality=cardinality)
    radix_major = [U[radix * k + r] for r in range(radix) for k in range(cardinality)]
    np.testing.assert_allclose(layer(np.concatenate(radix_major, -1)), cardinal_major(U, layer), atol=1e-4)


@pytest.mark.parametrize("radix", [2, 4])
def test_without_scores_the_splits_are_averaged(radix):
    x = RANDOM.normal(size=(2, 3, 5, radix * 4)).astype("float32")
    layer = built(radix * 4, radix=radix, cardinality=2)
    layer.fc2.set_weights([np.zeros_like(weight) for weight in layer.fc2.get_weights()])
    np.testing.assert_allclose(layer(x), sum(np.split(x, radix, -1)) / radix, atol=1e-6)


def test_the_weights_of_the_splits_sum_to_one():
    """Splits that are all alike come out as they are, whatever the weights."""
    split = RANDOM.normal(size=(2, 3, 5, 4)).astype("float32")
    y = built(12, radix=3, cardinality=2)(np.concatenate([split] * 3, -1))
    np.testing.assert_allclose(y, split, atol=1e-6)


def test_one_split_is_a_squeeze_and_excitation():
    x = RANDOM.normal(size=(2, 3, 5, 128)).astype("float32")
    layer, gate = SplitAttention(radix=1), SqueezeExcite(ratio=4)
    layer.build(x.shape)
    gate.build(x.shape)
    w1, b1, w2, b2 = (RANDOM.normal(0, 0.3, weight.shape) for weight in gate.get_weights())
    gate.set_weights([w1, b1, w2, b2])
    layer.fc1.set_weights([w1[None, None], b1])
    layer.bn1.gamma.assign(np.full(32, np.sqrt(1 + 1e-5)))  # undoes epsilon
    layer.fc2.set_weights([w2[None, None], b2])
    np.testing.assert_allclose(layer(x), gate(x), atol=1e-5)


def test_cardinal_groups_know_nothing_of_each_other():
    x = RANDOM.normal(size=(2, 3, 5, 16)).astype("float32")
    layer = built(16, radix=2, cardinality=2)
    before, other = np.array(layer(x)), x.copy()
    other[..., [1, 9]] += 1  # the first group's, in both splits
    after = np.array(layer(other))
    np.testing.assert_array_equal(after[..., 4:], before[..., 4:])
    assert (np.abs(after - before).max((0, 1, 2)) > 1e-3)[:4].any()


def test_training_normalizes_over_the_batch():
    x = RANDOM.normal(size=(4, 3, 5, 8)).astype("float32")
    layer = built(8, radix=2)
    layer.bn1.moving_mean.assign(np.zeros(32))
    w1, b1 = layer.fc1.get_weights()
    layer(x, training=True)
    z = sum(np.split(x.mean((1, 2)), 2, -1)) @ w1[0, 0] + b1
    np.testing.assert_allclose(layer.bn1.moving_mean, 0.1 * z.mean(0), atol=1e-5)


def test_counts():
    """Hidden channels are a quarter of all, but 32 at least; a group's convolutions read that group."""
    for channels, radix, cardinality, hidden in ((256, 2, 1, 64), (320, 4, 2, 80), (64, 1, 1, 32)):
        layer = SplitAttention(radix, cardinality)
        model = keras.Sequential([keras.Input((14, 14, channels)), layer])
        macs = (channels // radix * hidden + hidden * channels) // cardinality
        assert layer.fc1.filters == hidden and count_macs(model) == macs
        assert sum(np.prod(v.shape) for v in model.trainable_variables) == macs + hidden + channels + 2 * hidden
    assert SplitAttention(ratio=8)(np.zeros((1, 2, 2, 512))).shape == (1, 2, 2, 256)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(radix=0), "at least 1. Received: radix=0"),
        (dict(cardinality=0), "at least 1"),
        (dict(ratio=0), "at least 1"),
        (dict(radix=3), "3 splits of 1 groups need a multiple of 3 channels"),
        (dict(radix=2, cardinality=4), "need a multiple of 8 channels"),
        (dict(radix=4, cardinality=3), "32 hidden channels cannot be divided into 3 groups"),
    ],
)
def test_errors(arguments, message):
    shape = (1, 2, 2, 12) if arguments.get("cardinality") == 3 else (1, 2, 2, 4)
    with pytest.raises(ValueError, match=message):
        SplitAttention(**arguments)(np.zeros(shape))

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.evaluation import count_macs
from kvision.layers import PartiallyConnectedConv2D

X = np.random.default_rng(0).normal(size=(2, 6, 7, 4)).astype("float32")
TABLE = ((0, 2), (1,), (3, 0, 1), (0, 1, 2, 3), (2, 3))


def masked(full, table):
    """The kernel of a full convolution with zeros where the table has no connection."""
    kernel = np.zeros_like(full)
    for output, inputs in enumerate(table):
        kernel[:, :, list(inputs), output] = full[:, :, list(inputs), output]
    return kernel


def listed(full, table):
    """The entries of a full kernel that the table lists, in its order."""
    return np.stack([full[:, :, i, output] for output, inputs in enumerate(table) for i in inputs], axis=-1)


@pytest.mark.parametrize(("strides", "padding"), [(1, "valid"), (2, "same"), ((1, 2), "valid")])
def test_equals_a_masked_full_convolution_in_values_and_gradients(strides, padding):
    x, full = tf.constant(X), np.random.default_rng(1).normal(size=(3, 3, 4, 5)).astype("float32")
    ours = PartiallyConnectedConv2D(TABLE, 3, strides, padding, activation="tanh")
    theirs = keras.layers.Conv2D(5, 3, strides, padding, activation="tanh")
    results = []
    for layer, kernel in ((ours, listed(full, TABLE)), (theirs, masked(full, TABLE))):
        layer.build(X.shape)
        layer.set_weights([kernel, np.linspace(-1, 1, 5)])
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y**2)
        results.append([y, *tape.gradient(loss, [x, layer.kernel.value, layer.bias.value])])
    results[1][2] = listed(results[1][2].numpy(), TABLE)
    for mine, other in zip(*results, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5 * np.abs(other).max())


def test_weights_exist_for_listed_connections_only():
    layer = PartiallyConnectedConv2D(TABLE, (5, 3))
    layer.build((None, None, None, 4))
    assert layer.kernel.shape == (5, 3, 12) and layer.count_params() == 5 * 3 * 12 + 5
    full = np.array(layer.full_kernel())
    np.testing.assert_array_equal(full, masked(full, TABLE))
    np.testing.assert_array_equal(listed(full, TABLE), layer.kernel)


def test_each_map_starts_by_its_own_fan_in():
    table = ((0,), tuple(range(64)))
    layer = PartiallyConnectedConv2D(table, 7, kernel_initializer=keras.initializers.VarianceScaling(1.0, "fan_in"))
    layer.build((None, None, None, 64))
    kernel = np.array(layer.kernel)
    assert np.std(kernel[..., 0]) == pytest.approx(1 / 7, rel=0.3)
    assert np.std(kernel[..., 1:]) == pytest.approx(1 / (7 * 8), rel=0.05)
    assert len(np.unique(kernel)) == kernel.size  # no two connections start alike


def test_costs_its_connections_only():
    inputs = keras.Input((None, None, 4))
    model = keras.Model(inputs, PartiallyConnectedConv2D(TABLE, 3)(inputs))
    assert count_macs(model, (6, 7, 4)) == 4 * 5 * 9 * 12


@pytest.mark.parametrize("table", [(), ((0,), ()), ((0, 0),)])
def test_bad_tables_are_an_error(table):
    with pytest.raises(ValueError, match="at least one input map, none of them twice"):
        PartiallyConnectedConv2D(table, 3)


@pytest.mark.parametrize("table", [((4,),), ((-1,),)])
def test_missing_inputs_are_an_error(table):
    with pytest.raises(ValueError, match="input maps 0 to 3"):
        PartiallyConnectedConv2D(table, 3)(X)

import keras
import numpy as np

from kvision.evaluation import count_macs
from kvision.layers import EuclideanRBF


def test_by_hand():
    layer = EuclideanRBF(2)
    layer.build((None, 3))
    layer.set_weights([np.array([[1.0, -1.0, 1.0], [0.0, 0.0, 0.0]])])
    y = layer(np.array([[1.0, -1.0, 1.0], [2.0, 0.5, -1.0]], "float32"))
    # Of the second: 1 + 2.25 + 4, and 4 + 0.25 + 1.
    np.testing.assert_allclose(y, [[0, 3], [7.25, 5.25]], rtol=1e-6)


def test_frozen_centers_stay():
    centers = np.random.default_rng(0).choice([-1.0, 1.0], (4, 6))
    inputs = keras.Input((6,))
    layer = EuclideanRBF(4, keras.initializers.Constant(centers.tolist()), trainable=False)
    model = keras.Model(inputs, layer(keras.layers.Dense(6)(inputs)))
    model.compile("sgd", "mse")
    x = np.ones((8, 6), "float32")
    model.fit(x, np.zeros((8, 4)), verbose=0)
    assert not layer.trainable_weights
    np.testing.assert_array_equal(layer.centers, centers)
    again = EuclideanRBF.from_config(layer.get_config())
    again.build((None, 6))
    np.testing.assert_array_equal(again.centers, centers)


def test_costs_one_multiply_add_for_each_component():
    inputs = keras.Input((84,))
    assert count_macs(keras.Model(inputs, EuclideanRBF(10)(inputs))) == 840

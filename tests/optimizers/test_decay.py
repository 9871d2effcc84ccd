import keras
import numpy as np
import pytest

from kvision.applications.latent_ode import LatentODE
from kvision.layers import Capsule, EuclideanRBF, PartiallyConnectedConv2D, PReLU
from kvision.layers.flows import PlanarFlow
from kvision.optimizers import decays, spared_from_decay
from tests.applications.test_contract import TINY

LINEAR = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    PartiallyConnectedConv2D,
    Capsule,
)


@pytest.mark.parametrize("tiny", TINY, ids=lambda tiny: tiny.row.name)
def test_the_kernels_of_linear_layers_decay_and_nothing_else(tiny):
    model = tiny()
    kernels = {layer.kernel.path for layer in model._flatten_layers() if isinstance(layer, LINEAR)}
    spared = {variable.path for variable in spared_from_decay(model)}
    assert kernels | spared == {variable.path for variable in model.trainable_variables}
    assert kernels and not kernels & spared
    keras.backend.clear_session()


def names(model):
    return [variable.path for variable in spared_from_decay(model)]


def test_lenet_spares_its_gains_and_biases():
    (tiny,) = (tiny for tiny in TINY if tiny.row.name == "LeNet5")
    biases = ["c1", "s2", "c3", "s4", "c5", "f6"]
    expected = [
        f"{name}/{end}" for name in biases for end in ("coefficient", "bias") if end == "bias" or name[0] == "s"
    ]
    assert names(tiny()) == expected  # the centres of the output are not trained


def test_resnet_spares_normalization_and_the_last_bias():
    (tiny,) = (tiny for tiny in TINY if tiny.row.name == "ResNet20")
    normalizations = [layer for layer in tiny().layers if "gamma" in vars(layer)]
    expected = [f"{layer.name}/{name}" for layer in normalizations for name in ("gamma", "beta")]
    assert names(tiny()) == [*expected, "fc/bias"] and len(expected) == 2 * 7


def test_attention_decays_by_its_four_kernels():
    x = keras.Input((6, 8))
    model = keras.Model(x, keras.layers.MultiHeadAttention(2, 4)(x, x))
    assert [variable.name for variable in model.trainable_variables if decays(variable)] == ["kernel"] * 4
    assert [variable.name for variable in spared_from_decay(model)] == ["bias"] * 4


def test_equations_in_time_decay_by_their_kernels():
    """The recurrent network's two, the posterior's, the dynamics' three, the decoder's two."""
    model = LatentODE((0.0, 0.5, 1.0))
    model.build((None, 3, 2))
    assert sum(map(decays, model.trainable_variables)) == 8 and len(spared_from_decay(model)) == 7


@pytest.mark.parametrize("layer", [EuclideanRBF(3), PReLU(), PlanarFlow(), keras.layers.Embedding(5, 3)])
def test_layers_without_kernels_are_spared(layer):
    shapes = [(None, 4), (None,)] if isinstance(layer, PlanarFlow) else (None, 4)
    layer.build(shapes)
    assert layer.trainable_variables and not any(map(decays, layer.trainable_variables))


def test_an_optimizer_spares_them():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, bias_initializer="ones")])
    kernel = model.layers[0].kernel.numpy()
    sgd = keras.optimizers.SGD(0.1, weight_decay=0.5)
    sgd.exclude_from_weight_decay(var_list=spared_from_decay(model))
    sgd.apply([keras.ops.zeros((2, 1)), keras.ops.zeros(1)], model.trainable_variables)
    np.testing.assert_allclose(model.layers[0].kernel.numpy(), 0.95 * kernel, rtol=1e-6)
    assert model.layers[0].bias.numpy() == 1


def test_decay_beside_the_momentum_is_weaker():
    """With a momentum of 0.5, a gradient of 0.01 * W shrinks W twice as fast as Keras's decay of 0.01."""
    ours, theirs = keras.Variable([1.0]), keras.Variable([1.0])
    beside, inside = keras.optimizers.SGD(1.0, 0.5, weight_decay=0.01), keras.optimizers.SGD(1.0, 0.5)
    for _ in range(50):
        beside.apply([keras.ops.zeros(1)], [ours])
        inside.apply([0.01 * theirs.value], [theirs])
    assert np.log(theirs.numpy()) == pytest.approx(2 * np.log(ours.numpy()), rel=0.02)


def test_a_model_that_is_not_built_is_an_error():
    with pytest.raises(ValueError, match="build it first"):
        spared_from_decay(keras.Sequential([keras.layers.Dense(3)]))

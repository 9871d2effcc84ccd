"""The optimizer that the flags of `kvision train` describe."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.cli.train import loss, optimizer
from kvision.layers import PReLU, TrainableSubsampling
from kvision.losses import MarginLoss, SmoothedCrossentropy


def sgd(decay, model=None):
    schedule = dict(schedule="step", rate=0.1, drops=["0.5"], factor=0.1, warmup=0)
    return optimizer(SimpleNamespace(epochs=2, momentum=0.9, decay=decay, **schedule), 10, model)


def test_nesterov_momentum_by_hand():
    """On x^2 / 2 from 1, with rate 0.1 and momentum 0.9: Keras's variable looks ahead, and is 0.81, then 0.5751."""
    x, descend = keras.Variable(1.0), sgd(decay=0.0)
    for expected in (0.81, 0.5751):
        descend.apply([x.value], [x])
        assert float(x) == pytest.approx(expected, abs=1e-6)


def test_weight_decay_is_for_kernels():
    """Gains, offsets, biases and the slopes of PReLU (He et al., arXiv:1502.01852, section 2.1) keep their values."""
    inputs = keras.Input((3,))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(3, kernel_initializer="ones")(inputs))
    model = keras.Model(inputs, PReLU()(TrainableSubsampling()(keras.layers.Reshape((1, 1, 3))(x))))
    before = [variable.numpy() for variable in model.trainable_variables]
    sgd(0.5, model).apply([np.zeros_like(value) for value in before], model.trainable_variables)
    for variable, value in zip(model.trainable_variables, before, strict=True):
        expected = 0.95 * value if variable.name == "kernel" else value
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-6)


def test_the_loss_is_that_of_the_scores():
    options = SimpleNamespace(smoothing=0.1)
    assert loss(options, applications.ResNet20).get_config() == SmoothedCrossentropy(0.1).get_config()
    with pytest.raises(ValueError, match="has no label smoothing"):
        loss(options, applications.CapsNet)
    assert isinstance(loss(SimpleNamespace(smoothing=0.0), applications.CapsNet), MarginLoss)

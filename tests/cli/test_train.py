"""The optimizer that the flags of `kvision train` describe."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.cli.train import loss, optimizer
from kvision.losses import MarginLoss, SmoothedCrossentropy


def sgd(decay):
    schedule = dict(schedule="step", rate=0.1, drops=["0.5"], factor=0.1, warmup=0)
    return optimizer(SimpleNamespace(epochs=2, momentum=0.9, decay=decay, **schedule), steps=10)


def test_nesterov_momentum_by_hand():
    """On x^2 / 2 from 1, with rate 0.1 and momentum 0.9: Keras's variable looks ahead, and is 0.81, then 0.5751."""
    x, descend = keras.Variable(1.0), sgd(decay=0.0)
    for expected in (0.81, 0.5751):
        descend.apply([x.value], [x])
        assert float(x) == pytest.approx(expected, abs=1e-6)


def test_weight_decay_is_for_kernels():
    """Gains, offsets, biases and the slopes of PReLU (He et al., arXiv:1502.01852, section 2.1) keep their values."""
    variables = [keras.Variable([1.0], name=name) for name in ("kernel", "gamma", "beta", "bias", "alpha")]
    sgd(decay=0.5).apply([np.zeros(1, "float32")] * 5, variables)
    assert [float(variable[0]) for variable in variables] == pytest.approx([0.95, 1, 1, 1, 1])


def test_the_loss_is_that_of_the_scores():
    options = SimpleNamespace(smoothing=0.1)
    assert loss(options, applications.ResNet20).get_config() == SmoothedCrossentropy(0.1).get_config()
    with pytest.raises(ValueError, match="has no label smoothing"):
        loss(options, applications.CapsNet)
    assert isinstance(loss(SimpleNamespace(smoothing=0.0), applications.CapsNet), MarginLoss)

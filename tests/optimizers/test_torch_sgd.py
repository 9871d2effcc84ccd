import itertools

import keras
import numpy as np
import pytest

from kvision.optimizers import AdaptiveGradientClipping, TorchSGD


def positions(optimizer, steps, start=1.0):
    """Of one weight that falls along x^2 / 2, whose gradient is x."""
    x = keras.Variable(start)
    optimizer.build([x])
    found = []
    for _ in range(steps):
        optimizer.apply([keras.ops.convert_to_tensor(x)], [x])
        found.append(float(x.numpy()))
    return found


def by_hand(rates, momentum, nesterov, decay, x=1.0):
    velocity, found = 0.0, []
    for rate in rates:
        gradient = x + decay * x
        velocity = momentum * velocity + gradient
        x -= rate * (gradient + momentum * velocity if nesterov else velocity)
        found.append(x)
    return found


def test_momentum_by_hand():
    assert positions(TorchSGD(0.1), 3) == pytest.approx([0.9, 0.72, 0.486], abs=1e-6)


@pytest.mark.parametrize("nesterov", [False, True])
def test_at_a_constant_rate_without_decay_it_is_that_of_keras(nesterov):
    ours, theirs = TorchSGD(0.1, 0.9, nesterov), keras.optimizers.SGD(0.1, 0.9, nesterov)
    np.testing.assert_allclose(positions(ours, 12), positions(theirs, 12), atol=1e-6)


@pytest.mark.parametrize(
    ("momentum", "nesterov", "decay"), list(itertools.product([0.0, 0.9], [False, True], [None, 0.01, 0.5]))
)
def test_rates_that_drop_and_decay_by_hand(momentum, nesterov, decay):
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([2, 5], [0.1, 0.01, 0.3])  # to and with step 2, 5
    rates = [float(schedule(step)) for step in range(9)]
    assert rates[2:4] == pytest.approx([0.1, 0.01])
    found = positions(TorchSGD(schedule, momentum, nesterov, decay), 9)
    np.testing.assert_allclose(found, by_hand(rates, momentum, nesterov, decay or 0.0), rtol=1e-5)


def test_a_rate_of_zero_stops_at_once():
    """Keras goes on by the steps that its momentum holds."""
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([2], [0.1, 0.0])
    found = positions(TorchSGD(schedule), 6)
    assert found[3:] == [found[2]] * 3
    assert positions(keras.optimizers.SGD(schedule, 0.9), 6)[5] < found[2] - 0.1


def test_decay_adds_up_under_momentum():
    """Without a gradient, W falls by rate * decay / (1 - momentum) a step: ten times as fast as Keras's."""
    falls = {}
    for optimizer in (TorchSGD(1e-4, 0.9, weight_decay=0.1), keras.optimizers.SGD(1e-4, 0.9, weight_decay=0.1)):
        w = keras.Variable(1.0)
        optimizer.build([w])
        for _ in range(200):
            optimizer.apply([keras.ops.zeros(())], [w])
        falls[type(optimizer)] = 1 - float(w.numpy())
    ratio = falls[TorchSGD] / falls[keras.optimizers.SGD]
    assert ratio == pytest.approx(10 * (1 - 0.9 * (1 - 0.9**200) / (0.1 * 200)), rel=0.01)  # the first steps are fewer


def test_what_is_excluded_does_not_decay():
    kernel, gain = keras.Variable(1.0, name="kernel"), keras.Variable(1.0, name="gamma")
    optimizer = TorchSGD(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[gain])
    optimizer.build([kernel, gain])
    optimizer.apply([keras.ops.zeros(()), keras.ops.zeros(())], [kernel, gain])
    assert float(gain.numpy()) == 1 and float(kernel.numpy()) == pytest.approx(0.95)


def test_it_saves_and_clips_and_trains_under_mixed_precision(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2, dtype="float32")(keras.layers.Dense(8)(inputs)))
    optimizer = TorchSGD(keras.optimizers.schedules.CosineDecay(0.05, 100), nesterov=True, weight_decay=1e-4)
    head = model.layers[-1].trainable_variables
    model.compile(AdaptiveGradientClipping(optimizer, 0.5, exclude=head), "mse")
    x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
    losses = model.fit(x, x[:, :2], epochs=8, batch_size=32, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.train_on_batch(x, x[:, :2]), model.train_on_batch(x, x[:, :2]), rtol=1e-4)


def test_bad_momentum():
    with pytest.raises(ValueError, match="momentum"):
        TorchSGD(momentum=2.0)

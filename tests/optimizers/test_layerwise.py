"""Rates by layer: each variable steps as its optimizer would at the rate times the variable's factor."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from kvision import training
from kvision.optimizers import AdaptiveGradientClipping, LayerwiseRates, TorchSGD, Warmup, layerwise_decay

OPTIMIZERS = {
    "SGD": lambda rate: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=0.1),
    "TorchSGD": lambda rate: TorchSGD(rate, nesterov=True, weight_decay=0.1),
    "Adam": lambda rate: keras.optimizers.Adam(rate, global_clipnorm=1.0),
    "AdamW": lambda rate: keras.optimizers.AdamW(rate, weight_decay=0.1),
    "RMSprop": lambda rate: keras.optimizers.RMSprop(rate, momentum=0.5, weight_decay=0.1),
    "Lion": lambda rate: keras.optimizers.Lion(rate, weight_decay=0.1),
    "Muon": lambda rate: keras.optimizers.Muon(rate, weight_decay=0.1),
    "accumulating": lambda rate: keras.optimizers.SGD(rate, weight_decay=0.1, gradient_accumulation_steps=2),
    "averaging": lambda rate: keras.optimizers.AdamW(rate, use_ema=True, ema_overwrite_frequency=2),
    "clipped": lambda rate: AdaptiveGradientClipping(keras.optimizers.AdamW(rate, weight_decay=0.1), 0.1),
}


def weights():
    random = np.random.default_rng(0)
    return [
        keras.Variable(random.normal(size=(3, 2)).astype("float32"), name=path) for path in ("first", "second", "third")
    ]


def descend(optimizer, variables, steps=5, rate=None):
    """Along gradients that are the same for every optimizer."""
    random = np.random.default_rng(1)
    optimizer.build(variables)
    for _ in range(steps):
        gradients = [random.normal(size=(3, 2)).astype("float32") for _ in variables]
        optimizer.apply([keras.ops.convert_to_tensor(gradient) for gradient in gradients], variables)
    return [variable.numpy() for variable in variables]


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("schedule", [float, lambda rate: Warmup(rate, 4)], ids=["constant", "warmup"])
def test_a_factor_is_a_part_of_the_rate(kind, schedule):
    rate = 0.05
    found = descend(
        LayerwiseRates(OPTIMIZERS[kind](schedule(rate)), dict(first=0.25, second=1.0, third=0.0)), weights()
    )
    before = [variable.numpy() for variable in weights()]
    quarter, whole = (descend(OPTIMIZERS[kind](schedule(part * rate)), weights()) for part in (0.25, 1.0))
    np.testing.assert_allclose(found[0], quarter[0], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(found[1], whole[1])
    np.testing.assert_array_equal(found[2], before[2])
    assert np.abs(quarter[0] - before[0]).max() > 1e-3 and np.abs(quarter[0] - whole[0]).max() > 1e-3


def test_by_hand():
    """SGD at 0.1 along gradients of 1, with factors 1, 1/2 and 0, and a decay of 0.5 beside them."""
    variables = [keras.Variable([1.0], name=name) for name in "abc"]
    optimizer = LayerwiseRates(keras.optimizers.SGD(0.1, weight_decay=0.5), dict(a=1, b=0.5, c=0))
    optimizer.apply([keras.ops.ones(1)] * 3, variables)
    assert [float(variable[0]) for variable in variables] == pytest.approx([0.85, 0.925, 1.0], abs=1e-7)


def test_what_does_not_move_gathers_no_momentum():
    variables = weights()
    optimizer = LayerwiseRates(TorchSGD(0.1, weight_decay=0.1), dict(first=1, second=1, third=0))
    descend(optimizer, variables)
    assert [bool(np.any(velocity.numpy())) for velocity in optimizer.inner_optimizer.momentums] == [True, True, False]


def test_clipping_and_rates_go_around_each_other_in_any_order():
    factors, found = dict(first=0.5, second=1, third=0), []
    for around in (
        lambda sgd: AdaptiveGradientClipping(LayerwiseRates(sgd, factors), 0.05, exclude=["second"]),
        lambda sgd: LayerwiseRates(AdaptiveGradientClipping(sgd, 0.05, exclude=["second"]), factors),
    ):
        optimizer = around(keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.1))
        found.append(descend(optimizer, weights()))
        again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
        assert again.get_config() == optimizer.get_config()
    np.testing.assert_array_equal(found[0], found[1])
    with pytest.raises(TypeError, match="in a wrapper of this class. Received: LayerwiseRates"):
        LayerwiseRates(AdaptiveGradientClipping(LayerwiseRates(keras.optimizers.SGD(), {})), {})


def test_excluded_from_decay():
    variables = [keras.Variable([1.0], name=name) for name in ("kernel", "bias")]
    optimizer = LayerwiseRates(keras.optimizers.SGD(0.1, weight_decay=0.5), dict(kernel=0.5, bias=0.5))
    optimizer.exclude_from_weight_decay(var_list=variables[1:])
    optimizer.apply([keras.ops.zeros(1)] * 2, variables)
    assert [float(variable[0]) for variable in variables] == pytest.approx([0.975, 1.0])


def test_scaled_losses():
    variables = [keras.Variable([1.0], name=name) for name in "ab"]
    scaling = keras.optimizers.LossScaleOptimizer(LayerwiseRates(keras.optimizers.SGD(0.1), dict(a=0.5, b=1)))
    scale = float(scaling.scale_loss(1.0))
    scaling.apply([keras.ops.ones(1) * scale] * 2, variables)
    assert [float(variable[0]) for variable in variables] == pytest.approx([0.95, 0.9])
    scaling.apply([keras.ops.ones(1) * np.inf] * 2, variables)
    assert [float(variable[0]) for variable in variables] == pytest.approx([0.95, 0.9])


def network(learning_rate=0.5, **arguments):
    inputs = keras.Input((6, 7, 2))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="stem.conv")(inputs)
    x = keras.layers.Conv2D(4, 3, activation="relu", name="body.conv")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", dtype="float32", name="fc")(x))
    factors = {**layerwise_decay(model, 0.5), "stem.conv/kernel": 0, "stem.conv/bias": 0}
    sgd = keras.optimizers.SGD(learning_rate, momentum=0.9, weight_decay=0.01)
    model.compile(LayerwiseRates(sgd, factors), "sparse_categorical_crossentropy", **arguments)
    return model


def fit(model, epochs=2, **arguments):
    random = np.random.default_rng(0)
    images, labels = random.normal(size=(32, 6, 7, 2)).astype("float32"), random.integers(0, 3, 32)
    return model.fit(images, labels, batch_size=16, epochs=epochs, shuffle=False, verbose=0, **arguments)


def values(model):
    return [variable.numpy() for variable in (*model.variables, *model.optimizer.variables)]


def assert_equal(first, second, **tolerance):
    for one, other in zip(values(first), values(second), strict=True):
        np.testing.assert_allclose(one, other, **tolerance or dict(rtol=0))


def test_layerwise_decay():
    factors = layerwise_decay(network(), 0.5)
    expected = {"stem.conv": 0.25, "body.conv": 0.5, "fc": 1}
    assert factors == {f"{layer}/{leaf}": expected[layer] for layer in expected for leaf in ("kernel", "bias")}
    for decay in (0, 1.5):
        with pytest.raises(ValueError, match="lies in"):
            layerwise_decay(network(), decay)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_training_goes_on_after_saving(policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    model = network(Warmup(0.5, 4))
    before = model.get_weights()
    fit(model)
    moved = [bool(np.any(now != then)) for now, then in zip(model.get_weights(), before, strict=True)]
    assert moved == [False, False, True, True, True, True]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert_equal(model, again)
    fit(model), fit(again)
    assert_equal(model, again)


def test_a_state_is_saved_once(tmp_path):
    """Keras walks into the optimizer inside: the wrapper does not save its variables again."""
    model = network()
    fit(model, epochs=1)
    model.save_weights(tmp_path / "wrapped.weights.h5")
    import h5py

    with h5py.File(tmp_path / "wrapped.weights.h5") as file:
        found = []
        file["optimizer"].visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    assert len(found) == len(model.optimizer.variables) and all("inner_optimizer" in name for name in found)


def test_training_goes_on_after_an_interruption(tmp_path):
    models = [network() for _ in range(3)]
    for model in models:
        model.set_weights(models[0].get_weights())
    fit(models[0], epochs=4)
    fit(models[1], epochs=2, callbacks=[training.Resume(tmp_path)])
    fit(models[2], epochs=4, callbacks=[training.Resume(tmp_path)])
    assert_equal(models[0], models[2])


def test_inside_xla():
    models = []
    for jit in (False, True):
        keras.utils.set_random_seed(0)
        models.append(network(jit_compile=jit))
        fit(models[-1])
    assert_equal(*models, rtol=1e-4, atol=1e-6)


def test_callbacks_set_the_rate():
    model = network(1e-12)
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1.0)
    assert fit(model, epochs=3, callbacks=[plateau]).history["learning_rate"] == pytest.approx([1e-12, 1e-12, 5e-13])


def test_a_copy_with_other_variables_can_be_built():
    """As export folds normalization into convolutions: Keras copies the optimizer, too, and builds it."""

    def with_bias(layer):
        config = layer.get_config()
        return type(layer).from_config({**config, "use_bias": True} if "use_bias" in config else config)

    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2, use_bias=False, name="fc")(inputs))
    model.compile(LayerwiseRates(keras.optimizers.SGD(), layerwise_decay(model, 0.5)), "mse")
    copy = keras.models.clone_model(model, clone_function=with_bias)
    with pytest.raises(ValueError, match=r"none, or several, for: \['fc/bias'\]"):
        copy.train_on_batch(np.ones((1, 4)), np.ones((1, 2)))


@pytest.mark.slow
def test_replicas():
    """Two replicas with gradients 1 and 2: the sum is 3, and decay and step are those of the factor on both."""
    code = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from kvision.optimizers import LayerwiseRates
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    weights = [keras.Variable([1.0], name=name) for name in "abc"]
    optimizer = LayerwiseRates(keras.optimizers.SGD(0.1, weight_decay=0.5), dict(a=1, b=0.5, c=0))
    optimizer.build(weights)
def step():
    first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
    optimizer.apply([tf.where(first, [1.0], [2.0])] * 3, weights)
tf.function(lambda: strategy.run(step))()
for weight, expected in zip(weights, (0.65, 0.825, 1.0)):
    for replica in strategy.experimental_local_results(weight.value):
        assert abs(float(replica.read_value()[0]) - expected) < 1e-6, (weight, expected)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_bad_factors():
    for factor in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite and not negative. Received: {'a'"):
            LayerwiseRates(keras.optimizers.SGD(), {"a": factor, "b": 1.0})
    with pytest.raises(ValueError, match=r"It has none, or several, for: \['second', 'third'\]"):
        descend(LayerwiseRates(keras.optimizers.SGD(), {"first": 1.0}), weights())

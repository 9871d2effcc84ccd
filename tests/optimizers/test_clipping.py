import subprocess
import sys

import keras
import numpy as np
import pytest

from kvision import training
from kvision.optimizers import AdaptiveGradientClipping, Warmup
from kvision.optimizers.clipping import clip_units, unit_axes

KINDS = {  # shape, whether depthwise, which weights make a unit
    "convolution": ((3, 5, 4, 6), False, [np.s_[:, :, :, o] for o in range(6)]),
    "grouped convolution": ((3, 3, 2, 6), False, [np.s_[:, :, :, o] for o in range(6)]),
    "depthwise convolution": ((3, 3, 4, 2), True, [np.s_[:, :, c, m] for c in range(4) for m in range(2)]),
    "dense": ((7, 5), False, [np.s_[:, o] for o in range(5)]),
    "vector": ((6,), False, [np.s_[:]]),
    "vector with more axes": ((1, 1, 6), False, [np.s_[:, :, :]]),
    "scalar": ((), False, [np.s_[...]]),
}


def step(weights, gradients, optimizer=None, **arguments):
    """What a step of SGD with rate 1 subtracts: the clipped gradients."""
    variables = [keras.Variable(w, name=f"v{i}") for i, w in enumerate(weights)]
    clipping = AdaptiveGradientClipping(optimizer or keras.optimizers.SGD(1.0), **arguments)
    clipping.apply([keras.ops.convert_to_tensor(g, "float32") for g in gradients], variables)
    return [np.asarray(w, "float32") - v.numpy() for w, v in zip(weights, variables, strict=True)]


def test_by_hand():
    """Two units of a dense layer, |W| = 5 and 0.1: a hundredth is allowed. |G| = 10 is too much, 0.0005 is not."""
    (clipped,) = step([[[3.0, 0.06], [4.0, 0.08]]], [[[6.0, 0.0003], [8.0, 0.0004]]])
    np.testing.assert_allclose(clipped, [[0.03, 0.0003], [0.04, 0.0004]], rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_unit_is_bounded_by_its_own_weights(kind):
    shape, depthwise, units = KINDS[kind]
    random = np.random.default_rng(0)
    weight, gradient = (random.normal(size=shape).astype("float32") for _ in range(2))
    gradient *= np.exp(np.linspace(-8, 1, (shape or (1,))[-1])).reshape(shape[-1:]).astype("float32")
    expected = np.array(gradient, "float64")
    for unit in units:
        allowed = 0.02 * max(np.sqrt(np.sum(np.square(weight[unit], dtype="float64"))), 1e-3)
        norm = np.sqrt(np.sum(np.square(gradient[unit], dtype="float64")))
        if norm > allowed:
            expected[unit] *= allowed / norm
    axes = unit_axes(shape, depthwise)
    clipped = keras.ops.convert_to_numpy(clip_units(gradient, weight, axes, 0.02))
    np.testing.assert_allclose(clipped, expected, rtol=2e-6)
    same = expected == gradient
    np.testing.assert_array_equal(clipped[same], gradient[same])  # not a bit of them changes
    if len(units) > 2 and not depthwise:
        assert 0 < same.sum() < same.size


def test_weights_that_start_from_zero_can_leave_it():
    (clipped,) = step([[0.0, 0.0]], [[3.0, 4.0]])
    np.testing.assert_allclose(clipped, [0.01 * 1e-3 * 0.6, 0.01 * 1e-3 * 0.8], rtol=1e-5)
    assert step([[0.0]], [[0.0]])[0] == 0


def test_norms_are_float32():
    """300 ones in bfloat16 add up to 256; their norm is allowed to be 0.01 times sqrt(300)."""
    weight, gradient = (keras.ops.ones((300, 1), "bfloat16") for _ in range(2))
    clipped = clip_units(gradient, weight, (0,))
    assert clipped.dtype == "bfloat16" and float(clipped[0, 0]) == pytest.approx(0.01, rel=4e-3)


def test_excluded_variables_are_left_alone():
    clipped, whole = step([[1.0], [1.0]], [[5.0], [5.0]], exclude=["v1"])
    assert clipped == pytest.approx([0.01], rel=1e-4) and whole == pytest.approx([5.0])


def test_units_of_depthwise_kernels():
    """Channel 0 has large weights, channel 1 small ones: as a convolution's, they would be one unit."""
    weight = np.stack([np.full((2, 2, 1), 1.0), np.full((2, 2, 1), 1e-2)], axis=2).astype("float32")
    (clipped,) = step([weight], [np.ones_like(weight)], depthwise=["v0"])
    np.testing.assert_allclose(clipped, 0.01 * weight, rtol=1e-4)


def test_momentum_remembers_clipped_gradients():
    """W = 1, clipping 0.5, momentum 0.9. Step 1: G = 10 becomes 0.5. Step 2: W = 0.5, G = 10 becomes 0.25, and the
    velocity 0.9 * 0.5 + 0.25 = 0.7. Clipped after the momentum, the second step would be 0.25."""
    weight = keras.Variable([1.0])
    clipping = AdaptiveGradientClipping(keras.optimizers.SGD(1.0, momentum=0.9), clipping=0.5)
    for expected in (0.5, -0.2):
        clipping.apply([keras.ops.ones(1) * 10], [weight])
        assert float(weight[0]) == pytest.approx(expected)


def test_the_global_norm_is_bounded_first():
    """(3, 4) of norm 5 becomes (0.6, 0.8); of these, weights 1 and 100 let 0.5 and 50 pass."""
    clipped = step([[1.0], [100.0]], [[3.0], [4.0]], keras.optimizers.SGD(1.0, global_clipnorm=1.0), clipping=0.5)
    assert np.concatenate(clipped) == pytest.approx([0.5, 0.8], rel=1e-4)


def test_weight_decay_is_not_clipped():
    variables = [keras.Variable([1.0], name=name) for name in ("kernel", "bias")]
    clipping = AdaptiveGradientClipping(keras.optimizers.SGD(0.1, weight_decay=0.5))
    clipping.exclude_from_weight_decay(var_list=variables[1:])
    clipping.apply([keras.ops.zeros(1)] * 2, variables)
    assert [float(variable[0]) for variable in variables] == pytest.approx([0.95, 1.0])


def test_accumulated_gradients_are_clipped_as_their_mean():
    """10 and -9.99 have the mean 0.005, which W = 1 lets pass; clipped one by one they would cancel."""
    weight = keras.Variable([1.0])
    clipping = AdaptiveGradientClipping(keras.optimizers.SGD(1.0, gradient_accumulation_steps=2))
    clipping.apply([keras.ops.ones(1) * 10], [weight])
    assert float(weight[0]) == 1 and clipping.iterations == 0
    clipping.apply([keras.ops.ones(1) * -9.99], [weight])
    assert float(weight[0]) == pytest.approx(0.995, abs=1e-6) and clipping.iterations == 1
    clipping.apply([keras.ops.ones(1) * 10], [weight])
    clipping.apply([keras.ops.ones(1) * 10], [weight])
    assert float(weight[0]) == pytest.approx(0.995 * 0.99, abs=1e-6)


@pytest.mark.parametrize("factor", [None, 8.0])
def test_scaled_losses(factor):
    """Gradients are clipped after they are divided by the scale: 0.005 passes, though 2^15 times as much arrives."""
    inner = keras.optimizers.SGD(1.0, loss_scale_factor=factor)
    clipping = AdaptiveGradientClipping(inner)
    assert clipping.scale_loss(1.0) == (factor or 1.0)
    weights = [keras.Variable([1.0]), keras.Variable([1.0])]
    scaling = keras.optimizers.LossScaleOptimizer(clipping)
    assert inner.loss_scale_factor is None  # nothing is scaled twice
    scale = float(scaling.scale_loss(1.0))
    scaling.apply([keras.ops.ones(1) * 0.005 * scale, keras.ops.ones(1) * 3 * scale], weights)
    assert [float(weight[0]) for weight in weights] == pytest.approx([0.995, 0.99], abs=1e-6)
    scaling.apply([keras.ops.ones(1) * np.inf] * 2, weights)
    assert [float(weight[0]) for weight in weights] == pytest.approx([0.995, 0.99], abs=1e-6)


def network(learning_rate=0.5, clipping=0.02, **arguments):
    model = keras.Sequential(
        [
            keras.Input((6, 7, 2)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax", dtype="float32"),
        ]
    )
    sgd = keras.optimizers.SGD(learning_rate, momentum=0.9)
    if clipping:
        sgd = AdaptiveGradientClipping(sgd, clipping, exclude=model.layers[-1].trainable_variables)
    model.compile(sgd, "sparse_categorical_crossentropy", **arguments)
    return model


def images():
    random = np.random.default_rng(0)
    return random.normal(size=(32, 6, 7, 2)).astype("float32"), random.integers(0, 3, 32)


def fit(model, epochs=2, **arguments):
    return model.fit(*images(), batch_size=16, epochs=epochs, shuffle=False, verbose=0, **arguments)


def values(model):
    return [variable.numpy() for variable in (*model.variables, *model.optimizer.variables)]


def assert_equal(first, second, **tolerance):
    for one, other in zip(values(first), values(second), strict=True):
        np.testing.assert_allclose(one, other, **tolerance or dict(rtol=0))


def test_fit_clips():
    """The kernel moves by at most the sum of rate * clipping * |W| * (1 + 0.9 + ...), and further without."""
    distances = []
    for clipping in (1e-4, None):
        keras.utils.set_random_seed(0)
        model = network(clipping=clipping)
        before = model.layers[0].kernel.numpy()
        fit(model)
        distances.append(np.linalg.norm((model.layers[0].kernel - before).numpy()))
    assert 0 < distances[0] < 4 * 10 * 0.5 * 1e-4 * np.linalg.norm(before) < distances[1]


def test_inside_xla():
    models = []
    for jit in (False, True):
        keras.utils.set_random_seed(0)
        models.append(network(jit_compile=jit))
        fit(models[-1])
    assert_equal(*models, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_training_goes_on_after_saving(policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    model = network(Warmup(0.5, 4))
    fit(model)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    clipping = again.optimizer if policy == "float32" else again.optimizer.inner_optimizer
    assert type(clipping) is AdaptiveGradientClipping and clipping.clipping == 0.02
    # Keras gives the variables other paths than before; the layer's name is in both.
    assert [axes is None for axes in clipping._axes] == [False, False, True, True]
    assert_equal(model, again)
    fit(model), fit(again)
    assert_equal(model, again)


def test_training_goes_on_after_an_interruption(tmp_path):
    models = [keras.models.clone_model(network()) for _ in range(3)]
    for model in models:
        model.set_weights(models[0].get_weights())
        sgd = keras.optimizers.SGD(0.5, momentum=0.9)
        model.compile(AdaptiveGradientClipping(sgd, 0.02), "sparse_categorical_crossentropy")
    fit(models[0], epochs=4)
    fit(models[1], epochs=2, callbacks=[training.Resume(tmp_path)])
    fit(models[2], epochs=4, callbacks=[training.Resume(tmp_path)])
    assert_equal(models[0], models[2])


def test_callbacks_set_the_rate():
    model = network(learning_rate=1e-12)
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1.0)
    logs = fit(model, epochs=3, callbacks=[plateau]).history
    assert logs["learning_rate"] == pytest.approx([1e-12, 1e-12, 5e-13], rel=1e-4)
    assert float(model.optimizer.inner_optimizer.learning_rate) == pytest.approx(2.5e-13, rel=1e-4)


def test_survives_serialization():
    clipping = AdaptiveGradientClipping(keras.optimizers.AdamW(), 0.1, ["fc/kernel"], ["conv/kernel"], 1e-2, "mine")
    again = keras.optimizers.deserialize(keras.optimizers.serialize(clipping))
    assert again.get_config() == clipping.get_config() and type(again.inner_optimizer) is keras.optimizers.AdamW
    assert again.exclude == ("fc/kernel",) and again.depthwise == ("conv/kernel",) and again.epsilon == 1e-2


@pytest.mark.parametrize(
    "optimizer",
    [keras.optimizers.Adam, keras.optimizers.Nadam, keras.optimizers.RMSprop, keras.optimizers.Lion],
)
def test_other_optimizers_receive_clipped_gradients(optimizer):
    plain, clipped = (keras.Variable([[1.0, 2.0], [3.0, 4.0]]) for _ in range(2))
    inner, clipping = optimizer(0.1), AdaptiveGradientClipping(optimizer(0.1))
    for _ in range(3):
        gradient = keras.ops.convert_to_tensor([[5.0, 1e-5], [-2.0, 1e-5]])
        inner.apply([clip_units(gradient, plain, (0,))], [plain])
        clipping.apply([gradient], [clipped])
    np.testing.assert_allclose(plain.numpy(), clipped.numpy(), rtol=1e-6)
    assert len(clipping.variables) == len(inner.variables)


@pytest.mark.slow
def test_gradients_of_replicas_are_summed_first():
    """10 and -9.995 on two replicas add up to 0.005, which W = 1 lets pass."""
    code = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from kvision.optimizers import AdaptiveGradientClipping
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    weight = keras.Variable([1.0])
    clipping = AdaptiveGradientClipping(keras.optimizers.SGD(1.0))
    clipping.build([weight])
def step():
    first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
    clipping.apply([tf.where(first, [10.0], [-9.995])], [weight])
tf.function(lambda: strategy.run(step))()
assert abs(float(weight.value.read_value()[0]) - 0.995) < 1e-5, weight
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_bad_arguments(monkeypatch):
    sgd = keras.optimizers.SGD
    for arguments in (dict(clipping=0), dict(epsilon=-1e-3)):
        with pytest.raises(ValueError, match="are positive"):
            AdaptiveGradientClipping(sgd(), **arguments)
    with pytest.raises(ValueError, match="is not built"):
        AdaptiveGradientClipping(sgd(), exclude=keras.layers.Dense(3).trainable_variables)
    with pytest.raises(TypeError, match="goes around this one. Received: LossScaleOptimizer"):
        AdaptiveGradientClipping(keras.optimizers.LossScaleOptimizer(sgd()))
    with pytest.raises(TypeError, match="in a wrapper of this class. Received: AdaptiveGradientClipping"):
        AdaptiveGradientClipping(AdaptiveGradientClipping(sgd()))
    with monkeypatch.context() as patch, pytest.raises(NotImplementedError, match="on torch"):
        patch.setattr(keras.backend, "backend", lambda: "torch")
        AdaptiveGradientClipping(sgd())
    with pytest.raises(ValueError, match="variables that are trained.*Received: 'fc/kernel', which 0 of them"):
        step([[1.0]], [[1.0]], exclude=["fc/kernel"])

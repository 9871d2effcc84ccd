"""Training that breaks says where, and nothing broken is kept."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.classifier import Classifier, TrainingHead
from kvision.layers import BatchNormalization
from kvision.optimizers import AdaptiveGradientClipping
from kvision.training import NonFiniteError, Resume, StopOnNonFinite

STEPS, BATCH = 6, 4


def images():
    """The first pixel of each image is 1, so that `Log` is 0."""
    x = np.random.default_rng(0).normal(size=(STEPS * BATCH, 8, 8, 3)).astype("float32")
    x[:, 0, 0, 0] = 1
    return x


@keras.saving.register_keras_serializable(package="tests")
class Log(keras.layers.Layer):
    """Adds the logarithm of each image's first pixel: zero, if that is 1, or not a number, if negative."""

    def call(self, inputs):
        return inputs + keras.ops.log(inputs[:, :1, :1, :1])


def network(*, first=None, head=None, loss="sparse_categorical_crossentropy", optimizer=None, **arguments):
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 3))
    if first is not None:
        x = first(x)
    x = keras.layers.ReLU(name="relu")(BatchNormalization(name="norm")(keras.layers.Conv2D(4, 3, name="conv")(x)))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    heads = [(x, TrainingHead(head))] if head is not None else ()
    outputs = keras.layers.Dense(3, "softmax", name="fc", dtype="float32")(x)
    model = Classifier(inputs, outputs, name="mine", heads=heads)
    model.compile(optimizer or keras.optimizers.SGD(0.1, momentum=0.9), loss, **arguments)
    return model


def fit(model, x=None, y=None, callbacks=(), epochs=2):
    x = images() if x is None else x
    y = np.arange(len(x)) % 3 if y is None else y
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)
    callbacks = [StopOnNonFinite(), *callbacks]
    return model.fit(batches, epochs=epochs, callbacks=callbacks, shuffle=False, verbose=0)


def negative_in_the_third_batch():
    x = images()
    x[2 * BATCH + 1, 0, 0, 0] = -1
    return x


def test_names_the_batch_and_the_layer_and_updates_nothing():
    model = network(first=Log(name="planted"))
    fit(model, images()[: 2 * BATCH], epochs=1)
    before = [variable.numpy() for variable in (*model.trainable_variables, *model.optimizer.variables)]
    again = network(first=Log(name="planted"))
    with pytest.raises(NonFiniteError) as caught:
        fit(again, negative_in_the_third_batch())
    assert str(caught.value) == (
        "The loss is nan in epoch 1, step 3 (counted from 1). The first output that is not finite is that of the layer "
        "'planted' (Log), in 192 of 768 values, from finite inputs."
    )
    error = caught.value
    assert (error.epoch, error.step, error.layer, error.variable) == (1, 3, "planted", None)
    after = [variable.numpy() for variable in (*again.trainable_variables, *again.optimizer.variables)]
    for ours, expected in zip(after, before, strict=True):
        np.testing.assert_array_equal(ours, expected)


def not_a_number_in_the_second_batch():
    x = images()
    x[BATCH + 3, 5, 5, 1] = np.nan
    return x


def infinite_labels():
    y = np.zeros((STEPS * BATCH, 3), "float32")
    y[4 * BATCH + 2, 1] = np.inf
    return y


@keras.saving.register_keras_serializable(package="tests")
class NoNumber(keras.layers.Layer):
    def call(self, inputs):
        return inputs[:, :3] * np.nan


def logarithm(y, scores):
    """Finite for all scores but 0, which no layer gives here; its gradient is not."""
    return keras.ops.sqrt(keras.ops.relu(scores[:, 0] - 2.0)) + keras.ops.mean(scores)


def nested():
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, Log(name="inner")(keras.layers.ReLU()(inputs)), name="outer")


# what is wrong: the network, its data, and what is found: the step, the layer, the end of a variable's path, a text
CASES = {
    "a pixel": (dict(), dict(x=not_a_number_in_the_second_batch()), 2, None, None, "The images at 3 of the batch"),
    "a label": (
        dict(loss="categorical_crossentropy"),
        dict(y=infinite_labels()),
        5,
        None,
        None,
        "The labels at 2 of the batch",
    ),
    "a layer of a layer": (dict(first=nested()), dict(x=negative_in_the_third_batch()), 3, "inner", None, "inputs"),
    "a training-only head": (dict(head=NoNumber(name="aside")), dict(), 1, "aside", None, "from finite inputs"),
    "a rate that explodes": (
        dict(optimizer=keras.optimizers.SGD(1e38)),
        dict(),
        2,
        "norm",
        None,
        "The first output that is not finite",
    ),
    "a gradient": (dict(loss=logarithm), dict(), 2, "conv", "conv/kernel", "is not finite since an earlier step"),
    "inside XLA": (
        dict(first=Log(name="planted"), jit_compile=True),
        dict(x=negative_in_the_third_batch()),
        3,
        "planted",
        None,
        "from finite inputs",
    ),
    "several steps in one execution": (
        dict(first=Log(name="planted"), steps_per_execution=4),
        dict(x=negative_in_the_third_batch()),
        3,
        "planted",
        None,
        "from finite inputs",
    ),
    "clipped": (
        dict(first=Log(name="planted"), optimizer=AdaptiveGradientClipping(keras.optimizers.SGD(0.1))),
        dict(x=negative_in_the_third_batch()),
        3,
        "planted",
        None,
        "from finite inputs",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_finds(case):
    arguments, found_in, step, layer, variable, text = CASES[case]
    with pytest.raises(NonFiniteError, match=text) as caught:
        fit(network(**arguments), **found_in)
    error = caught.value
    assert (error.epoch, error.step, error.layer) == (1, step, layer)
    assert error.variable == variable or error.variable.endswith(variable)


def test_a_loss_of_finite_outputs():
    """The gradient tells: that of the loss itself comes to all variables."""

    def loss(y, scores):
        return keras.ops.log(keras.ops.cast(y[:, 0], "float32") - 1) * scores[:, 0]

    with pytest.raises(NonFiniteError, match="All outputs are finite. The first gradient that is not") as caught:
        fit(network(loss=loss), y=np.zeros((STEPS * BATCH, 1)))
    assert caught.value.step == 1 and caught.value.variable.endswith("conv/kernel")


def test_float16_scaling_is_left_alone_and_a_loss_is_not():
    keras.config.set_dtype_policy("mixed_float16")
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=2.0**40)
    model = network(optimizer=scaled)
    fit(model, epochs=5)
    assert 0 < int(scaled.iterations) < 5 * STEPS, "the case has no step that is left out, or only such"
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    with pytest.raises(NonFiniteError) as caught:
        fit(network(first=Log(name="planted")), negative_in_the_third_batch())
    assert (caught.value.step, caught.value.layer) == (3, "planted")


def test_resume_keeps_the_last_good_state(tmp_path):
    """The last step of an epoch breaks the weights: no loss has told yet when the epoch is over."""
    model = network(loss=logarithm)
    with pytest.raises(NonFiniteError, match="After epoch 1 .*conv/kernel' is not finite") as caught:
        fit(model, images()[:BATCH], callbacks=[Resume(tmp_path)])
    assert caught.value.step is None and Resume(tmp_path).epochs == 0
    model = network(first=Log(name="planted"))
    x = images()
    fit(model, x, callbacks=[Resume(tmp_path)], epochs=1)
    kept = model.get_weights()
    again = network(first=Log(name="planted"))
    with pytest.raises(NonFiniteError, match="in epoch 2, step 3 "):
        fit(again, negative_in_the_third_batch(), callbacks=[Resume(tmp_path)])
    assert Resume(tmp_path).epochs == 1
    again = network(first=Log(name="planted"))
    fit(again, x, callbacks=[Resume(tmp_path)], epochs=1)
    for ours, expected in zip(again.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_finite_training_is_the_same_and_leaves_no_trace():
    """On batches of which nobody knows how many they are, the last of them smaller."""
    models = [network() for _ in range(2)]
    x, y = images()[:-1], np.arange(STEPS * BATCH - 1) % 3
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH).filter(lambda x, y: True)
    histories = [
        model.fit(batches, epochs=2, shuffle=False, verbose=0, callbacks=callbacks).history
        for model, callbacks in zip(models, ([], [StopOnNonFinite()]), strict=True)
    ]
    assert histories[0] == histories[1]
    for ours, theirs in zip(models[1].get_weights(), models[0].get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    other = models[1]
    assert int(other.optimizer.iterations) == 2 * STEPS
    assert not {"apply", "scale_loss"} & vars(other.optimizer).keys()
    # And a training without the callback goes on as ever.
    other.fit(x * np.nan, y, verbose=0)
    assert not np.isfinite(other.get_layer("conv").kernel).any()


def test_a_training_step_of_ones_own():
    class Mine(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(x, training=True) - y) ** 2)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
            return {"loss": loss}

    inputs = keras.Input((2,))
    model = Mine(inputs, keras.layers.Dense(1, name="fc")(Log(name="planted")(keras.layers.Reshape((1, 1, 2))(inputs))))
    model.compile("sgd", "mse")
    x = np.ones((8, 2), "float32")
    x[5, 0] = -1
    with pytest.raises(NonFiniteError, match="in epoch 1, step 3 .*'planted'"):
        model.fit(x, np.ones((8, 1, 1, 1)), batch_size=2, shuffle=False, verbose=0, callbacks=[StopOnNonFinite()])

"""The averages are those of the definition, in every way to train; what is trained does not know of them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision.classifier import Classifier, Origin, Preprocess, TrainingHead
from kvision.layers import BatchNormalization
from kvision.optimizers import AdaptiveGradientClipping
from kvision.training import WeightAverage

IMAGES = np.random.default_rng(0).normal(size=(24, 8, 8, 3)).astype("float32")
LABELS = np.arange(24) % 3


def network(optimizer=None):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = BatchNormalization(momentum=0.5)(keras.layers.Conv2D(4, 3)(inputs))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    model = Classifier(
        inputs,
        keras.layers.Dense(3, "softmax", name="fc", dtype="float32")(pooled),
        origin=Origin("Mine", preprocess=Preprocess((0.5,), (0.2,))),
        heads=[(pooled, TrainingHead(keras.layers.Dense(3, "softmax", dtype="float32")))],
    )
    model.compile(optimizer or sgd(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def sgd(**arguments):
    return keras.optimizers.SGD(0.1, momentum=0.9, **arguments)


class Watch(keras.callbacks.Callback):
    """Notes all weights before training and after every step that updates them."""

    def on_train_begin(self, logs=None):
        self.values = [self.model.get_weights()]

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == len(self.values):
            self.values.append(self.model.get_weights())


def fit(model, *callbacks, epochs=2, **arguments):
    return model.fit(
        IMAGES, LABELS, batch_size=8, epochs=epochs, callbacks=[*callbacks], shuffle=False, verbose=0, **arguments
    )


def definition(values, decays):
    average = values[0]
    for now, decay in zip(values[1:], decays, strict=True):
        average = [decay * a + (1 - decay) * v for a, v in zip(average, now, strict=True)]
    return average


def assert_equal(one, other, **tolerance):
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(ours, theirs, **tolerance or dict(rtol=0))


WAYS = {
    "plain": (sgd, "float32", 6),
    "bfloat16": (sgd, "mixed_bfloat16", 6),
    "float16, whose first scale is too large": (
        lambda: keras.optimizers.LossScaleOptimizer(sgd(), initial_scale=2.0**40),
        "mixed_float16",
        None,
    ),
    "clipped": (lambda: AdaptiveGradientClipping(sgd(), 0.1), "float32", 6),
    "accumulated": (lambda: sgd(gradient_accumulation_steps=2), "float32", 3),
    "clipped, accumulated, float16": (
        lambda: keras.optimizers.LossScaleOptimizer(
            AdaptiveGradientClipping(sgd(gradient_accumulation_steps=2), 0.1), initial_scale=1.0
        ),
        "mixed_float16",
        3,
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_averages_what_each_update_leaves(way):
    """Trainable weights, those of training-only heads too, and moving statistics: here these are all."""
    optimizer, policy, updates = WAYS[way]
    keras.config.set_dtype_policy(policy)
    average, watch = WeightAverage(0.7), Watch()
    epochs = 2 if updates else 12
    model = network(optimizer())
    fit(model, average, watch, epochs=epochs)
    count = len(watch.values) - 1
    assert count == updates if updates else 0 < count < 36
    expected = definition(watch.values, [0.7] * count)
    assert_equal(average.averaged_model().get_weights(), expected, rtol=1e-5, atol=1e-6)
    assert any(np.abs(a - v).max() > 1e-3 for a, v in zip(expected, model.get_weights(), strict=True))


def test_warmup_forgets_the_first_weights_sooner():
    average, watch = WeightAverage(0.3, warmup=True), Watch()
    fit(network(), average, watch)
    expected = definition(watch.values, [1 / 10, 2 / 11, 3 / 12, 0.3, 0.3, 0.3])
    assert_equal(average.averaged_model().get_weights(), expected, rtol=1e-5, atol=1e-6)


def test_frozen_weights_are_as_they_are():
    model, average = network(), WeightAverage(0.7)
    frozen = model.get_layer("fc")
    frozen.trainable = False
    model.compile(sgd(), "sparse_categorical_crossentropy")
    fit(model, average)
    assert all(weight is not frozen.kernel for weight, _ in average._pairs)
    assert_equal(average.averaged_model().get_layer("fc").get_weights(), frozen.get_weights())
    frozen.trainable = True  # from here on it is averaged, and the others go on
    before = average.averaged_model().get_weights()
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    watch = Watch()
    fit(model, average, watch, epochs=1)
    expected = definition([before, *watch.values[1:]], [0.7] * 3)
    assert_equal(average.averaged_model().get_weights(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("length", ["known", "not known"])
def test_training_is_the_same_and_the_averages_are_validated_beside_it(length):
    one, other, average = network(), network(), WeightAverage(0.5)
    validation = tf.data.Dataset.from_tensor_slices((IMAGES[:9], LABELS[:9])).batch(4)
    if length == "not known":
        validation = validation.filter(lambda x, y: True)
    plain = fit(one, validation_data=validation).history
    logs = fit(other, average, validation_data=validation).history
    assert_equal(one.get_weights(), other.get_weights())
    assert {name: logs[name] for name in plain} == plain
    assert logs.keys() - plain.keys() == {"val_loss_average", "val_accuracy_average"}
    assert logs["val_loss_average"] != logs["val_loss"]
    copy = average.averaged_model()
    copy.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = copy.evaluate(validation, verbose=0)
    assert (logs["val_loss_average"][-1], logs["val_accuracy_average"][-1]) == (loss, accuracy)


def test_epochs_without_validation_have_none():
    logs = fit(network(), WeightAverage(0.5), epochs=4, validation_data=(IMAGES, LABELS), validation_freq=2).history
    assert [len(logs[name]) for name in ("loss", "val_loss", "val_loss_average")] == [4, 2, 2]


def test_applied_for_a_while():
    model, average = network(), WeightAverage(0.5)
    fit(model, average)
    own, averaged = model.get_weights(), average.averaged_model().get_weights()
    with pytest.raises(RuntimeError, match="of the caller's"), average.applied() as same:
        assert same is model
        assert_equal(model.get_weights(), averaged)
        raise RuntimeError("of the caller's")
    assert_equal(model.get_weights(), own)
    assert_equal(average.averaged_model().get_weights(), averaged)


def test_half_precision_weights_have_averages_of_more():
    keras.config.set_dtype_policy("bfloat16")
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")])
    model.compile(sgd(), "sparse_categorical_crossentropy")
    average = WeightAverage(0.999)
    fit(model, average)
    assert {a.dtype for _, a in average._pairs} == {"float32"}
    own = model.get_weights()
    with average.applied():
        pass
    assert_equal([np.asarray(v, "float32") for v in model.get_weights()], [np.asarray(v, "float32") for v in own])


def test_the_copy_has_origin_and_heads():
    model, average = network(), WeightAverage(0.9)
    fit(model, average)
    copy = average.averaged_model()
    assert copy.origin == model.origin and len(copy.heads) == 1
    averages = {id(weight): a.numpy() for weight, a in average._pairs}
    assert_equal(copy.get_weights(), [averages[id(weight)] for weight in model.weights])


def test_refuses():
    for decay in (-0.1, 1.0, 1.5):
        with pytest.raises(ValueError, match=r"in \[0, 1\)"):
            WeightAverage(decay)
    with pytest.raises(ValueError, match="no averages before"):
        WeightAverage(0.9).averaged_model()
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="do not exist yet"):
        fit(model, WeightAverage(0.9))
    model = network()
    model.compile("sgd", "sparse_categorical_crossentropy", steps_per_execution=2)
    with pytest.raises(ValueError, match="steps_per_execution=1. Received: 2"):
        fit(model, WeightAverage(0.9))

"""More and more layers train, from the top down; what is frozen keeps every bit."""

import keras
import numpy as np
import pytest

from kvision.optimizers import AdaptiveGradientClipping, LayerwiseRates, TorchSGD, layer_groups, layerwise_decay
from kvision.training import Resume, Unfreeze
from tests.training.tiny import tiny

random = np.random.default_rng(0)
IMAGES, LABELS = random.normal(size=(16, 8, 8, 3)).astype("float32"), random.integers(0, 2, 16)


def network(optimizer=None):
    model = tiny()
    model.compile(optimizer or TorchSGD(0.1, weight_decay=0.01), "sparse_categorical_crossentropy")
    return model


def fit(model, unfreeze, epochs, *callbacks):
    callbacks = [*callbacks, *([unfreeze] if unfreeze else [])]
    return model.fit(IMAGES, LABELS, batch_size=8, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)


class Moved(keras.callbacks.Callback):
    """By epoch, how many groups from the top have a weight or a moving statistic that has changed; all or none may."""

    def __init__(self):
        self.epochs = []

    def on_train_begin(self, logs=None):
        self.values = self.model.get_weights()

    def on_epoch_end(self, epoch, logs=None):
        now = self.model.get_weights()
        changed = {w.path: bool(np.any(a != b)) for w, a, b in zip(self.model.weights, now, self.values, strict=True)}
        by_group = [{changed[w.path] for layer in group for w in layer.weights} for group in layer_groups(self.model)]
        assert all(len(group) == 1 for group in by_group)
        by_group = [group.pop() for group in by_group]
        assert by_group == sorted(by_group)
        self.epochs.append(sum(by_group))
        self.values = now


def test_groups_train_from_the_top_down():
    model, moved = network(), Moved()
    fit(model, Unfreeze({1: 2, 3: None}), 4, moved)
    assert moved.epochs == [1, 2, 2, 3]
    assert all(layer.trainable for layer in model.layers)
    fit(model, None, 1, moved := Moved())
    assert moved.epochs == [3]


def test_everything_trains_again_after_it():
    model = network()
    fit(model, Unfreeze({}), 1, first := Moved())
    fit(model, None, 1, second := Moved())
    assert (first.epochs, second.epochs) == ([1], [3])


def resumable(directory, epochs, first=True):
    keras.utils.set_random_seed(0)
    model = network(keras.optimizers.AdamW(0.01))
    callbacks = [Resume(directory), Unfreeze({1: 2, 3: 3})]
    fit(model, None, epochs, *(callbacks if first else callbacks[::-1]))
    return [variable.numpy() for variable in (*model.variables, *model.optimizer.variables)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return resumable(tmp_path_factory.mktemp("whole"), 4)


@pytest.mark.parametrize(("epochs", "first"), [(1, True), (2, False), (3, True)])
def test_goes_on_in_any_epoch(tmp_path, whole, epochs, first):
    """Whichever of the two callbacks comes first."""
    resumable(tmp_path, epochs, first)
    for one, other in zip(resumable(tmp_path, 4, first), whole, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_with_wrappers_averages_accumulation_and_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    model, moved = network(), Moved()
    adam = keras.optimizers.AdamW(0.01, weight_decay=0.01, use_ema=True, gradient_accumulation_steps=2)
    optimizer = LayerwiseRates(AdaptiveGradientClipping(adam, 0.1), layerwise_decay(model, 0.7))
    model.compile(optimizer, "sparse_categorical_crossentropy")
    fit(model, Unfreeze({1: 2}), 2, moved)
    assert moved.epochs == [1, 2]


def test_bad_arguments():
    for groups in ({-1: 2}, {0: 0}):
        with pytest.raises(ValueError, match="epochs from 0 and at least 1 group"):
            Unfreeze(groups)
    with pytest.raises(ValueError, match="has 3 groups of layers. Received: {0: 1, 1: 4}"):
        fit(network(), Unfreeze({1: 4}), 1)
    model = network()
    model.get_layer("stem.conv").trainable = False
    model.optimizer.build(model.trainable_variables)
    with pytest.raises(ValueError, match="built while layers were frozen"):
        fit(model, Unfreeze({}), 1)

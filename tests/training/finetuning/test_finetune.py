"""From a pretrained network to a classifier of other images: the head first, then everything."""

import keras
import numpy as np
import pytest

from kvision import data
from kvision.classifier import Origin, Preprocess
from kvision.losses import SmoothedCrossentropy
from kvision.optimizers import AdaptiveGradientClipping
from kvision.training import Resume, Unfreeze, finetune
from tests.training.tiny import tiny

LABELS = np.arange(24) % 3
NOISE = np.random.default_rng(0).integers(0, 60, (24, 8, 8, 3))
IMAGES = (NOISE + 70 * LABELS[:, None, None, None]).astype("uint8")
TRAIN = data.load((IMAGES, LABELS), class_names=["dark", "grey", "light"], validation=0, test=0)
KNOWN = Preprocess((0.4,), (0.3,), size=(8, 8))
BRIEF = dict(head_epochs=2, epochs=2, batch_size=12, verbose=0)


def pretrained(preprocess=KNOWN, **arguments):
    return tiny(5, preprocess=preprocess, **arguments)


def weights(model):
    return {variable.path: variable.numpy() for variable in model.weights}


def changed(before, after):
    """The layers of which a weight or moving statistic has changed."""
    return {path.split("/")[-2] for path, value in after.items() if np.any(value != before[path])}


def test_the_head_alone_then_everything():
    model = pretrained()
    before = weights(model)
    head, history = finetune(model, TRAIN, TRAIN, **{**BRIEF, "epochs": 0})
    assert head.output_shape == (None, 3) and head.origin == model.origin
    before["fc/kernel"] = before["fc/bias"] = np.nan
    assert changed(before, weights(head)) == {"fc"}  # to the last bit, moving statistics too
    assert all(layer.trainable for layer in head.layers)
    assert {name: len(values) for name, values in history.items()} == {
        "loss": 2, "accuracy": 2, "val_loss": 2, "val_accuracy": 2
    }  # fmt: skip
    before = weights(head)
    tuned, history = finetune(head, TRAIN, keep_head=True, **{**BRIEF, "head_epochs": 0, "epochs": 8})
    assert changed(before, weights(tuned)) == {"stem.conv", "stem.bn", "body.conv", "body.bn", "fc"}
    assert len(history["loss"]) == 8 and history["loss"][-1] < history["loss"][0]


class Killed(Exception):
    pass


def resumable(directory):
    return finetune(pretrained(), TRAIN, augment=[data.RandomFlip()], run=directory, **BRIEF)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    keras.utils.set_random_seed(0)
    return resumable(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_goes_on_where_it_was_and_ends_the_same(tmp_path, monkeypatch, whole, epochs):
    """Interrupted after an epoch of the head, between the phases, and after an epoch of everything."""
    save, saved = Resume.on_epoch_end, []

    def save_and_die(self, epoch, logs=None):
        save(self, epoch, logs)
        saved.append(epoch)
        if len(saved) == epochs:
            raise Killed

    keras.utils.set_random_seed(0)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Resume, "on_epoch_end", save_and_die)
        resumable(tmp_path)
    keras.utils.set_random_seed(1)  # what the network starts from is in the state
    resumed = resumable(tmp_path)
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert resumed.history.keys() == whole.history.keys()
    np.testing.assert_allclose(resumed.history["loss"], whole.history["loss"], atol=1e-5)


def test_what_is_done_is_not_done_again(tmp_path, monkeypatch):
    first = finetune(pretrained(), TRAIN, run=tmp_path, **{**BRIEF, "epochs": 0})
    monkeypatch.setattr(Resume, "on_epoch_end", None)
    again = finetune(pretrained(), TRAIN, run=tmp_path, **{**BRIEF, "epochs": 0})
    assert again.history == first.history
    for one, other in zip(first.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_seed_one_result():
    found = []
    for seed in (1, 1, 2):
        model = pretrained()
        model.set_weights([np.full(value.shape, 0.1) for value in model.get_weights()])
        found.append(finetune(model, TRAIN, seed=seed, **{**BRIEF, "epochs": 0}).model.get_weights())
    for one, same in zip(found[0], found[1], strict=True):
        np.testing.assert_array_equal(one, same)
    assert np.any(found[0][-2] != found[2][-2])


def test_the_rates(monkeypatch):
    """The head's falls from its start, that of everything climbs first; layers below the head take a part of it."""
    rates = []

    def optimizer(schedule):
        rates.append([float(schedule(step)) for step in range(5)])
        return keras.optimizers.SGD(schedule, weight_decay=1e-4)

    arguments = dict(head_rate=0.2, rate=0.04, warmup=0.5, layer_decay=0.5, optimizer=optimizer)
    model, _ = finetune(pretrained(), TRAIN, **BRIEF, **arguments)
    cosine = (1 + np.cos(np.pi * np.arange(5) / 4)) / 2
    np.testing.assert_allclose(rates[0], 0.2 * cosine, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(rates[1], 0.04 * cosine * [0, 1, 1, 1, 1], rtol=1e-5, atol=1e-8)
    factors = model.optimizer.factors
    assert (factors["stem.bn/gamma"], factors["body.conv/kernel"], factors["fc/bias"]) == (0.25, 0.5, 1)
    spared = [model.optimizer.inner_optimizer._use_weight_decay(v.value) for v in model.trainable_variables]
    assert spared == [v.name == "kernel" for v in model.trainable_variables]


def test_with_other_optimizers_unfreezing_and_mixed_precision(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model, history = finetune(
        pretrained(),
        TRAIN,
        optimizer=lambda rate: AdaptiveGradientClipping(keras.optimizers.AdamW(rate), 0.1),
        layer_decay=0.8,
        loss=SmoothedCrossentropy(0.1),
        augment=[data.Mixup(classes=3)],
        callbacks=[Unfreeze({1: None})],
        **BRIEF,
    )
    assert len(history["loss"]) == 4 and np.isfinite(history["loss"]).all()
    model.save(tmp_path / "tuned.keras")
    again = keras.models.load_model(tmp_path / "tuned.keras")
    np.testing.assert_array_equal(again.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))


def test_images_of_another_size_and_logits():
    """They come to the size of the network, or to that of its checkpoint, and it gives logits as before."""
    for size in (10, None):
        model, history = finetune(
            pretrained(KNOWN if size else Preprocess(size=(12, 12)), size=size, activation=None),
            TRAIN,
            TRAIN,
            keep_head=False,
            **{**BRIEF, "epochs": 0, "head_epochs": 1},
        )
        assert model.loss.from_logits and np.isfinite(history["val_loss"]).all()


def test_without_a_preprocessing_that_of_the_images_is_measured():
    model, _ = finetune(pretrained(None), TRAIN, **{**BRIEF, "epochs": 0, "head_epochs": 1})
    mean, std = data.pixel_statistics(TRAIN)
    assert model.origin == Origin("Tiny", preprocess=Preprocess(mean, std, size=(8, 8)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(epochs=-1), "Epochs and `warmup` are not negative, rates are positive. Received: .*epochs=-1"),
        (dict(head_rate=0.0), "rates are positive"),
        (dict(layer_decay=2.0, head_epochs=0), "`decay` lies in"),
        (dict(keep_head=True), "'tiny' has a head for 5 classes, not for 3"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        finetune(pretrained(), TRAIN, **{**BRIEF, **arguments})


def test_images_with_other_channels():
    grey = data.load((IMAGES[..., :1], LABELS), validation=0, test=0)
    with pytest.raises(ValueError, match="'tiny' takes images of 3 channels. Received: images of 1 channels"):
        finetune(pretrained(), grey, **BRIEF)

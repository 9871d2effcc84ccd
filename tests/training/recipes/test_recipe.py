"""What a recipe tells Keras, and what becomes of it with another batch, another data set and another length."""

import dataclasses

import keras
import numpy as np
import pytest

from kvision import losses, optimizers, training
from kvision.training import SGD, Adam, Cosine, Layer, Layers, Plateau, Recipe, RMSprop, Steps
from kvision.training.recipes.optimization import all_but_normalization, everything, kernels

RECIPE = Recipe(
    name="Tried",
    month="2020-01",
    source="nobody",
    images=1000,
    batch=10,
    epochs=90,
    rate=0.1,
    schedule=Steps(at=(30, 60, 80)),
    decay=1e-4,
)
X = np.random.default_rng(0).normal(size=(16, 6, 6, 3)).astype("float32")
Y = np.arange(16) % 4


def network(activation="softmax"):
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.PReLU(shared_axes=[1, 2], name="slope"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, activation, name="fc"),
        ]
    )


def rates(recipe, *epochs):
    return [recipe.rate_at(epoch) for epoch in epochs]


def changed(**changes):
    return dataclasses.replace(RECIPE, **changes)


def test_with_nothing_else_it_is_the_papers_own():
    model = network()
    assert RECIPE.compile(model) is RECIPE
    optimizer = model.optimizer
    assert type(optimizer) is optimizers.TorchSGD and not optimizer.nesterov
    assert (optimizer.momentum, optimizer.weight_decay, optimizer.global_clipnorm) == (0.9, 1e-4, None)
    found = [float(optimizer._learning_rate(step)) for step in (0, 2999, 3000, 5999, 6000, 7999, 8000, 8999)]
    assert found == pytest.approx([0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3, 1e-4, 1e-4], rel=1e-5)
    assert isinstance(model.loss, losses.SmoothedCrossentropy) and model.loss.label_smoothing == 0
    assert RECIPE.callbacks(model) == [] and RECIPE.steps == 9000 and RECIPE.steps_per_epoch == 100


def test_recipes_compare_by_value():
    again = changed(augment=Layers(Layer(keras.layers.RandomFlip)), schedule=Steps(at=[30, 60, 80]))
    assert again != RECIPE and dataclasses.replace(again, augment=RECIPE.augment) == RECIPE
    assert hash(again) == hash(changed(augment=Layers(Layer(keras.layers.RandomFlip))))
    assert changed(optimizer=SGD(nesterov=True)) == changed(optimizer=SGD(True)) != RECIPE


def test_linear_scaling_with_gradual_warmup():
    """Goyal et al.: from the recipe's rate to k times it over 5 epochs, linear in the steps; drops stay."""
    recipe = RECIPE.adapted(batch=320)
    assert (recipe.batch, recipe.rate, recipe.warmup, recipe.start) == (320, pytest.approx(3.2), 5, 0.1)
    schedule, steps = recipe.learning_rate(), 16  # round(5 * 1000 / 320)
    climb = [float(schedule(step)) for step in range(steps + 1)]
    np.testing.assert_allclose(climb, np.linspace(0.1, 3.2, steps + 1), rtol=1e-5)
    assert rates(recipe, 5, 29.9, 30.1, 60.1, 80.1) == pytest.approx([3.2, 3.2, 0.32, 0.032, 0.0032], rel=1e-4)
    assert RECIPE.adapted(batch=40, workers=8) == recipe
    assert RECIPE.adapted(workers=8) == RECIPE  # who share its batch
    assert recipe.decay == RECIPE.decay  # which is not scaled


def test_imagenet_in_one_hour():
    """256 images: 0.1; 8,192: 3.2. The row of the paper is what its rule makes of the row for 256."""
    row = training.get_recipe("LargeMinibatch")
    base = dataclasses.replace(row, batch=256, rate=0.1, warmup=0, start=0)
    assert base.adapted(batch=8192) == row
    assert row.adapted(batch=4096).rate == pytest.approx(1.6) and row.adapted(batch=4096).start == 0.1
    assert rates(row.adapted(batch=256), 0, 3, 5, 29) == pytest.approx([0.1] * 4)
    assert row.rate_at(5) == pytest.approx(3.2) and row.rate_at(0) == pytest.approx(0.1)
    climb = [row.rate_at(epoch) for epoch in np.linspace(0, 5, 40)]
    assert (np.diff(climb) > 0).all()


def test_smaller_batches_have_smaller_rates():
    recipe = RECIPE.adapted(batch=5)
    assert recipe == changed(batch=5, rate=0.05)
    assert changed(warmup=2, start=0.08).adapted(batch=5).start == pytest.approx(0.05)


def test_a_warmup_of_the_recipe_stays():
    recipe = changed(warmup=2, schedule=Cosine()).adapted(batch=100)
    assert recipe.warmup == 2 and rates(recipe, 0, 1, 2, 46, 90) == pytest.approx([0, 0.5, 1, 0.5, 0], abs=1e-6)


def test_a_short_recipe_warms_up_for_half_of_it():
    recipe = changed(epochs=4, schedule=Cosine()).adapted(batch=100)
    assert recipe.warmup == 2 and rates(recipe, 0, 2, 4) == pytest.approx([0.1, 1.0, 0.0], abs=1e-6)


def test_other_epochs_stretch_it():
    recipe = changed(warmup=3).adapted(epochs=30)
    assert (
        recipe.epochs == 30
        and recipe.warmup == pytest.approx(1)
        and recipe.schedule.at == pytest.approx((10, 20, 80 / 3))
    )
    assert rates(recipe, 0, 0.5, 1, 9.9, 10, 20, 26.7) == pytest.approx([0, 0.05, 0.1, 0.1, 0.01, 1e-3, 1e-4], rel=1e-4)
    assert RECIPE.adapted(epochs=90) == RECIPE
    both = RECIPE.adapted(epochs=30, batch=20)
    assert both.warmup == pytest.approx(5 / 3) and both.start == 0.1 and both.rate_at(5 / 3) == pytest.approx(0.2)


def test_another_data_set_has_other_steps():
    recipe = RECIPE.adapted(steps_per_epoch=7, batch=20)
    assert recipe.images == 140 and recipe.steps == 630 and recipe.steps_per_epoch == 7
    model = network()
    assert RECIPE.compile(model, steps_per_epoch=7, batch=20) == recipe
    assert float(model.optimizer._learning_rate(209)) == pytest.approx(0.2)
    assert float(model.optimizer._learning_rate(210)) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("decayed", "spared"),
    [
        (everything, []),
        (all_but_normalization, ["gamma", "beta"]),
        (kernels, ["bias", "gamma", "beta", "alpha", "bias"]),
    ],
)
def test_what_decays(decayed, spared):
    model = network()
    optimizer = changed(decayed=decayed).optimizer_for(model)
    optimizer.build(model.trainable_variables)
    found = [variable.name for variable in model.trainable_variables if not optimizer._use_weight_decay(variable)]
    assert found == spared
    assert changed(decay=0).optimizer_for(model).weight_decay is None


OPTIMIZERS = {
    "nesterov": changed(optimizer=SGD(nesterov=True), decayed=kernels, warmup=1),
    "rmsprop": changed(optimizer=RMSprop(epsilon=1.0), clipnorm=2.0, smoothing=0.1),
    "adam": changed(optimizer=Adam(), rate=1e-3, schedule=Cosine(), decay=0.0),
    "clipped": changed(clipping=0.05, decayed=kernels),
    "plain, at a constant rate": changed(schedule=Plateau()),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_of_each_kind(name, tmp_path):
    """It lowers the loss, and a model that was saved trains on as if it was not."""
    recipe, model = OPTIMIZERS[name], network()
    recipe = recipe.compile(model, steps_per_epoch=4, epochs=10)
    first, *_, last = (model.train_on_batch(X, Y)[0] for _ in range(8))
    assert np.isfinite(last) and last < first
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.train_on_batch(X, Y), model.train_on_batch(X, Y), rtol=1e-4)


def test_numbers_reach_the_optimizers():
    model = network()
    rmsprop = changed(optimizer=RMSprop(0.8, 1.0), momentum=0.7, clipnorm=2.0).optimizer_for(model)
    assert (rmsprop.rho, rmsprop.epsilon, rmsprop.momentum, rmsprop.global_clipnorm) == (0.8, 1.0, 0.7, 2.0)
    adam = changed(optimizer=Adam(beta_2=0.99), momentum=0.5).optimizer_for(model)
    assert (adam.beta_1, adam.beta_2, adam.epsilon, adam.weight_decay) == (0.5, 0.99, 1e-8, 1e-4)
    clipped = changed(clipping=0.02).optimizer_for(model)
    assert type(clipped) is optimizers.AdaptiveGradientClipping and clipped.clipping == 0.02
    assert clipped.exclude == tuple(variable.path for variable in model.get_layer("fc").variables)
    assert type(clipped.inner_optimizer) is optimizers.TorchSGD


def test_replaced_numbers_take_effect():
    """As a command line overrides them."""
    recipe = changed(rate=0.05, batch=50, epochs=100, momentum=0.8, decay=1e-3, smoothing=0.1, warmup=2)
    model = network()
    recipe.compile(model)
    optimizer = model.optimizer
    assert (optimizer.momentum, optimizer.weight_decay, model.loss.label_smoothing) == (0.8, 1e-3, 0.1)
    found = [float(optimizer._learning_rate(step)) for step in (0, 20, 40, 599, 600)]
    assert found == pytest.approx([0, 0.025, 0.05, 0.05, 0.005], rel=1e-5)


def test_losses_and_metrics():
    model, top = network("sigmoid"), keras.metrics.SparseTopKCategoricalAccuracy(2, "top2")
    changed(loss=training.quadratic).compile(model, metrics=["accuracy", top])
    logs = model.fit(X, Y, epochs=1, verbose=0).history
    assert isinstance(model.loss, losses.QuadraticCost) and list(logs) == ["accuracy", "loss", "top2"]
    changed(loss=training.margin).compile(model)
    assert isinstance(model.loss, losses.MarginLoss)


def test_callbacks():
    recipe = changed(schedule=Plateau(patience=3, drops=2), average=0.999)
    model = network()
    scaled = recipe.compile(model, batch=20)
    plateau, average = scaled.callbacks(model)
    assert average.decay == 0.999 and float(model.optimizer.learning_rate) == pytest.approx(0.1)
    assert (plateau.rate, plateau.warmup.steps, plateau.patience) == (0.2, 250, 3)
    assert plateau.min_lr == pytest.approx(0.002)
    with pytest.raises(ValueError, match="compiled with the rate 0.1, Tried starts with 0.05. Ask the recipe that"):
        changed(schedule=Plateau(), rate=0.05).callbacks(model)
    assert recipe.rate_at(80) == 0.1


def test_it_prints_all_of_itself():
    recipe = changed(warmup=5, start=0.01, smoothing=0.1, clipnorm=1.0, average=0.9999, decayed=all_but_normalization)
    assert str(recipe).splitlines() == [
        "Tried (2020-01): nobody",
        "  images        1,000, in batches of 10",
        "  length        90 epochs, 9,000 steps",
        "  rate          0.1, times 0.1 after epoch 30, 60 and 80",
        "  warmup        5 epochs from 0.01",
        "  optimizer     SGD, momentum 0.9",
        "  decay         0.0001 of all but normalization",
        "  loss          crossentropy",
        "  smoothing     0.1",
        "  crop          whole",
        "  augmentation  nothing",
        "  norm          of the gradient, 1 at most",
        "  average       of the weights, 0.9999",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(rate=0), "Tried: `rate` is above 0. Received: 0"),
        (dict(batch=-1), "`batch` is above 0"),
        (dict(momentum=1.0), r"`momentum` is in \[0, 1\)"),
        (dict(decay=-1e-4), "`decay` is 0 or more"),
        (dict(smoothing=1.0), r"`smoothing` is in \[0, 1\)"),
        (dict(warmup=90), "`warmup` is below the 90 epochs"),
        (dict(start=0.2), "`start` is up to the rate, 0.1"),
        (dict(clipping=0), "`clipping` is None or above 0"),
        (dict(average=1.0), r"`average` is None or in \(0, 1\)"),
        (dict(epochs=70), "drops after 80 epochs, and the training has 70"),
        (dict(loss=training.margin, smoothing=0.1), "`smoothing` is 0 for the loss margin"),
    ],
)
def test_bad_recipes(change, message):
    with pytest.raises(ValueError, match=message):
        changed(**change)


def test_bad_arguments():
    with pytest.raises(ValueError, match="`workers` is above 0. Received: 0"):
        RECIPE.adapted(workers=0)
    with pytest.raises(ValueError, match="build it first"):
        RECIPE.compile(keras.Sequential([keras.layers.Dense(3, "softmax")]))
    with pytest.raises(ValueError, match="gives logits, and recipes train probabilities"):
        RECIPE.compile(network(activation=None))

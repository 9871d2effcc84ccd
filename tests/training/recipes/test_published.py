"""Every row, compiled and against the figures of its paper, in steps; and its layers, on images."""

from dataclasses import dataclass, replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision import losses, optimizers
from kvision.optimizers import TorchSGD
from kvision.training import get_recipe, list_recipes
from kvision.training.callbacks.plateau import ReduceOnPlateau
from kvision.training.recipes import published

KERNELS, NORMALIZATION, ALL = ("conv/kernel", "fc/kernel"), ("norm/gamma", "norm/beta"), None


@dataclass(frozen=True)
class Row:
    """What a row's compiled model has: the rate at some steps, and what decays."""

    rates: dict[int, float]
    decay: float | None
    decayed: tuple[str, ...] | None = ALL
    momentum: float = 0.9
    nesterov: bool = False
    optimizer: type = TorchSGD
    clipnorm: float | None = None
    smoothing: float | None = 0.0  # None for other losses than the cross-entropy


def drops(rate, *steps, factor=0.1):
    """The rates just before and at each step of a drop."""
    found = {0: rate}
    for number, step in enumerate(steps):
        found |= {step - 1: rate * factor**number, step: rate * factor ** (number + 1)}
    return found


NO_BN = ("conv/kernel", "conv/bias", "fc/kernel", "fc/bias")
VIT = Row({0: 0, 250: 0.015, 500: 0.03, 10_250: 0.015, 20_000: 0}, None, clipnorm=1.0)
# 5 epochs of 312.784 steps, then half a cosine to 360 of them: half of the rate in the middle between.
NFNET = Row({0: 0, 782: 0.8, 1564: 1.6, 57_083: 0.8, 112_602: 0}, 2e-5, KERNELS, nesterov=True, smoothing=0.1)
EXPECTED = {
    "MCDNN": Row({0: 1e-3, 59_999: 1e-3, 60_000: 9.93e-4, 47_999_999: 3e-5}, None, momentum=0.0),
    "AlexNet": Row({0: 0.01}, 5e-4, KERNELS),
    "NINCIFAR": Row(drops(0.1, 100_000, 115_000), 1e-4, KERNELS),
    "NINCIFARAugmented": Row(drops(0.1, 100_000, 115_000), 1e-4, KERNELS),
    "VGG": Row({0: 0.01}, 5e-4, KERNELS),
    "GoogLeNet": Row({0: 0.01, 320_000: 0.01, 321_000: 0.0096, 9_999_999: 0.01 * 0.96**31}, 2e-4, KERNELS),
    "GoogLeNetQuick": Row({0: 0.01, 1_200_000: 0.01 * 0.5**0.5, 2_400_000: 0.0}, 2e-4, KERNELS),
    "FirstProgram": Row({0: 3.0, 149_999: 3.0}, None, momentum=0.0, smoothing=None),
    "BNInception": Row({0: 0.045, 53_300: 0.045, 53_400: 0.0432}, 4e-5, KERNELS),
    "HighwayCIFAR": Row(drops(0.025, 100_000, 150_000, 175_000), 1e-3, KERNELS, nesterov=True),
    "HighwayMNIST": Row(drops(0.01, 60_000, 120_000), 1e-3, KERNELS, nesterov=True),
    "STNRotated": Row(drops(0.01, 50_000, 100_000), None, momentum=0.0),
    "STNScaled": Row(drops(0.01, 50_000, 100_000), None, momentum=0.0),
    "STNProjected": Row(drops(0.01, 50_000, 100_000), None, momentum=0.0),
    "STNElastic": Row(drops(0.01, 50_000, 100_000), None, momentum=0.0),
    "STNCluttered": Row(drops(0.01, 50_000, 100_000), None, momentum=0.0),
    "InceptionV3": Row(
        {0: 0.045, 80_000: 0.045, 80_100: 0.0423, 4_000_000: 0.045 * 0.94**49},
        None,
        optimizer=keras.optimizers.RMSprop,
        clipnorm=2.0,
        smoothing=0.1,
    ),
    "ResNet": Row({0: 0.1}, 1e-4),
    "ResNetCIFAR": Row(drops(0.1, 32_000, 48_000), 1e-4),
    "ResNet110CIFAR": Row({0: 0.01, 399: 0.01, 400: 0.1, 31_999: 0.1, 32_000: 0.01, 48_000: 0.001}, 1e-4),
    "StochasticDepthCIFAR": Row(drops(0.1, 87_891, 131_836), 1e-4, nesterov=True),
    "WideResNetCIFAR": Row(drops(0.1, 23_438, 46_875, 62_500, factor=0.2), 5e-4, nesterov=True),
    "WideResNetSVHN": Row(drops(0.01, 377_742, 566_614), 5e-4, nesterov=True),
    "FractalNetCIFAR": Row(drops(0.02, 100_000, 150_000, 175_000, 187_500), None),
    "DenseNetCIFAR": Row(drops(0.1, 117_188, 175_781), 1e-4, nesterov=True),
    "DenseNet": Row(drops(0.1, 150_137, 300_274), 1e-4, nesterov=True),
    "ResNeXt": Row(drops(0.1, 150_137, 300_274, 450_410), 1e-4, nesterov=True),
    "ResNeXtCIFAR": Row(drops(0.1, 58_594, 87_891), 5e-4, nesterov=True),
    "ResidualAttention": Row(drops(0.1, 200_000, 400_000, 500_000), 1e-4, nesterov=True),
    "LargeMinibatch": Row(  # 5, 30, 60 and 80 epochs of 156.392 steps
        {0: 0.1, 391: 1.65, 782: 3.2, 4691: 3.2, 4692: 0.32, 9383: 0.32, 9384: 0.032, 12_511: 0.0032},
        1e-4,
        NO_BN,
        nesterov=True,
    ),
    "RandomErasingCIFAR": Row(drops(0.1, 58_594, 87_891), 5e-4),
    "SENet": Row(drops(0.6, 37_534, 75_068, 112_603), 1e-4),
    "SENet154": Row(drops(1.0, 18_767, 37_534, 56_301), 1e-4, smoothing=0.1),
    "Mixup": Row({0: 0.1, 3128: 0.25, 6256: 0.4, 37_533: 0.4, 37_534: 0.04, 75_068: 0.004}, 1e-4, NO_BN, nesterov=True),
    "MixupCIFAR": Row(drops(0.1, 39_062, 58_594), 1e-4),
    "CapsNet": Row(
        {0: 1e-3, 1000: 1e-3 * 0.96**0.5, 2000: 9.6e-4, 300_000: 1e-3 * 0.96**150, 400_000: 1e-6},
        None,
        optimizer=keras.optimizers.Adam,
        smoothing=None,
    ),
    "ODENet": Row(drops(0.1, 28_125, 46_875, 65_625), None),
    "CutMix": Row(drops(0.1, 375_342, 750_684, 1_126_026), 1e-4, nesterov=True),
    "CutMixCIFAR": Row(drops(0.25, 117_188, 175_781), 1e-4, nesterov=True),
    "ResNeSt50": Row({0: 0, 391: 1.6, 782: 3.2, 21_504: 1.6, 42_226: 0}, 1e-4, KERNELS, smoothing=0.1),
    "ResNeSt101": Row({0: 0, 782: 0.8, 1564: 1.6, 43_008: 0.8, 84_452: 0}, 1e-4, KERNELS, smoothing=0.1),
    "ResNeSt200": Row({0: 0, 1564: 0.4, 3128: 0.8, 86_017: 0.4, 168_903: 0}, 1e-4, KERNELS, smoothing=0.1),
    "ViTFineTuning": VIT,
    "ViTFineTuningCIFAR": replace(VIT, rates={0: 0, 250: 0.015, 500: 0.03, 5250: 0.015, 10_000: 0}),
    **{f"NFNetF{number}": NFNET for number in range(7)},
    "MixerFineTuning": VIT,
}
ROWS = [get_recipe(name) for name in EXPECTED]


@pytest.fixture(scope="module")
def network():
    x = inputs = keras.Input((6, 6, 3))
    for layer in (
        keras.layers.Conv2D(4, 3, name="conv"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(4, "softmax", name="fc"),
    ):
        x = layer(x)
    return keras.Model(inputs, x)


def test_the_table_is_complete_and_in_order_of_publication():
    assert list_recipes() == list(EXPECTED)
    assert [row.month for row in ROWS] == sorted(row.month for row in ROWS)
    for row in ROWS:
        assert getattr(published, row.name) is row and row.source
        assert len(str(row).splitlines()) >= 7


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_compiled_it_is_what_the_paper_says(row, network):
    expected = EXPECTED[row.name]
    assert row.compile(network) is row
    optimizer = network.optimizer
    if row.clipping is not None:
        assert (row.clipping, row.average) == (0.01, 0.99999)  # NFNets alone
        assert type(optimizer) is optimizers.AdaptiveGradientClipping
        assert optimizer.exclude == ("fc/kernel", "fc/bias")
        optimizer = optimizer.inner_optimizer
    assert type(optimizer) is expected.optimizer
    assert getattr(optimizer, "beta_1", None) or optimizer.momentum == expected.momentum
    assert getattr(optimizer, "nesterov", False) == expected.nesterov
    assert optimizer.global_clipnorm == expected.clipnorm
    assert optimizer.weight_decay == (expected.decay and pytest.approx(expected.decay))
    if expected.decay:
        optimizer.build(network.trainable_variables)
        decayed = tuple(v.path for v in network.trainable_variables if optimizer._use_weight_decay(v))
        assert decayed == (expected.decayed or tuple(v.path for v in network.trainable_variables))
    rate = optimizer._learning_rate
    found = [float(rate(step)) if callable(rate) else float(rate) for step in expected.rates]
    assert found == pytest.approx(list(expected.rates.values()), rel=2e-3, abs=2e-7)
    assert getattr(network.loss, "label_smoothing", None) == expected.smoothing


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_scaled_and_stretched_it_is_still_a_recipe(row):
    longer = row.adapted(batch=4 * row.batch, epochs=3 * row.epochs, steps_per_epoch=50)
    assert longer.steps == pytest.approx(150 * row.epochs, abs=1)
    warmup = row.warmup or min(5, row.epochs / 2)
    assert longer.rate == pytest.approx(4 * row.rate) and longer.warmup == pytest.approx(3 * warmup)
    for part in (0.41, 0.7):  # no row drops there
        rate = row.rate_at(part * row.epochs)
        assert longer.rate_at(part * longer.epochs) == pytest.approx(4 * rate, rel=0.05)
    if not row.warmup:
        assert longer.rate_at(0) == pytest.approx(row.rate)


@pytest.mark.parametrize("row", {(row.crop, row.augment): row for row in ROWS[::-1]}.values(), ids=lambda row: row.name)
def test_its_layers_on_images(row):
    """From images of another size to a batch, in uint8, with labels that the loss takes."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (4, 40, 52, 3)).astype("uint8")
    crop = row.crop(32)
    if crop is None:
        images = images[:, :32, :32]
    else:
        images = np.stack([crop(image, seed=(0, number)) for number, image in enumerate(images)])
    assert images.shape == (4, 32, 32, 3) and images.dtype == "uint8"
    labels = tf.constant([0, 1, 2, 1])
    for number, layer in enumerate(row.augment(3)):
        images, labels = layer(images, labels, seed=(1, number))
    sizes = {"STNScaled": 42, "STNCluttered": 60}
    assert images.shape == (4, *[sizes.get(row.name, 32)] * 2, 3) and images.dtype == "uint8"
    mixing = {"Mixup", "CutMix", "Either"} & {part.kind.__name__ for part in getattr(row.augment, "parts", ())}
    assert labels.shape == ((4, 3) if mixing else (4,))
    loss = row.loss(row.smoothing)
    assert np.isfinite(float(loss(labels, tf.fill([4, 3], 1 / 3))))


def test_plateaus_are_of_callbacks():
    for name in ("AlexNet", "VGG", "ResNet"):
        (callback,) = get_recipe(name).callbacks()
        assert isinstance(callback, ReduceOnPlateau) and callback.factor == 0.1
    assert get_recipe("ResNetCIFAR").callbacks() == []


def test_lengths_in_the_papers_own_units():
    steps = {"ResNet": 600_000, "ResNetCIFAR": 64_000, "NINCIFAR": 120_000, "HighwayCIFAR": 200_000}
    steps |= {"GoogLeNetQuick": 2_400_000, "STNRotated": 150_000, "ResidualAttention": 530_000, "CapsNet": 300_000}
    steps |= {"ViTFineTuning": 20_000, "ViTFineTuningCIFAR": 10_000}
    assert {name: get_recipe(name).steps for name in steps} == steps
    whole = {"ResNetCIFAR": 164, "ViTFineTuning": 9, "LargeMinibatch": 90, "HighwayCIFAR": 400, "CapsNet": 640}
    assert {name: get_recipe(name).whole_epochs for name in whole} == whole


def test_names():
    assert get_recipe("resnet110cifar").name == "ResNet110CIFAR" and list_recipes("nfnet*")[0] == "NFNetF0"
    with pytest.raises(ValueError, match="no recipe named 'resnett'. Did you mean ResNet"):
        get_recipe("resnett")
    with pytest.raises(ValueError, match="no recipe named '\\?'. The names are: MCDNN, AlexNet, .*MixerFineTuning"):
        get_recipe("?")


def test_a_network_of_the_zoo_trains_by_its_recipe():
    from kvision.applications import ResNet20

    images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3)).astype("float32") / 255
    model = ResNet20(input_shape=(8, 8, 3), classes=4, depths=(1, 1, 1), widths=(16, 16, 16))
    recipe = get_recipe("ResNetCIFAR").compile(model, batch=8, steps_per_epoch=2, epochs=8)
    labels = np.arange(16) % 4
    logs = model.fit(
        images,
        labels,
        batch_size=8,
        epochs=recipe.whole_epochs,
        validation_data=(images, labels),
        callbacks=recipe.callbacks(),
        verbose=0,
    ).history
    assert logs["loss"][-1] < logs["loss"][0] and "val_accuracy" in logs
    assert isinstance(model.loss, losses.SmoothedCrossentropy)

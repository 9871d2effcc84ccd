"""The paper's own claims: Table 1, the shapes of its stages, and variances that hold block by block."""

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.applications.nf_resnet import normalizer_free
from kvision.applications.nfnet import bottleneck, stem_3x3
from kvision.blocks.bind import bind
from kvision.blocks.stages import units
from kvision.evaluation import count_macs
from kvision.layers import ScaledStdConv2D, SkipInit, StochasticDepth

RANDOM = np.random.default_rng(0)
ROWS = [getattr(applications, f"NFNetF{number}") for number in range(7)]
TINY = dict(
    input_shape=(32, 48, 3),
    depths=(1, 2),
    widths=(16, 24),
    stem=bind(stem_3x3, widths=(4, 8)),
    block=bind(bottleneck, group_width=4),
    last=32,
    classes=5,
)


def test_table_1():
    """Sizes, depths and dropout; the cost at the test size in billions, as printed, and the parameters in millions."""
    assert [row.input_shape[0] for row in ROWS] == [256, 320, 352, 416, 512, 544, 576]
    assert [row.architecture.depths[2] for row in ROWS] == [6, 12, 18, 24, 30, 36, 42]
    assert [row.architecture.dropout for row in ROWS] == [0.2, 0.3, 0.4, 0.4, 0.5, 0.5, 0.5]
    assert [round(row.macs / 1e9, 2) for row in ROWS] == [12.38, 35.54, 62.59, 114.76, 215.24, 289.76, 377.28]
    assert [round(row.params / 1e6, 1) for row in ROWS] == [71.5, 132.6, 193.8, 254.9, 316.1, 377.2, 438.4]


def test_betas():
    betas = (1, 0.980581, 0.980581, 0.962250, 0.980581, 0.962250, 0.944911, 0.928477, 0.912871, 0.898027)
    assert applications.NFNetF0.architecture.betas == pytest.approx((*betas, 0.980581, 0.962250), abs=5e-7)


def test_stages_at_the_size_of_training(without_values):
    model = applications.NFNetF0(input_shape=(192, 192, 3))
    places = ("stem.conv4", "stages.0.0.add", "stages.1.1.add", "stages.2.5.add", "stages.3.2.add", "final_act")
    shapes = [(48, 128), (48, 256), (24, 512), (12, 1536), (6, 1536), (6, 3072)]
    assert [model.get_layer(name).output.shape[2:] for name in places] == shapes
    convolutions = [
        model.get_layer(f"stages.{unit}.conv{n}") for n in ("2", "2b") for unit in ("0.0", "1.1", "2.5", "3.2")
    ]
    assert [layer.groups for layer in convolutions] == 2 * [1, 2, 6, 6]
    gates = [layer.survival for layer in model.layers if isinstance(layer, StochasticDepth)]
    assert gates == pytest.approx([1 - 0.25 * index / 12 for index in range(1, 12)])
    keras.backend.clear_session()


def test_cost_at_the_size_of_training(without_values):
    assert count_macs(applications.NFNetF1(), (224, 224, 3)) == 17_437_921_280
    keras.backend.clear_session()


def test_every_unit_takes_the_analytic_variance_to_the_next():
    """Each unit of F0 on noise of its analytic variance, which neighbours share: else the averages would lower it."""
    net = applications.NFNetF0.architecture
    after = [*net.variances[1:], net.variances[-1] + net.alpha**2]
    channels = 128
    for unit, variance, expected in zip(units(net.depths, net.widths, start=0), net.variances, after, strict=True):
        inputs = keras.Input((12, 12, channels))
        model = keras.Model(inputs, normalizer_free(inputs, unit, net))
        next(layer for layer in model.layers if isinstance(layer, SkipInit)).gain.assign(1.0)
        x = np.sqrt(variance) * RANDOM.normal(size=(2, 6, 6, channels)).repeat(2, 1).repeat(2, 2)
        y = np.array(model(x.astype("float32")))
        assert (y**2).mean() == pytest.approx(expected, rel=0.05), unit.name
        channels = unit.width


def test_averages_of_independent_neighbours_lose_variance():
    """The analysis takes no account of it: a shortcut of 2x2 averages of noise has a quarter."""
    net = applications.NFNetF0.architecture
    unit = list(units(net.depths, net.widths, start=0))[1]
    inputs = keras.Input((12, 12, 256))
    model = keras.Model(inputs, net.shortcut(inputs, unit, net))
    assert np.var(model(RANDOM.normal(size=(2, 12, 12, 256)).astype("float32"))) == pytest.approx(0.25, rel=0.1)


def test_every_unit_starts_as_its_shortcut():
    model = applications.NFNetF0(**TINY)
    pairs = [(f"stages.{unit}.downsample.conv", f"stages.{unit}.add") for unit in ("0.0", "1.0")]
    x = RANDOM.normal(size=(2, 32, 48, 3)).astype("float32")
    for names in (*pairs, ("stages.1.0.add", "stages.1.1.add")):
        outputs = [model.get_layer(name).output for name in names]
        np.testing.assert_array_equal(*keras.Model(model.input, outputs)(x))


def test_timms_lineage_takes_other_activations_and_epsilons():
    paper, timm = (applications.NFNetF0(lineage=lineage, **TINY) for lineage in (None, "dm_nfnet_f0.dm_in1k"))
    for model, activation, epsilon, floor in ((paper, "gelu_tanh", 0.0, 1e-4), (timm, "gelu", 1e-5, 0.0)):
        assert model.get_layer("final_act").activation == activation
        convolutions = [layer for layer in model.layers if isinstance(layer, ScaledStdConv2D)]
        assert {(layer.epsilon, layer.floor) for layer in convolutions} == {(epsilon, floor)}

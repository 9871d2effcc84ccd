"""The paper's own claims about its widths, its shortcut and its unit."""

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.applications import pyramidnet
from kvision.blocks.stages import Unit
from kvision.blocks.stem import stem_3x3
from kvision.layers import BatchNormalization

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("alpha", [300, 450])
def test_widths_grow_by_alpha_over_n_at_every_unit(alpha):
    widths = [64, *(pyramidnet.add(64, alpha, place, 66) for place in range(1, 67))]
    assert widths[-1] == 64 + alpha
    assert all(abs(width - (64 + alpha * place / 66)) <= 0.5 for place, width in enumerate(widths))
    assert set(np.diff(widths)) == {alpha // 66, alpha // 66 + 1}


def test_widths_by_hand():
    assert [pyramidnet.add(16, 48, place, 54) for place in (1, 2, 3, 54)] == [17, 18, 19, 64]  # 16.9, 17.8, 18.7
    assert [pyramidnet.add(4, 6, place, 4) for place in (1, 2, 3, 4)] == [6, 7, 9, 10]  # 5.5, 7, 8.5: half up
    assert [pyramidnet.multiply(16, 8, place, 3) for place in (1, 2, 3)] == [32, 64, 128]


@pytest.mark.parametrize(
    ("grow", "alpha", "bottleneck", "last", "millions"),
    [
        (pyramidnet.add, 48, False, 64, 1.7),
        (pyramidnet.add, 84, False, 100, 3.8),
        (pyramidnet.add, 270, False, 286, 28.3),
        (pyramidnet.multiply, 4.75, False, 76, 1.7),
        (pyramidnet.multiply, 8, False, 128, 3.8),
        (pyramidnet.multiply, 27, False, 432, 28.3),
        (pyramidnet.add, 48, True, 256, 1.7),
        (pyramidnet.add, 270, True, 1144, 27.0),
    ],
)
def test_the_papers_cifar_networks(grow, alpha, bottleneck, last, millions):
    """54 units: 110 layers of basic units, 164 of bottlenecks. Exact last widths; numbers of parameters as roughly as
    the paper has them, one for both kinds of growth."""
    count, before = 9 * 3 * 16, 16
    for place in range(1, 55):
        width = grow(16, alpha, place, 54)
        if bottleneck:
            count += before * width + 9 * width * width + width * 4 * width
            before = 4 * width
        else:
            count += 9 * before * width + 9 * width * width
            before = width
    assert before == last and count / 1e6 == pytest.approx(millions, rel=0.04)


def test_a_cifar_network(without_values):
    model = applications.PyramidNet200_a300(
        input_shape=(32, 32, 3), depths=(2, 2, 2), width=16, alpha=48, block=pyramidnet.basic, stem=stem_3x3
    )
    ends = [model.get_layer(f"layer{stage}.1.add").output.shape[1:] for stage in (1, 2, 3)]
    assert ends == [(32, 32, 32), (16, 16, 48), (8, 8, 64)]
    kernels = [weight for weight in model.trainable_weights if len(weight.shape) == 4]
    widths = (16, 24, 24, 32, 32, 40, 40, 48, 48, 56, 56, 64, 64)
    expected = [(3, 3, 3, 16), *((3, 3, *pair) for pair in zip(widths, widths[1:], strict=False))]
    assert [tuple(kernel.shape) for kernel in kernels] == expected


def test_the_shortcut_is_a_zero_padded_identity():
    x = RANDOM.normal(size=(2, 5, 6, 3)).astype("float32")
    inputs = keras.Input((5, 6, 3))
    same, halved = (
        keras.Model(inputs, pyramidnet.smooth_pad(inputs, 7, Unit(f"layer{s}.0", 0, s, 0, 1))) for s in (1, 2)
    )
    y = np.array(same(x))
    np.testing.assert_array_equal(y[..., :3], x)
    assert not y[..., 3:].any() and not same.weights and not halved.weights
    y = np.array(halved(x))
    assert y.shape == (2, 3, 3, 7) and not y[..., 3:].any()
    np.testing.assert_allclose(y[:, 0, 0, :3], x[:, :2, :2].mean((1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(y[:, 2, 0, :3], x[:, 4, :2].mean(1), rtol=1e-5, atol=1e-6)  # an odd height's last row


def test_no_weight_in_any_shortcut_and_no_relu_behind_any_sum():
    """Figure 6(d): normalization first and last, a rectifier only between convolutions."""
    for block, convolutions in ((pyramidnet.basic, 2), (pyramidnet.bottleneck, 3)):
        model = applications.PyramidNet200_a300(input_shape=(32, 32, 3), depths=(1, 2), alpha=6, width=4, block=block)
        kinds = [type(layer).__name__ for layer in model.layers if layer.name.startswith("layer2.1.")]
        order = [kind for kind in kinds if kind not in ("Add", "ZeroPadding2D")]
        convolve = {2: ["Conv2D"] * 2, 3: ["PointwiseConv2D", "Conv2D", "PointwiseConv2D"]}[convolutions]
        expected = ["BatchNormalization", convolve[0]]
        for kind in convolve[1:]:
            expected += ["BatchNormalization", "Activation", kind]
        assert order == [*expected, "BatchNormalization"]
        assert not [layer.name for layer in model.layers if "downsample" in layer.name]


def test_units_of_dead_branches_are_the_identity():
    """With the last gammas at zero the network is its stem, averaged, padded, normalized and rectified."""
    model = applications.PyramidNet200_a300(
        input_shape=(32, 32, 3), depths=(1, 2), alpha=6, width=4, classifier_activation=None
    )
    for layer in model.layers:
        if isinstance(layer, BatchNormalization) and layer.name.endswith("bn4"):
            layer.gamma.assign(np.zeros(layer.gamma.shape))
    x = RANDOM.normal(size=(2, 32, 32, 3)).astype("float32")
    stem, last = (model.get_layer(name).output for name in ("maxpool", "layer2.1.add"))
    stem, last = map(np.array, keras.Model(model.input, [stem, last])(x))
    averaged = stem.reshape(2, 4, 2, 4, 2, 4).mean((2, 4))
    np.testing.assert_allclose(last[..., :4], averaged, rtol=1e-5, atol=1e-6)
    assert last.shape[-1] == 4 * 10 and not last[..., 4:].any()


def test_dropout_is_the_wide_networks_alone():
    tiny = dict(input_shape=(32, 32, 3), depths=(1,), alpha=4, width=4)
    rates = {
        row.name: [layer.rate for layer in row(**tiny).layers if isinstance(layer, keras.layers.Dropout)]
        for row in (applications.PyramidNet200_a300, applications.PyramidNet200_a450)
    }
    assert rates == {"PyramidNet200_a300": [], "PyramidNet200_a450": [0.5]}

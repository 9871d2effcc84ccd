"""The paper's own claims about its structure, and that recomputation changes memory alone."""

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.evaluation import count_macs
from kvision.export import for_inference
from kvision.layers import Recomputed
from kvision.weights import copy, state_dict_names

RANDOM = np.random.default_rng(0)
ROWS = [getattr(applications, name) for name in applications.list_models("densenet*")]
CHANNELS = {  # after each dense block, before the transition
    "DenseNet121": [256, 512, 1024, 1024],
    "DenseNet169": [256, 512, 1280, 1664],
    "DenseNet201": [256, 512, 1792, 1920],
    "DenseNet264": [256, 512, 2304, 2688],
}
TINY = dict(depths=(2, 3), growth=4, start=6, input_shape=(32, 48, 3), classes=5)


@pytest.mark.parametrize("name", CHANNELS)
def test_stage_shapes_are_table_1s(name, without_values):
    model = getattr(applications, name)()
    last = len(CHANNELS[name])
    norms = [f"features.transition{block}.norm" for block in range(1, last)] + [f"features.norm{last + 1}"]
    expected = [(56 // 2**i, 56 // 2**i, channels) for i, channels in enumerate(CHANNELS[name])]
    assert [model.get_layer(norm).output.shape[1:] for norm in norms] == expected
    transitions = [model.get_layer(f"features.transition{block}.conv").output.shape[-1] for block in range(1, last)]
    assert transitions == [channels // 2 for channels in CHANNELS[name][:-1]]
    keras.backend.clear_session()


@pytest.mark.parametrize("row", [applications.DenseNet40k12, applications.DenseNetBC100k12, applications.DenseNet121])
def test_layer_l_reads_k0_and_k_channels_of_each_layer_before_it(row, without_values):
    model, net = row(), row.architecture
    k0 = net.start
    for block, depth in enumerate(net.depths, start=1):
        for layer in range(1, depth + 1):
            path = f"features.denseblock{block}.denselayer{layer}"
            assert model.get_layer(f"{path}.norm1").output.shape[-1] == k0 + net.growth * (layer - 1)
            last = model.get_layer(f"{path}.conv{2 if net.bottleneck else 1}")
            assert last.output.shape[-1] == net.growth and last.kernel_size == (3, 3)
            if net.bottleneck:
                first = model.get_layer(f"{path}.conv1")
                assert first.output.shape[-1] == 4 * net.growth and first.kernel_size == (1, 1)
        k0 = int((k0 + net.growth * depth) * net.compression)
    keras.backend.clear_session()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_depth_and_growth_are_those_of_the_name(row):
    """Convolutions and the dense layer, transitions included; DenseNet-264 of Table 1 has one more."""
    net = row.architecture
    depth = (2 if net.bottleneck else 1) * sum(net.depths) + len(net.depths) + 1
    number, _, growth = row.name.removeprefix("DenseNet").removeprefix("BC").partition("k")
    assert depth == int(number) + (number == "264") and (not growth or net.growth == int(growth))
    assert ("BC" in row.name or row.classes == 1000) == (net.bottleneck == 4 and net.compression == 0.5)
    assert net.start == (16 if not net.bottleneck else 2 * net.growth)


def test_a_layer_reads_the_feature_maps_in_their_order():
    model = applications.DenseNet121(**TINY)
    names = ["features.pool0", *(f"features.denseblock1.denselayer{layer}.conv2" for layer in (1, 2))]
    tensors = [model.get_layer(name).output for name in (*names, "features.denseblock1.denselayer2.concat")]
    *parts, together = keras.Model(model.input, tensors)(RANDOM.normal(size=(1, 32, 48, 3)).astype("float32"))
    np.testing.assert_array_equal(np.concatenate(parts, -1), together)


def test_dropout_follows_each_convolution_but_the_first():
    model = applications.DenseNetBC100k12(depths=(1, 2, 1), growth=2, dropout=0.2)
    drops = {layer.name.removesuffix(".drop") for layer in model.layers if isinstance(layer, keras.layers.Dropout)}
    convolutions = {layer.name for layer in model.layers if ".conv" in layer.name and layer.weights}
    assert drops == convolutions - {"features.conv0"} and len(drops) == 10


def test_transitions_pool_before_the_convolution_unless_dropout_stands_between():
    """The same function and multiply-adds, by the same weights."""
    models = [applications.DenseNet121(**TINY, dropout=dropout) for dropout in (0.0, 0.2)]
    copy(*models)
    kinds = [[type(layer).__name__ for layer in model.layers if "transition1" in layer.name] for model in models]
    before = ["BatchNormalization", "Activation"]
    assert kinds == [[*before, "PooledConv2D"], [*before, "PointwiseConv2D", "Dropout", "AveragePooling2D"]]
    x = RANDOM.normal(size=(2, 32, 48, 3)).astype("float32")
    logits = [keras.Model(model.input, model.layers[-1].input)(x) for model in models]
    np.testing.assert_allclose(*logits, atol=1e-5 * np.abs(logits[0]).max())
    assert count_macs(models[0]) == count_macs(models[1])


@pytest.fixture(scope="module")
def forms():
    models = [applications.DenseNet121(**TINY, memory_efficient=efficient) for efficient in (False, True)]
    copy(*models)
    return models


def test_recomputation_takes_the_same_steps(forms, tmp_path):
    """Loss, weights (and so gradients) and moving statistics, over three steps of plain `fit`."""
    plain, recomputed = forms
    assert list(state_dict_names(plain)) == list(state_dict_names(recomputed))
    assert sum(isinstance(layer, Recomputed) for layer in recomputed.layers) == 2 * 5 + 1
    x = RANDOM.normal(size=(8, 32, 48, 3)).astype("float32")
    losses = []
    for model in forms:
        model.compile(keras.optimizers.SGD(0.02, momentum=0.9), "sparse_categorical_crossentropy")
        losses.append(model.fit(x, np.arange(8) % 5, batch_size=8, epochs=3, verbose=0).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)
    for name, variable in state_dict_names(plain).items():
        difference = np.abs(np.subtract(variable, state_dict_names(recomputed)[name])).max()
        assert difference <= 1e-4 * np.abs(variable).max() + 1e-6, name
    np.testing.assert_allclose(plain(x), recomputed(x), atol=1e-4)
    recomputed.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(x), recomputed(x))


def test_recomputation_exports_and_counts_as_the_plain_form(forms):
    plain, recomputed = forms
    copy(*forms)
    x = RANDOM.normal(size=(2, 32, 48, 3)).astype("float32")
    np.testing.assert_allclose(for_inference(recomputed)(x), plain(x), atol=1e-5)
    assert count_macs(plain) == count_macs(recomputed)
    assert recomputed.origin.changes["memory_efficient"] is True

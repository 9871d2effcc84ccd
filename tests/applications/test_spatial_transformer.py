"""Sections 4.1 to 4.3: exact sizes, what the transformers start from, and heads for several digits."""

import keras
import numpy as np
import pytest

from kvision.applications import spatial_transformer as st
from kvision.applications.bn_inception import BNInception, BNInceptionRecipe, Module
from kvision.blocks.bind import bind
from kvision.evaluation import SequenceAccuracy, count_macs
from kvision.layers import Attention, Projective, SpatialTransformer, ThinPlateSpline
from kvision.weights.loader import state_dict_names

SMALL = dict(crop=(32, 48), trunk=BNInceptionRecipe(((Module(None, (4, 8), (4, 8), None),),)), hidden=(8, 8))


HOUSES = dict(widths=(4, 6), pooled=(1, 2), hidden=(8,), localise=(bind(st.dense, widths=(8, 8)),) * 2)


def parameters(layer):
    return sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)


def fully(*widths):
    """Parameters of dense layers from widths[0] values on."""
    return sum(before * after + after for before, after in zip(widths, widths[1:], strict=False))


@pytest.mark.parametrize(("size", "count"), [(28, 26_374), (42, 57_734), (60, 116_486)])
def test_localisation_of_the_fully_connected_network(size, count, without_values):
    model = st.STFCN(input_shape=(size, size, 1), halve=size > 28)
    assert parameters(model.get_layer("st")) == count == fully(size * size, 32, 32, 6)
    seen = size // 2 if size > 28 else size
    assert parameters(model) == count + fully(seen * seen, 256, 256, 10)


@pytest.mark.parametrize(
    ("transform", "count"), [(Attention(), 3), (Projective(), 8), (ThinPlateSpline(), 32)], ids=repr
)
def test_other_transforms_change_the_regression_alone(transform, count, without_values):
    for row, features in ((st.STFCN, 32), (st.STCNN, 20)):
        assert parameters(row(transform=transform)) - row.params == (count - 6) * (features + 1)


def test_networks_to_compare_with(without_values):
    """FCN and CNN are what is left without the transformer."""
    assert parameters(st.STFCN(transform=None)) == fully(784, 256, 256, 10)
    first, second = 9 * 9 * 64 + 64, 7 * 7 * 64 * 64 + 64
    assert parameters(st.STCNN(transform=None)) == first + second + fully(2 * 2 * 64, 10)
    localisation = (5 * 5 * 20 + 20) + (5 * 5 * 20 * 20 + 20) + fully(20, 20, 6)
    assert st.STCNN.params == first + second + fully(256, 10) + localisation
    # RTS: 42 / 2 = 21, 13, 7, 1, 1; TC: 60 / 2 = 30, 22, 11, 5, 3. The localisation: 21, 17, 8, 4 and 30, 26, 13, 9.
    convolutions = (5 * 5 * 20 + 20) + (5 * 5 * 20 * 20 + 20)
    for size, last, seen in ((42, 1, 4), (60, 3, 9)):
        expected = first + second + fully(last**2 * 64, 10) + convolutions + fully(seen**2 * 20, 20, 6)
        assert parameters(st.STCNN(input_shape=(size, size, 1), halve=True)) == expected


@pytest.mark.parametrize("row", [st.STFCN, st.STCNN], ids=lambda row: row.name)
def test_it_starts_as_the_network_without_transformer(row):
    model, plain = row(), row(transform=None)
    for layer in (layer for layer in plain.layers if layer.weights):
        layer.set_weights(model.get_layer(layer.name).get_weights())
    x = np.random.default_rng(0).uniform(size=(2, 28, 28, 1)).astype("float32")
    np.testing.assert_array_equal(model(x), plain(x))


def test_reading_house_numbers_counts(without_values):
    """The catalogue's counts at two sizes, and those of the localisation networks by hand."""
    assert parameters(st.SVHNCNN(input_shape=(128, 128, 3))) == 51_692_247
    single = (25 * 3 * 32 + 32) + (25 * 32 * 32 + 32) + fully(32 * 32 * 32, 32, 6)
    assert st.STCNNSingleSVHN.params == st.SVHNCNN.params + single
    maps = [64 * 64 * 3, 32 * 32 * 48, 32 * 32 * 64, 16 * 16 * 128]
    assert st.STCNNMultiSVHN.params == st.SVHNCNN.params + sum(fully(values, 32, 32, 6) for values in maps)


def test_reading_house_numbers_multiplications():
    """Eight convolutions by hand."""
    maps = [(64, 3, 48), (32, 48, 64), (32, 64, 128), (16, 128, 160), (16, 160, 192), (8, 192, 192), (8, 192, 192)]
    convolutions = sum(size * size * 25 * before * after for size, before, after in [*maps, (4, 192, 192)])
    assert st.SVHNCNN.macs == convolutions + 3072 * 3072 * 2 + 3072 * 55


def test_where_the_transformers_stand(without_values):
    """Multi: before each of the first four convolutions. Dropout: everywhere but after the first."""
    model = st.STCNNMultiSVHN()
    order = [layer.name for layer in model.layers]
    for place in range(1, 5):
        assert order.index(f"conv{place}") == order.index(f"st{place}") + 1
    transformers = [layer for layer in model.layers if isinstance(layer, SpatialTransformer)]
    assert len(transformers) == 4 and not [name for name in order if name == "drop1"]
    assert [layer.name for layer in model.layers if isinstance(layer, keras.layers.Dropout)] == [
        *(f"drop{place}" for place in range(2, 9)),
        "fc1.drop",
        "fc2.drop",
    ]


def test_digits_are_read_by_plain_fit():
    """Scores `(B, 5, 11)` of independent softmaxes, labels `(B, 5)`."""
    model = st.SVHNCNN(input_shape=(16, 16, 3), widths=(4, 6), pooled=(1, 2), hidden=(32,), dropout=0.0)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(4, 16, 16, 3)).astype("float32"), random.integers(0, 11, (4, 5))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=[SequenceAccuracy()])
    history = model.fit(x, y, epochs=60, verbose=0).history
    np.testing.assert_allclose(np.sum(model(x), axis=-1), np.ones((4, 5)), atol=1e-5)
    assert history["sequence_accuracy"][-1] == 1 and history["loss"][0] == pytest.approx(np.log(11), rel=0.1)


@pytest.mark.parametrize(
    ("row", "shape", "changes"),
    [(st.STCNN, (28, 28, 1), {}), (st.STCNNMultiSVHN, (16, 16, 3), HOUSES), (st.STCNN4xCUB, (32, 48, 3), SMALL)],
    ids=["STCNN", "STCNNMultiSVHN", "STCNN4xCUB"],
)
def test_weights_of_parts_alike_keep_apart(row, shape, changes, tmp_path):
    """Loading goes by name. The regressions are given kernels: at zero nothing would depend on the localisation."""
    random = np.random.default_rng(0)
    model = row(input_shape=shape, **changes)
    for variable in model.trainable_variables:
        variable.assign(variable + random.normal(0, 0.05, variable.shape))
    seeds = [variable for variable in model.variables if "seed" in variable.path]
    assert len(state_dict_names(model)) == len(model.variables) - len(seeds)
    model.save(tmp_path / "model.keras")
    x = random.normal(size=(2, *shape)).astype("float32")
    loaded = row(input_shape=shape, weights=tmp_path / "model.keras", **changes)
    np.testing.assert_array_equal(loaded(x), model(x))


def test_bird_counts():
    """A trunk for each crop and one to find them; by hand from BN-Inception's count."""
    trunk = BNInception.params - fully(1024, 1000)
    for row, crops in ((st.STCNN2xCUB, 2), (st.STCNN4xCUB, 4)):
        localisation = trunk + fully(1024, 128) + fully(7 * 7 * 128, 128, 2 * crops)
        assert row.params == crops * trunk + localisation + fully(1024 * crops, 200)


def test_larger_birds_cost_nothing_more(without_values):
    """The localisation network and the crops stay at 224x224."""
    changes = dict(crop=(64, 64), hidden=(8, 8), trunk=SMALL["trunk"])
    models = [st.STCNN2xCUB(input_shape=(size, size, 3), **changes) for size in (64, 128)]
    assert parameters(models[0]) == parameters(models[1]) and count_macs(models[0]) == count_macs(models[1])


@pytest.mark.parametrize("row", [st.STCNN2xCUB, st.STCNN4xCUB], ids=lambda row: row.name)
def test_the_first_crops_tile_the_image(row):
    """Each is half as wide and high as the image: four are its quarters, to the pixel; two its halves' middles."""
    model = row(input_shape=(63, 95, 3), classes=5, **{**SMALL, "crop": (32, 48)})
    crops = [layer.output for layer in model.layers if layer.name.startswith("crop")]
    x = np.random.default_rng(0).normal(size=(1, 63, 95, 3)).astype("float32")
    found = [np.array(crop) for crop in keras.Model(model.input, crops)(x)]
    assert len(found) == len(row.architecture.tiles)
    if len(found) == 4:
        for crop, (top, left) in zip(found, [(0, 0), (0, 47), (31, 0), (31, 47)], strict=True):
            np.testing.assert_allclose(crop, x[:, top : top + 32, left : left + 48], atol=1e-4)
    else:  # rows 15.5 to 46.5
        middle = (x[:, 15:47] + x[:, 16:48]) / 2
        np.testing.assert_allclose(found[0], middle[:, :, :48], atol=1e-4)
        np.testing.assert_allclose(found[1], middle[:, :, 47:], atol=1e-4)
    for place, crop in enumerate(found):
        assert all(np.abs(crop - other).max() > 1 for other in found[:place])


def test_more_transformers_than_convolutions_are_an_error():
    with pytest.raises(ValueError, match="stands before a convolution"):
        st.SVHNCNN(widths=(8,), localise=(st.convolutional,) * 2)


def test_unknown_sizes_are_an_error():
    for row in (st.STFCN, st.STCNN, st.SVHNCNN, st.STCNN2xCUB):
        with pytest.raises(ValueError, match="known"):
            row(input_shape=(None, None, 3))


def test_localisation_may_learn_more_slowly():
    """Keras's optimizer of several: a tenth of the rate for the localisation networks, nothing else changes."""
    model = st.STCNNMultiSVHN(input_shape=(16, 16, 3), **HOUSES)
    variables, random = model.trainable_variables, np.random.default_rng(0)
    steps = [[random.normal(size=variable.shape).astype("float32") for variable in variables] for _ in range(2)]
    start = [variable.numpy() for variable in variables]

    def learn(optimizer, factor=1):
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)
        for gradients in steps:
            optimizer.apply([keras.ops.convert_to_tensor(factor * gradient) for gradient in gradients], variables)
        return [variable.numpy() for variable in variables]

    def sgd(rate):
        return keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(rate, 1, 0.5), momentum=0.9)

    def both():
        return keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(sgd(0.1), {"st.*": sgd(0.01)}))

    slower = [variable.path.startswith(("st1", "st2")) for variable in variables]
    assert sum(slower) == 2 * 3 * 2 and len(slower) == sum(slower) + 2 * 2 + 2 * 2
    pairs = zip(learn(sgd(0.1)), learn(sgd(0.01)), slower, strict=True)
    expected = [slow if slower else fast for fast, slow, slower in pairs]
    restored = keras.optimizers.deserialize(keras.optimizers.serialize(both()))
    scaled = keras.optimizers.LossScaleOptimizer(both(), initial_scale=4.0)  # as under mixed_float16
    for optimizer, factor in ((both(), 1), (restored, 1), (scaled, 4)):
        for value, right in zip(learn(optimizer, factor), expected, strict=True):
            np.testing.assert_array_equal(value, right)

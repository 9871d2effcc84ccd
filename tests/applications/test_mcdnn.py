"""The columns by hand, layer by layer, and the committee: a mean, of shared weights, saved and served as one model."""

import keras
import numpy as np
import pytest

from kvision import applications
from kvision.applications import MCDNN, mcdnn
from kvision.applications.mcdnn import MCDNNColumnCIFAR10, MCDNNColumnMNIST
from kvision.classifier import Preprocess
from kvision.evaluation import count_macs
from kvision.export import for_inference, savedmodel
from kvision.layers import AdaptiveHistogramEqualization, HistogramEqualization, WidthNormalization
from tests.serving import ask

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(size=(3, 12, 14, 3)).astype("float32")
PREPROCESS = Preprocess()

# For each row: maps and filters, and sizes of its (square) maps, by hand; then its dense layers.
BY_HAND = {
    "MCDNNColumnMNIST": ([(1, 20, 4, 26), (20, 40, 5, 9)], [360, 150, 10]),
    "MCDNNColumnGTSRB": ([(3, 100, 7, 42), (100, 150, 4, 18), (150, 250, 4, 6)], [2250, 300, 43]),
    "MCDNNColumnNORB": ([(2, 100, 5, 44), (100, 100, 5, 18), (100, 100, 4, 6)], [900, 300, 100, 6]),
    "MCDNNColumnHWDB": (
        [(1, 100, 3, 46), (100, 200, 2, 22), (200, 300, 2, 10), (300, 400, 2, 4)],
        [1600, 500, 3755],
    ),
    # 5x5 maps become 3x3.
    "MCDNNColumnCIFAR10": (
        [(3, 300, 3, 30), (300, 300, 2, 14), (300, 300, 3, 5), (300, 300, 2, 2)],
        [300, 300, 100, 10],
    ),
}


def column(seed=1, shape=(12, 14, 3), classes=5):
    keras.utils.set_random_seed(seed)
    return opinionated(applications.MCDNNColumnGTSRB(input_shape=shape, classes=classes, layers="4C3-MP2-6C2-MP2-8N"))


def opinionated(model):
    """Weights of +-1 instead of +-0.05: the answers of different columns, and to different images, differ."""
    model.set_weights([20 * weight for weight in model.get_weights()])
    return model


def parameters(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize("name", BY_HAND)
def test_columns_by_hand(name):
    row, (convolutions, dense) = getattr(applications, name), BY_HAND[name]
    model = row()
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [(x.input.shape[-1], x.filters, x.kernel_size[0], x.output.shape[1]) for x in found] == convolutions
    pairs = list(zip(dense, dense[1:], strict=False))
    macs = sum(a * b * k * k * size * size for a, b, k, size in convolutions) + sum(a * b for a, b in pairs)
    params = sum(a * b * k * k + b for a, b, k, _ in convolutions) + sum(a * b + b for a, b in pairs)
    assert (parameters(model), count_macs(model)) == (row.params, row.macs) == (params, macs)
    assert model.get_layer("flatten").output.shape == (None, dense[0])
    for weight in model.weights:
        largest = np.abs(weight).max()
        assert largest == 0 if weight.name == "bias" else 0.045 < largest <= 0.05


def test_the_window_over_the_border_takes_the_largest_of_signed_values():
    """Zeros beyond the border would be larger than what a scaled tanh gives."""
    model = MCDNNColumnCIFAR10()
    pool = model.get_layer("pool6")
    assert pool.input.shape == (None, 5, 5, 300) and pool.output.shape == (None, 3, 3, 300)
    x = -np.arange(1, 26, dtype="float32").reshape(1, 5, 5, 1)
    np.testing.assert_array_equal(pool(x)[0, :, :, 0], [[-1, -3, -5], [-11, -13, -15], [-21, -23, -25]])


def test_scaled_tanh():
    model = column()
    y = keras.Model(model.input, model.get_layer("conv1").output)(10 * X)
    assert 1.7 < np.abs(y).max() <= 1.7159 + 1e-4
    assert {layer.activation.__name__ for layer in model.layers if hasattr(layer, "kernel")} == {"squash", "softmax"}


@pytest.mark.parametrize(
    "layers", ["", "20C4-MP2-", "20C", "150N", "MP2-20C4", "20C4-150N-MP2", "0C4", "20c4", "20C4 "]
)
def test_other_notations_are_an_error(layers):
    with pytest.raises(ValueError, match="A column is a convolution such as 20C4.*Received: '"):
        MCDNNColumnMNIST(layers=layers)


def test_too_small_an_image_is_an_error():
    with pytest.raises(ValueError, match="40C5 of .* does not fit on maps of 4x10"):
        MCDNNColumnMNIST(input_shape=(10, 22, 1))


def test_mean_of_columns_with_preprocessings():
    """Section 2: y = 1/N sum of the columns' outputs; the scores of each image sum to 1."""
    columns, layer = [column(seed) for seed in range(3)], HistogramEqualization()
    model = MCDNN([columns[0], (None, columns[1]), (layer, columns[2])])
    expected = [columns[0](X), columns[1](X), columns[2](layer(X))]
    y = model(X)
    np.testing.assert_allclose(y, np.mean(expected, 0), atol=1e-6)
    np.testing.assert_allclose(np.sum(y, -1), 1, atol=1e-6)
    assert np.ptp(expected, axis=0).max() > 0.1
    assert parameters(model) == 3 * parameters(columns[0]) and count_macs(model) == 3 * count_macs(columns[0])
    assert model.input_shape == (None, 12, 14, 3) and model.name == "mcdnn" and model.origin.row == "MCDNN"


@pytest.mark.parametrize("count", [1, 2, 4])
def test_identical_columns_are_the_column(count):
    one = column()
    model = MCDNN([one] * count)
    np.testing.assert_array_equal(model(X), one(X))
    assert len(model.weights) == len(one.weights)


def test_weights_are_shared():
    columns = [column(1), column(2)]
    model = MCDNN(columns)
    assert {id(weight) for weight in model.weights} == {id(weight) for one in columns for weight in one.weights}
    before = [np.array(one(X)) for one in columns]
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    model.train_on_batch(X, np.arange(3))
    after = [np.array(one(X)) for one in columns]
    assert all(np.abs(a - b).max() > 1e-3 for a, b in zip(before, after, strict=True))
    np.testing.assert_allclose(model(X), np.mean(after, 0), atol=1e-6)


def test_a_shared_preprocessing_is_computed_once():
    layer = HistogramEqualization()
    model = MCDNN([(layer, column(1)), (layer, column(2)), column(3)])
    names = [inner.name for inner in model.layers]
    assert names.count("preprocessing1") == 1 and not any(name.startswith("preprocessing2") for name in names)
    assert len(set(names)) == len(names)


def committee():
    columns = [column(1), column(2)]
    for one in columns:
        one.with_preprocess(PREPROCESS)
    return MCDNN([(HistogramEqualization(), columns[0]), (AdaptiveHistogramEqualization(4), columns[1])])


def test_saves_and_reloads(tmp_path):
    model = committee()
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(reloaded(X), model(X))
    assert reloaded.origin == model.origin and type(reloaded) is type(model)
    again = MCDNN([reloaded, model])  # committees are columns, too
    np.testing.assert_allclose(again(X), model(X), atol=1e-6)


def test_one_column_behind_two_preprocessings_saves_and_reloads(tmp_path):
    one = column()
    model = MCDNN([one, (HistogramEqualization(), one)])
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(reloaded(X), model(X))
    assert parameters(reloaded) == parameters(one)


def test_another_process_without_keras_answers_the_same(tmp_path):
    """With both preprocessings inside, on pixels of [0, 255]."""
    model = committee()
    assert model.origin.preprocess == PREPROCESS
    folder = savedmodel(model, tmp_path / "served")
    pixels = RANDOM.integers(0, 256, (2, 12, 14, 3)).astype("float32")
    np.testing.assert_allclose(ask({folder: pixels})[folder], model(PREPROCESS(pixels)), atol=1e-5)


def test_inference_folds_inside_the_columns():
    columns = [applications.ResNet20(input_shape=(16, 16, 3), depths=(1, 1, 1)) for _ in range(2)]
    x = RANDOM.normal(size=(2, 16, 16, 3)).astype("float32")
    for one in columns:
        for _ in range(3):
            one(x, training=True)
    model = MCDNN([columns[0], (HistogramEqualization(), columns[1])])
    inference = for_inference(model)
    np.testing.assert_allclose(inference(x), model(x), atol=1e-5)
    inner = [layer for twin in inference.layers if hasattr(twin, "layers") for layer in twin.layers]
    assert len(inner) > 20 and not any(isinstance(layer, keras.layers.BatchNormalization) for layer in inner)


def test_the_committee_of_35_for_mnist():
    """Section 3: seven normalizations of the digits' width, five columns each."""
    normalizations = mcdnn.mnist_normalizations()
    assert [layer and layer.width for layer in normalizations] == [None, 10, 12, 14, 16, 18, 20]
    pairs = [(layer, opinionated(MCDNNColumnMNIST())) for layer in normalizations for _ in range(5)]
    model = MCDNN(pairs)
    x = np.zeros((2, 29, 29, 1), "float32")
    x[0, 5:24, 8:17], x[1, 6:20, 12:15] = RANDOM.uniform(size=(19, 9, 1)), 1
    expected = [one(x if layer is None else layer(x)) for layer, one in pairs]
    np.testing.assert_allclose(model.predict(x, verbose=0), np.mean(expected, 0), atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 0.1
    assert parameters(model) == 35 * 76_040 and model.origin.changes == {"columns": 35}
    keras.backend.clear_session()


def test_the_normalizations_of_the_committee_of_25_for_traffic_signs():
    layers = mcdnn.gtsrb_normalizations((0, 255))
    names = ["ImageAdjustment", "HistogramEqualization", "AdaptiveHistogramEqualization", "DifferenceOfGaussians"]
    assert layers[0] is None and [type(layer).__name__ for layer in layers[1:]] == names
    x = RANDOM.integers(0, 256, (1, 48, 48, 3)).astype("float32")
    images = [np.asarray(layer(x)) for layer in layers[1:]]
    assert all(image.shape == x.shape and np.ptp(image) > 100 for image in images)


def test_images_of_another_size_than_the_columns():
    """28x28 digits to columns that see 29x29."""
    columns = [(WidthNormalization(width), MCDNNColumnMNIST()) for width in (10, 20)]
    model = MCDNN(columns, input_shape=(28, 28, 1), name="digits")
    assert model.input_shape == (None, 28, 28, 1) and model.name == "digits"
    assert model(np.zeros((1, 28, 28, 1), "float32")).shape == (1, 10)


def test_the_pixel_preprocessing_is_what_the_columns_agree_on():
    columns = [column(1).with_preprocess(PREPROCESS), column(2).with_preprocess(PREPROCESS)]
    assert MCDNN(columns).origin.preprocess == PREPROCESS
    columns[1].with_preprocess(Preprocess(scale=1.0))
    assert MCDNN(columns).origin.preprocess is None
    plain = keras.Sequential([keras.Input((12, 14, 3)), keras.layers.Flatten(), keras.layers.Dense(5)])
    assert MCDNN([plain, columns[0]]).origin.preprocess is None


def test_bad_committees():
    one = column()
    for columns, message in [
        ([], r"at least one column. Received: columns=\[\]"),
        ([(None, one, one)], "a pair of a preprocessing and such a model"),
        ([(one, None)], "Received: None"),
        ([HistogramEqualization()], "A column is a model"),
        ([applications.MCDNNColumnGTSRB(include_top=False)], "A column is a model"),
        ([one, column(classes=4)], r"Received: columns with \[5, 4\] classes"),
        ([one, column(shape=(12, 12, 3))], r"Column 2 takes images of shape \(None, 12, 12, 3\).*\(None, 12, 14, 3\)"),
        ([(WidthNormalization(10), one)], r"Column 1 takes.*Received: \(None, 29, 29, 3\) from <WidthNormalization"),
    ]:
        with pytest.raises(ValueError, match=message):
            MCDNN(columns)


def test_the_committee_is_no_row():
    assert applications.list_models("mcdnn*") == [
        f"MCDNNColumn{name}" for name in ("CIFAR10", "GTSRB", "HWDB", "MNIST", "NORB")
    ]

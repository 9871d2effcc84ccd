"""Networks on larger images: the same on their own size, and, where nothing is padded, the mean over all crops."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision import applications
from kvision.blocks.bind import bind
from kvision.classifier import Preprocess
from kvision.data import Whole, evaluation_batches, load
from kvision.evaluation import averaged, count_macs, dense, evaluate
from kvision.evaluation.dense import Windows
from kvision.export import for_inference
from kvision.layers import SqueezeExcite

RANDOM = np.random.default_rng(0)


def images(height, width=None, channels=3, count=2):
    return RANDOM.normal(size=(count, height, width or height, channels)).astype("float32")


def opinionated(model):
    """Kernels that keep the variance, and biases, so that answers differ from image to image."""
    random = np.random.default_rng(1)
    for variable in model.trainable_variables:
        fan_in = {"bias": 100, "kernel": np.prod(variable.shape[:-1]) / 2}.get(variable.name)
        if fan_in:
            variable.assign(random.normal(size=variable.shape) / fan_in**0.5)
    return model


def valid(head, size=18, activation="softmax"):
    """Two convolutions and a pooling without padding, stride 4 in all: maps of 3x3 from images of 18x18."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(4, 3, 2, activation="relu")(inputs)
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Conv2D(5, 2, activation="tanh")(x)
    return opinionated(keras.Model(inputs, head(x, activation), name="valid"))


def flat(x, activation):
    x = keras.layers.Dense(7, "relu")(keras.layers.Flatten()(x))
    x = keras.layers.BatchNormalization()(keras.layers.Dropout(0.5)(x))
    return keras.layers.Dense(6, activation)(x)


def pooled(x, activation):
    x = keras.layers.Dense(6)(keras.layers.GlobalMaxPooling2D()(x))
    return keras.layers.Softmax()(x) if activation else x


def mean_and_maximum(x, activation):
    vectors = [layer()(x) for layer in (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D)]
    x = keras.layers.Dense(6)(keras.layers.Concatenate()(vectors))
    return keras.layers.Activation(activation)(x)


@pytest.mark.parametrize("head", [flat, pooled, mean_and_maximum])
@pytest.mark.parametrize("activation", ["softmax", None])
def test_without_padding_it_is_the_mean_over_all_crops_a_stride_apart(head, activation):
    model, logits = valid(head, activation=activation), valid(head, activation=None)
    logits.set_weights(model.get_weights())
    x = images(26, 35)  # a margin of 8 and of 17: three crops by five, and a rest of one pixel that no crop sees
    crops = [x[:, top : top + 18, left : left + 18] for top in (0, 4, 8) for left in (0, 4, 8, 12, 16)]
    scores = np.mean([logits(crop) for crop in crops], axis=0)
    expected = keras.ops.softmax(scores) if activation else scores
    np.testing.assert_allclose(dense(model)(x), expected, atol=1e-5)
    posteriors = np.mean([model(crop) for crop in crops], axis=0)
    assert np.abs(posteriors - expected).max() > 1e-3 or activation is None  # the mean of posteriors is something else


SMALL = {
    "AlexNet": (67, dict(widths=(4, 8, 8, 8, 8), hidden=(16, 12))),
    "VGG16BN": (32, dict(depths=(1, 1, 1, 1, 1), widths=(4, 4, 8, 8, 8), hidden=(16,))),
    "NIN": (16, {}),
    "GoogLeNet": (64, dict(stages=(((4, 2, 4, 2, 4, 4),),) * 3)),
    "LeNet5": (32, {}),
    "ResNet20": (16, dict(depths=(1, 1, 1), widths=(16, 16, 16), attend=bind(SqueezeExcite, ratio=4))),
    "MCDNNColumnMNIST": (29, dict(layers="4C4-MP2-6C5-MP3-8N")),
}


def small(name):
    """A network of few parameters, and images of its size."""
    size, changes = SMALL[name]
    row = getattr(applications, name)
    keras.utils.set_random_seed(1)
    model = row(input_shape=(size, size, row.input_shape[2]), classes=5, **changes).with_preprocess(Preprocess())
    return model if name == "LeNet5" else opinionated(model), images(size, channels=row.input_shape[2])


@pytest.mark.parametrize("name", SMALL)
def test_on_the_training_size_nothing_changes(name):
    model, x = small(name)
    whole = dense(model)
    np.testing.assert_allclose(whole(x), model(x), atol=1e-6)
    assert np.ptp(np.asarray(model(x)), axis=0).max() > 1e-4 and whole.origin == model.origin
    assert whole.input_shape[1:3] == (None, None) and whole.output_shape == (None, 5)
    larger = np.pad(x, ((0, 0), (3, 5), (20, 13), (0, 0)))
    np.testing.assert_allclose(np.sum(whole(larger), axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("name", ["LeNet5", "VGG16BN"])
def test_saved_and_read_again_and_in_the_form_that_is_served(name, tmp_path):
    model, x = small(name)
    whole, larger = dense(model), np.pad(x, ((0, 0), (3, 5), (20, 13), (0, 0)))
    answer = whole.predict(larger, verbose=0)
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(dense(keras.models.load_model(tmp_path / "model.keras"))(larger), answer, atol=1e-6)
    whole.save(tmp_path / "whole.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "whole.keras")(larger), answer, atol=1e-6)
    np.testing.assert_allclose(for_inference(whole)(larger), answer, atol=1e-5)


def test_padding_surrounds_the_image_and_not_each_crop():
    """The same weights on crops with their surroundings, of an image within zeros."""

    def network(size, padding):
        inputs = keras.Input((size, size, 1))
        x = keras.layers.Conv2D(3, 3, padding=padding)(inputs)
        return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))

    model, valid = network(8, "same"), network(10, "valid")
    valid.set_weights(model.get_weights())
    x = images(9, 10, channels=1)
    within = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    places = [(top, left) for top in (0, 1) for left in (0, 1, 2)]
    expected = np.mean([valid(within[:, top : top + 10, left : left + 10]) for top, left in places], axis=0)
    np.testing.assert_allclose(dense(model)(x), expected, atol=1e-6)
    crops = np.mean([model(x[:, top : top + 8, left : left + 8]) for top, left in places], axis=0)
    assert np.abs(expected - crops).max() > 1e-2


def test_the_weights_are_shared_but_for_the_last_layer():
    model = valid(flat)
    whole = dense(model)
    own = {id(variable) for variable in model.variables}
    copied = [variable for variable in whole.variables if id(variable) not in own]
    assert [variable.path.split("/")[-1] for variable in copied] == ["kernel", "bias"]
    assert count_macs(whole, (18, 18, 3)) == count_macs(model)
    trunk = count_macs(keras.Model(model.inputs, model.get_layer(index=3).output))
    grown = count_macs(keras.Model(model.inputs, model.get_layer(index=3).output), (26, 18, 3))
    assert count_macs(whole, (26, 18, 3)) == grown + 3 * (count_macs(model) - trunk)  # three windows


def test_a_network_of_any_size_needs_to_know_its_own():
    model = applications.ResNet20(input_shape=(None, None, 3), depths=(1, 1, 1), widths=(16, 16, 16), classes=5)
    with pytest.raises(ValueError, match=r"resnet20' was trained on.*Received: size=None"):
        dense(model)
    x = images(24, 16)
    fixed = applications.ResNet20(input_shape=(16, 16, 3), depths=(1, 1, 1), widths=(16, 16, 16), classes=5)
    fixed.set_weights(model.get_weights())
    expected = dense(fixed)(x)
    np.testing.assert_allclose(dense(model, (16, 16))(x), expected, atol=1e-6)
    np.testing.assert_allclose(dense(model.with_preprocess(Preprocess(size=(16, 16))))(x), expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"\(None, 16, 16, 3\).*size=\(8, 8\)"):
        dense(fixed, (8, 8))


def test_fine_tuned_sequences_with_a_network_inside():
    keras.utils.set_random_seed(1)
    trunk = applications.ResNet20(
        include_top=False, input_shape=(16, 16, 3), depths=(1, 1, 1), widths=(16, 16, 16), name="trunk"
    )
    model = keras.Sequential([keras.Input((16, 16, 3)), trunk, keras.layers.Flatten(), keras.layers.Dense(3)])
    x = images(16)
    np.testing.assert_allclose(dense(model)(x), model(x), atol=1e-5)
    assert np.isfinite(dense(model)(images(28, 20))).all()


def test_half_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = applications.VGG11(input_shape=(32, 32, 3), classes=5, widths=(4, 4, 8, 8, 8), hidden=(16, 12))
    x = images(32)
    whole = dense(model)
    assert whole(x).dtype == "float32" and whole.get_layer("features.0").compute_dtype == "bfloat16"
    np.testing.assert_allclose(whole(x), model(x), atol=1e-2)


def test_images_of_any_proportions_at_several_scales_are_evaluated(tmp_path):
    """VGG's section 4.2: dense, mirrored, several scales, posteriors averaged."""
    for name in ("dark", "light"):
        (tmp_path / name).mkdir()
        for i in range(3):
            image = RANDOM.integers(0, 100, (20 + 7 * i, 31 - 3 * i, 3)) + (150 if name == "light" else 0)
            (tmp_path / name / f"{i}.png").write_bytes(tf.io.encode_png(image.astype("uint8")).numpy())
    split = load(tmp_path, validation=0, test=0)
    model = opinionated(applications.VGG11(input_shape=(32, 32, 3), classes=2, widths=(4, 4, 8, 8, 8), hidden=(8,)))
    whole, scales, transform = dense(model), (Whole(32), Whole(48)), Preprocess()
    batches = evaluation_batches(split, 1, views=scales, transform=transform)
    assert {x[0].shape[1:3] == (2, 32) or x[0].shape[3] == 32 for x, _ in batches} == {True}
    expected = []
    for image, _ in split.dataset:
        views = [whole(transform(view[None])) for protocol in scales for view in protocol(image)]
        expected.append(np.mean(views, axis=0)[0])
    both = averaged(whole, whole)
    answers = np.concatenate([both.predict_on_batch(x) for x, _ in batches])
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    result = evaluate(both, batches, split.class_names, progress=False)
    assert result.examples == 6 and result.calibration is not None


def test_windows_by_hand():
    x = np.arange(12.0, dtype="float32").reshape(1, 3, 4, 1)
    windows = Windows((2, 3))(x)
    assert windows.shape == (1, 4, 2, 3, 1)
    np.testing.assert_array_equal(windows[0, 0, ..., 0], [[0, 1, 2], [4, 5, 6]])
    np.testing.assert_array_equal(windows[0, 1, ..., 0], [[1, 2, 3], [5, 6, 7]])
    np.testing.assert_array_equal(windows[0, 3, ..., 0], [[5, 6, 7], [9, 10, 11]])
    with pytest.raises(ValueError, match="its map is 1 x 4, a window 2 x 3"):
        Windows((2, 3))(keras.Input((1, 4, 2)))


class OneSize(keras.layers.Layer):
    def __init__(self):
        super().__init__(name="one")

    def call(self, inputs):
        return keras.ops.reshape(inputs, (-1, inputs.shape[1] // 2, inputs.shape[2] * 2, 1))


def test_a_layer_for_one_size_only_says_so():
    whole = dense(applications.STCNN())
    with pytest.raises(ValueError, match="layer 'st' is incompatible.*28, 28, 1"):
        whole(images(33, channels=1))


TINY = dict(patch=4, depth=1, width=8, hidden=8, heads=2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: applications.ViT_B16(input_shape=(8, 8, 3), classes=3, **TINY), r"'flatten' \(Flatten\) on a tensor"),
        (
            lambda: applications.Mixer_B16(
                input_shape=(8, 8, 3), classes=3, patch=4, depth=1, width=8, tokens=4, channels=4
            ),
            r"'avg_pool' \(GlobalAveragePooling1D\) on a tensor \(None, 4, 8\)",
        ),
        (lambda: applications.CapsNet(), r"'predictions' \(CapsuleLength\) on a tensor \(None, 10, 16\)"),
        (
            lambda: applications.MCDNN([applications.MCDNNColumnMNIST(layers="4C4-MP2-6C5-MP3-8N")] * 2),
            r"'column1' \(Functional\) on a tensor \(None, 29, 29, 1\)",
        ),
        (
            lambda: keras.Sequential([keras.Input((8, 8, 1)), OneSize(), keras.layers.Flatten()]),
            "'one' .OneSize. has to",
        ),
        (lambda: keras.Sequential([keras.layers.Dense(2)]), "from no known input"),
        (lambda: keras.Model(a := keras.Input((4, 4, 1)), a), r"to \[\(None, 4, 4, 1\)\]"),
    ],
)
def test_what_it_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        dense(make())

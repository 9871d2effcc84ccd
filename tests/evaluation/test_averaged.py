import keras
import numpy as np
import pytest

from kvision.classifier import Classifier, Origin, Preprocess
from kvision.data import TenCrops, evaluation_batches, load
from kvision.evaluation import averaged, evaluate
from kvision.export import for_inference

VIEWS = np.random.default_rng(0).normal(size=(3, 4, 9, 8, 2)).astype("float32")


def classifier(height=None, width=None, activation="softmax"):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((height, width, 2))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(6, 3, activation="relu")(inputs))
    return keras.Model(inputs, keras.layers.Dense(5, activation, kernel_initializer="normal", name="scores")(x))


def by_hand(model, views):
    return np.mean([model.predict(views[:, i], verbose=0) for i in range(views.shape[1])], axis=0)


@pytest.mark.parametrize("size", [(9, 8), (None, None), (None, 8)])
def test_is_the_mean_of_the_answers_to_each_view(size):
    model = classifier(*size)
    mean = averaged(model)
    assert mean.input_shape == (None, None, *size, 2) and mean.output_shape == (None, 5)
    np.testing.assert_allclose(mean.predict(VIEWS, verbose=0), by_hand(model, VIEWS), rtol=1e-5)
    np.testing.assert_allclose(mean(VIEWS[:1, :2]), by_hand(model, VIEWS[:1, :2]), rtol=1e-5)
    np.testing.assert_allclose(mean(VIEWS[:, :1]), model(VIEWS[:, 0]), rtol=1e-5)


def test_logits_become_probabilities_before_the_mean():
    logits, probabilities = classifier(activation=None), classifier()
    for layer in (logits, probabilities):
        layer.get_layer("scores").kernel.assign(np.random.default_rng(1).normal(size=(6, 5)) * 20)
    expected = by_hand(probabilities, VIEWS)
    np.testing.assert_allclose(averaged(logits, from_logits=True)(VIEWS), expected, rtol=1e-4, atol=1e-6)
    of_the_mean = keras.ops.softmax(averaged(logits)(VIEWS))
    assert np.abs(of_the_mean - expected).max() > 0.01


def test_the_weights_are_the_models_own():
    model = classifier()
    mean = averaged(model)
    before = mean(VIEWS).numpy()
    assert [id(weight) for weight in mean.weights] == [id(weight) for weight in model.weights]
    model.get_layer("scores").bias.assign([0, 0, 0, 0, 9])
    assert (mean(VIEWS)[:, 4] > 0.9).numpy().all() and (before[:, 4] < 0.9).all()


def test_a_classifier_saves_exports_and_is_evaluated(tmp_path):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(8, 3)(inputs))
    x = keras.layers.Dense(10, "softmax")(keras.layers.Flatten()(x))
    model = Classifier(inputs, x, name="small", origin=Origin("Small", preprocess=Preprocess(size=(8, 8))))
    mean = averaged(model)
    split = load("digits", "validation")
    batches = evaluation_batches(split, 64, views=TenCrops(8, 9)).take(2)
    result = evaluate(mean, batches, split.class_names, progress=False)
    images, labels = (np.concatenate(part) for part in zip(*batches.as_numpy_iterator(), strict=True))
    expected = by_hand(model, images)
    assert result.examples == 128 and result.top1 == np.mean(expected.argmax(1) == labels)
    assert len(result.mistakes) == 128 * (1 - result.top1)

    mean.save(tmp_path / "mean.keras")
    loaded = keras.models.load_model(tmp_path / "mean.keras")
    for same in loaded, for_inference(mean):
        np.testing.assert_allclose(same.predict(images[:9], verbose=0), expected[:9], atol=1e-5)
    assert loaded.get_layer("small").origin == model.origin


def test_half_precision_is_averaged_in_float32():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((9, 8, 2))
    x = keras.layers.Dense(5, "softmax", dtype="mixed_bfloat16")(keras.layers.GlobalAveragePooling2D()(inputs))
    model = keras.Model(inputs, x)
    answer = averaged(model)(VIEWS)
    assert answer.dtype == "float32"
    np.testing.assert_allclose(answer, by_hand(model, VIEWS).astype("float32"), atol=4e-3)


def test_several_models_have_views_of_their_own():
    small, any_size = classifier(4, 5), classifier()
    views = VIEWS[:, :2, :4, :5], VIEWS, VIEWS[:, :1]
    mean = averaged(small, any_size, any_size)
    expected = np.mean([by_hand(m, v) for m, v in zip((small, any_size, any_size), views, strict=True)], axis=0)
    np.testing.assert_allclose(mean.predict(views, verbose=0), expected, rtol=1e-5)
    # Batch by batch, in a tuple, as `evaluation_batches(views=(..., ...))` makes them.
    labels = expected.argmax(1)
    batches = [(tuple(v[:2] for v in views), labels[:2]), (tuple(v[2:] for v in views), labels[2:])]
    assert evaluate(mean, batches, list("abcde"), progress=False).top1 == 1
    with pytest.raises(ValueError, match="at least one model"):
        averaged()


INPUT = keras.Input((4, 4, 1))
FLAT = keras.layers.Flatten()(INPUT)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (keras.Model(INPUT, INPUT, name="maps"), r"'maps' from \[\(None, 4, 4, 1\)\] to \[\(None, 4, 4, 1\)\]"),
        (keras.Model(INPUT, [FLAT, FLAT]), r"to \[\(None, 16\), \(None, 16\)\]"),
        (keras.Model([INPUT, keras.Input((2,))], FLAT), r"from \[\(None, 4, 4, 1\), \(None, 2\)\]"),
        (keras.Sequential([keras.layers.Dense(2)]), "from no known input"),
    ],
)
def test_what_it_refuses(model, message):
    with pytest.raises(ValueError, match=message):
        averaged(model)

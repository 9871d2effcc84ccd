"""A served network answers more than scores: features, and any tensor of its graph."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision import applications
from kvision.applications import capsnet, vit
from kvision.classifier import Preprocess
from kvision.export import savedmodel
from kvision.layers import SpatialTransformer
from tests.applications.test_serving import spread_out

HALF = Preprocess((0.5,), (0.3,))


def asked(model, folder, **options):
    """The signatures' answers to two images, `tensor` and `serving_default` with garbage between, and the pixels."""
    loaded = tf.saved_model.load(str(savedmodel(model, folder, preprocess=HALF, **options)))
    pixels = np.random.default_rng(0).integers(0, 256, (2, *model.input_shape[1:]), dtype="uint8")
    images = [tf.io.encode_png(image).numpy() for image in pixels]
    images = tf.constant([images[0], b"no image", images[1]])
    answers = loaded.signatures["tensor"](pixels=tf.constant(pixels, tf.float32))
    served = loaded.signatures["serving_default"](images=images)
    assert served["ok"].numpy().tolist() == [True, False, True]
    for name in answers.keys() - {"scores"}:
        np.testing.assert_allclose(served[name][::2], answers[name], atol=1e-5)
        assert not served[name][1].numpy().any() and served[name].dtype == tf.float32
    return loaded, images, answers, HALF(pixels)


def near(ours, expected):
    assert np.shape(ours) == np.shape(expected)
    assert np.abs(ours - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.fixture(scope="module")
def resnet():
    model = applications.ResNet20(input_shape=(16, 16, 3), depths=(1, 1, 1), widths=(16, 16, 16))
    spread_out(model)
    return model


@pytest.mark.parametrize(("features", "layer"), [(True, "avg_pool"), ("layer2.0.bn2", "layer2.0.bn2")])
def test_features(resnet, tmp_path, features, layer):
    loaded, images, answers, x = asked(resnet, tmp_path, features=features)
    assert set(loaded.signatures) == {"serving_default", "tensor", "features"} and set(answers) == {"scores"}
    found = loaded.signatures["features"](images=images)
    assert found["ok"].numpy().tolist() == [True, False, True] and not found["features"][1].numpy().any()
    near(found["features"].numpy()[::2], keras.Model(resnet.input, resnet.get_layer(layer).output)(x).numpy())


def test_no_features(resnet, tmp_path, caplog):
    loaded = tf.saved_model.load(str(savedmodel(resnet, tmp_path, preprocess=HALF, features=False)))
    assert set(loaded.signatures) == {"serving_default", "tensor"} and not caplog.text
    nin = applications.NIN(widths=((4, 4, 4),) * 3, input_shape=(16, 16, 3))
    folder = savedmodel(nin, tmp_path, preprocess=HALF)
    assert "'nin' has no dense layer, and is exported without the signature `features`" in caplog.text
    assert set(tf.saved_model.load(str(folder)).signatures) == {"serving_default", "tensor"}


def test_what_a_spatial_transformer_saw(tmp_path):
    model = applications.STCNN(convolutions=((4, 9), (6, 7)))
    spread_out(model)
    assert isinstance(model.get_layer("st"), SpatialTransformer)
    _, _, answers, x = asked(model, tmp_path, outputs={"crops": "st"})
    near(answers["crops"].numpy(), model.get_layer("st")(x).numpy())
    assert np.abs(answers["crops"] - x).max() > 0.01


def test_attention_maps(tmp_path):
    model = applications.ViT_B16(
        input_shape=(32, 48, 3), patch=8, depth=2, width=16, hidden=24, heads=2, classes=5, classifier_activation=None
    )
    spread_out(model)
    maps = vit.attention_maps(model).outputs
    _, _, answers, x = asked(model, tmp_path, outputs={"attention": keras.ops.stack(maps, axis=1)})
    expected = np.stack(vit.attention_maps(model)(x), 1)
    assert answers["attention"].shape == (2, 2, 2, 25, 25)
    near(answers["attention"].numpy(), expected)
    near(answers["scores"].numpy(), model(x).numpy())


def test_reconstruction_by_a_capsnet(tmp_path):
    model = applications.CapsNet(
        input_shape=(20, 24, 1), filters=8, capsules=12, dimensions=(4, 6), decoder=(8,), classes=5
    )
    spread_out(model)
    head, capsules = capsnet.decoder(model), model.get_layer("digitcaps").output
    reconstruction = head.reconstruct(capsules, head.shown(model.output, 5))
    loaded, _, answers, x = asked(model, tmp_path, features=False, outputs={"reconstruction": reconstruction})
    near(answers["reconstruction"].numpy(), capsnet.reconstruct(model, x).numpy())
    plain = tf.saved_model.load(str(savedmodel(model, tmp_path, preprocess=HALF, features=False)))
    decoder = 20 * 24  # its last layer gives pixels
    assert decoder not in {v.shape[-1] for v in plain.network.weights}
    assert decoder in {v.shape[-1] for v in loaded.network.weights}


def test_half_precision_does_not_widen_what_is_answered(resnet, tmp_path):
    loaded, _, answers, x = asked(resnet, tmp_path, outputs={"middle": "layer2.0.relu"}, dtype="bfloat16")
    assert answers["middle"].dtype == tf.float32
    assert {v.dtype for v in loaded.network.weights if v.shape.rank == 4} == {tf.bfloat16}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(features="avg_pol"), "has no layer 'avg_pol'. Did you mean avg_pool"),
        (dict(outputs={"crops": "nowhere"}), "has no layer 'nowhere'"),
        (dict(outputs={"scores": "avg_pool"}), "none of.*Received: 'scores'"),
        (dict(outputs={"a b": "avg_pool"}), "is an identifier"),
        (dict(outputs={"other": keras.layers.Flatten()(keras.Input((16, 16, 3)))}), "does not compute"),
        (dict(outputs={"one": keras.Input(batch_shape=(1, 3))}), "first axis of an output"),
    ],
)
def test_outputs_that_are_not_there(resnet, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        savedmodel(resnet, tmp_path, preprocess=HALF, **options)

"""A SavedModel that a process without Keras and kvision loads, and that answers what the model answers."""

import json
import pathlib
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvision import applications
from kvision.classifier import Preprocess
from kvision.data import decode_image, resize_for_evaluation
from kvision.export import savedmodel
from tests.export.test_encoded import BOMBS
from tests.serving import operations

RANDOM = np.random.default_rng(0)
LABELS = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu"]
PREPROCESS = Preprocess((0.5, 0.4, 0.3), (0.2, 0.2, 0.3), size=(32, 32), crop_fraction=0.875, interpolation="bicubic")


def network(shape=(32, 32, 3), classes=7, preprocess=PREPROCESS):
    """A ResNet whose answers depend on the image: statistics of data, and a top that tells classes apart."""
    keras.utils.set_random_seed(1)
    model = applications.ResNet20(input_shape=shape, classes=classes, depths=(1, 1, 1))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    random = np.random.default_rng(1)
    model(random.normal(size=(8, 32, 32, shape[-1])).astype("float32"), training=True)
    model.get_layer("fc").kernel.assign(random.normal(0, 0.2, (64, classes)))
    return model.with_preprocess(preprocess)


def files(channels=3) -> dict[str, bytes]:
    image = RANDOM.integers(0, 256, (40, 56, 3), dtype="uint8")
    smooth = tf.cast(tf.image.resize(image[:5, :7], (200, 120)), tf.uint8)
    return {
        "large.jpg": tf.io.encode_jpeg(smooth).numpy(),
        "small.png": tf.io.encode_png(image[:9, :20]).numpy(),
        "grey.jpg": tf.io.encode_jpeg(image[..., :1]).numpy(),
        "alpha.png": tf.io.encode_png(np.concatenate([image, image[..., :1]], -1)).numpy(),
    }


def expected(model, contents, preprocess=PREPROCESS):
    """What the model says of a file, by the steps that evaluation takes."""
    pixels = resize_for_evaluation(
        decode_image(contents, model.input_shape[-1]), (32, 32), preprocess.crop_fraction, preprocess.interpolation
    )
    return model.predict_on_batch(preprocess(pixels)[None])[0]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model = network()
    return model, savedmodel(model, tmp_path_factory.mktemp("served"), LABELS, top=3)


LOAD = """
import json, pathlib, sys
sys.modules["keras"] = sys.modules["kvision"] = sys.modules["tf_keras"] = None
import tensorflow as tf
folder, *paths = sys.argv[1:]
model = tf.saved_model.load(folder)
contents = tf.constant([pathlib.Path(path).read_bytes() for path in paths])
answers = []
for _ in range(2):
    answer = model.signatures["serving_default"](images=contents)
    answers.append({name: value.numpy().tolist() for name, value in answer.items()})
assert answers[0] == answers[1]
answers[0]["labels"] = [[label.decode() for label in row] for row in answers[0]["labels"]]
print(json.dumps(answers[0]))
"""


def test_another_process_without_keras_answers_the_same(exported, tmp_path):
    model, folder = exported
    contents = files() | {"garbage.jpg": b"no image", "cut.jpg": files()["large.jpg"][:600], "empty.png": b""}
    contents["bomb.png"] = BOMBS[0]
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-c", LOAD, str(folder), *(str(tmp_path / name) for name in contents)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    answer = json.loads(output.splitlines()[-1])
    assert answer["ok"] == [name in files() for name in contents]
    for (name, data), labels, scores in zip(contents.items(), answer["labels"], answer["scores"], strict=True):
        if name in files():
            truth = expected(model, data)
            order = np.argsort(-truth, kind="stable")[:3]
            assert labels == [LABELS[i] for i in order]
            np.testing.assert_allclose(scores, truth[order], atol=1e-4)
        else:
            assert labels == [""] * 3 and scores == [0.0] * 3


def test_an_error_instead_and_a_limit_of_pixels(tmp_path):
    contents = list(files().values())[:2]
    folder = savedmodel(network(), tmp_path, on_error="raise", max_pixels=200 * 120)
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    assert serve(images=tf.constant(contents))["ok"].numpy().tolist() == [True, True]
    with pytest.raises(tf.errors.InvalidArgumentError, match="no JPEG, PNG, GIF, BMP or WebP file"):
        serve(images=tf.constant([*contents, b"garbage"]))
    larger = tf.io.encode_png(tf.zeros((201, 120, 3), tf.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError, match="more pixels than the limit of.*24000.*201 120"):
        serve(images=tf.stack([larger]))


@pytest.mark.parametrize("constants", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_tensor_signature(tmp_path, dtype, constants):
    model = network()
    folder = savedmodel(model, tmp_path / "served", dtype=dtype, constants=constants)
    pixels = RANDOM.uniform(0, 255, (3, 32, 32, 3)).astype("float32")
    answer = tf.saved_model.load(str(folder)).signatures["tensor"](pixels=tf.constant(pixels))["scores"]
    truth = model.predict_on_batch(PREPROCESS(pixels))
    np.testing.assert_allclose(answer, truth, atol=1e-5 if dtype == "float32" else 0.1)
    assert answer.dtype == tf.float32 and len(np.unique(np.round(truth, 4))) > 7
    if constants and dtype == "float32":  # they are written once, for all signatures
        assert (folder / "saved_model.pb").stat().st_size < 1.7 * 4 * model.count_params()


def test_several_symbols_of_an_image(tmp_path):
    images = keras.Input((8, 12, 3))
    x = keras.layers.Reshape((2, 4))(keras.layers.Dense(8)(keras.layers.Flatten()(images)))
    model = keras.Model(images, keras.layers.Softmax()(x))
    folder = savedmodel(model, tmp_path / "served", ["a", "b", "c", "d"], Preprocess(), top=3)
    pixels = RANDOM.integers(0, 256, (2, 8, 12, 3), dtype="uint8")
    encoded = [tf.io.encode_png(image).numpy() for image in pixels]
    answer = tf.saved_model.load(str(folder)).signatures["serving_default"](
        images=tf.constant([encoded[0], b"no image", encoded[1]])
    )
    truth = model.predict_on_batch(Preprocess()(pixels))
    best = np.argsort(-truth)[..., :3]
    assert answer["ok"].numpy().tolist() == [True, False, True]
    np.testing.assert_allclose(answer["scores"][::2], np.take_along_axis(truth, best, -1), atol=1e-6)
    assert answer["labels"][::2].numpy().astype(str).tolist() == np.array(list("abcd"))[best].tolist()
    assert not answer["scores"][1].numpy().any() and set(answer["labels"][1].numpy().flat) == {b""}


def test_no_batch_norm_in_the_graph(exported):
    found = operations(exported[1])
    assert not {op for op in found if "BatchNorm" in op or op == "Rsqrt"} and "Conv2D" in found


def test_additions_are_fused_with_convolutions_in_a_session(exported):
    """As TensorFlow Serving runs it: of what it is fed, a session's optimizer knows no shape."""
    v1 = tf.compat.v1
    with v1.Session(graph=tf.Graph()) as session:
        signature = v1.saved_model.load(session, ["serve"], str(exported[1])).signature_def["tensor"]
        found, options = v1.RunMetadata(), v1.RunOptions(output_partition_graphs=True)
        pixels = {signature.inputs["pixels"].name: np.zeros((1, 32, 32, 3))}
        session.run(signature.outputs["scores"].name, pixels, options, found)
    names = [node.name for graph in found.partition_graphs for node in graph.node if node.op in ("AddV2", "Relu")]
    assert found.partition_graphs and not names


def test_saved_model_cli_runs_it(exported, tmp_path):
    model, folder = exported
    images = list(files().values())
    np.save(tmp_path / "images.npy", np.array(images))  # as bytes without pickles: none of the files ends in a zero
    command = [
        sys.executable,
        "-m",
        "tensorflow.python.tools.saved_model_cli",
        "run",
        "--dir",
        folder,
        "--tag_set=serve",
    ]
    options = ["--signature_def=serving_default", f"--inputs=images={tmp_path / 'images.npy'}", "--outdir", tmp_path]
    subprocess.run([*command, *options], check=True, capture_output=True, timeout=120)
    best = [np.sort(expected(model, data))[::-1][:3] for data in images]
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), best, atol=1e-4)
    assert np.load(tmp_path / "ok.npy").all()


def test_two_exports_are_the_same_to_the_byte(tmp_path):
    """In two processes: names of functions count up within one."""
    script = f"""
import sys; sys.path.insert(0, {str(pathlib.Path(__file__).parents[2])!r})
from tests.export.test_savedmodel import network, savedmodel, LABELS
savedmodel(network(), sys.argv[1], LABELS)
"""
    contents = []
    for name in "ab":
        subprocess.run([sys.executable, "-c", script, str(tmp_path / name)], check=True, timeout=120)
        found = {path.relative_to(tmp_path / name): path for path in (tmp_path / name).rglob("*") if path.is_file()}
        contents.append({key: path.read_bytes() for key, path in found.items() if path.name != "fingerprint.pb"})
    assert contents[0] == contents[1]


def test_versions_count_up_and_nothing_is_overwritten(tmp_path):
    model = network(classes=2)
    assert savedmodel(model, tmp_path / "served") == tmp_path / "served" / "1"
    assert savedmodel(model, tmp_path / "served") == tmp_path / "served" / "2"
    with pytest.raises(FileExistsError, match="exists and is kept"):
        savedmodel(model, tmp_path / "served" / "2")
    assert sorted(path.name for path in (tmp_path / "served").iterdir()) == ["1", "2"]


def test_grey_models_and_models_of_any_size(tmp_path):
    preprocess = Preprocess((0.3,), (0.4,), size=(32, 32))
    model = network((None, None, 1), preprocess=preprocess)
    serve = tf.saved_model.load(str(savedmodel(model, tmp_path, LABELS))).signatures["serving_default"]
    for data in files().values():
        answer = serve(images=tf.constant([data]))
        truth = expected(model, data, preprocess)
        np.testing.assert_allclose(answer["scores"][0], np.sort(truth)[::-1][:5], atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(labels=LABELS[:3]), "`labels` has one name for each of the model's 7 classes. Received: 3"),
        (dict(top=0), "`top` is at least 1"),
        (dict(max_pixels=0), "so is `max_pixels`"),
        (dict(on_error="skip"), '`on_error` is "mark" or "raise"'),
        (dict(dtype="int8"), "`dtype` is"),
        (dict(preprocess=replace(PREPROCESS, mean=(0.5,) * 2, std=(0.5,) * 2)), "for 2 channels"),
    ],
)
def test_bad_arguments(exported, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        savedmodel(exported[0], tmp_path / "served", **arguments)
    assert not (tmp_path / "served").exists() or not list((tmp_path / "served").iterdir())


def test_models_that_cannot_be_served(tmp_path):
    plain = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="Nothing says how pixels become the input"):
        savedmodel(applications.ResNet20(), tmp_path)
    with pytest.raises(ValueError, match="has no fixed size"):
        savedmodel(applications.ResNet20(input_shape=(None, None, 3)), tmp_path, preprocess=Preprocess())
    with pytest.raises(ValueError, match="one input"):
        savedmodel(applications.ResNet20(include_top=False), tmp_path, preprocess=PREPROCESS)
    with pytest.raises(ValueError, match="1 or 3 channels"):
        savedmodel(applications.ResNet20(input_shape=(8, 8, 5)), tmp_path, preprocess=Preprocess())
    assert savedmodel(plain, tmp_path, preprocess=PREPROCESS).name == "1"

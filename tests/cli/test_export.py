"""kvision export and predict: what they write and what they answer."""

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf

from kvision import applications
from kvision.classifier import Preprocess
from kvision.cli.main import main
from kvision.export.warmup import WARMUP


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A .keras file of a network that reads two symbols, a list of three labels, and two images."""
    folder = tmp_path_factory.mktemp("models")
    row = applications.SVHNCNN
    model = row(input_shape=(16, 16, 3), classes=3, widths=(4,), pooled=(1,), hidden=(8,), digits=2)
    model.with_preprocess(Preprocess()).save(folder / "house numbers.keras")
    (folder / "labels.txt").write_text("one\ntwo\nnone\n")
    random = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        image = random.integers(0, 256, (20, 30, 3), dtype="uint8")
        (folder / name).write_bytes(tf.io.encode_png(image).numpy())
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


def test_exports_a_file_and_predict_asks_it(folder, tmp_path, capsys):
    arguments = ["--output=maps=conv1", "--features=fc1", "--warmup", "--max_pixels=600"]
    file, labels = folder / "house numbers.keras", folder / "labels.txt"
    assert main(["export", str(file), f"--out={tmp_path / 'served'}", f"--labels={labels}", *arguments]) == 0
    told = capsys.readouterr().out
    assert (
        f"The SavedModel: {tmp_path / 'served' / '1'}" in told and ":/models/house-numbers tensorflow/serving" in told
    )
    assert (tmp_path / "served" / "1" / WARMUP).is_file() and (tmp_path / "served" / "models.config").is_file()
    loaded = tf.saved_model.load(str(tmp_path / "served" / "1"))
    image = tf.constant([(folder / "a.png").read_bytes()])
    assert loaded.signatures["features"](images=image)["features"].shape == (1, 8)
    assert loaded.signatures["serving_default"](images=image)["maps"].shape == (1, 16, 16, 4)

    images = [str(folder / name) for name in ("a.png", "broken.jpg", "b.png")]
    assert main(["predict", str(tmp_path / "served"), "--batch=2", *images]) == 1
    first, second, third = capsys.readouterr().out.splitlines()
    assert second == f"{folder / 'broken.jpg'}: no readable image"
    for line, name in ((first, "a.png"), (third, "b.png")):
        symbols = line.removeprefix(f"{folder / name}: ").split(", ")
        assert len(symbols) == 2 and all(symbol.split()[0] in ("one", "two", "none") for symbol in symbols)


@pytest.mark.parametrize("runtime", ["onnx", "litert"])
def test_exports_for_another_runtime(folder, tmp_path, capsys, runtime):
    file = tmp_path / "file"
    assert main(["export", str(folder / "house numbers.keras"), f"--to={runtime}", f"--out={file}"]) == 0
    assert f"pixels to scores: {file}" in capsys.readouterr().out and file.stat().st_size > 1000
    if runtime == "onnx":
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        (scores,) = session.run(["scores"], {"pixels": np.zeros((2, 16, 16, 3), "float32")})
        assert scores.shape == (2, 2, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("export KERAS", "Pass a run folder, or a .keras file and --out."),
        ("export KERAS EXTRA --out=OUT", "takes one run folder or .keras file"),
        ("export KERAS --model=KERAS --out=OUT", "takes one run folder or .keras file"),
        ("export KERAS --out=OUT --to=onnx --top=3 --constants", "--to=onnx takes no --constants, --top: it has the"),
        ("export KERAS --out=OUT --features=fc", "no layer 'fc'. Did you mean fc1"),
        ("export KERAS --out=OUT --name=two/words", "A model's name has letters"),
        ("export nowhere --out=OUT", "no file 'nowhere'"),
        ("predict FOLDER", "Name the image files"),
        ("predict image.png", "There is no file image.png"),
    ],
)
def test_errors_name_what_is_wrong(folder, tmp_path, capsys, arguments, message):
    places = {"KERAS": folder / "house numbers.keras", "OUT": tmp_path / "out", "FOLDER": folder}
    words = arguments.split()
    for name, path in places.items():
        words = [word.replace(name, str(path)) for word in words]
    assert main(words) == 1
    assert message in capsys.readouterr().err

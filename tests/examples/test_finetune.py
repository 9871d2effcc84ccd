"""The example of fine-tuning: its comparison, and its way from a checkpoint file to a served classifier."""

import runpy
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import save_file

from kvision import applications
from kvision.evaluation import Evaluation
from kvision.weights import Lineage, state_dict_names
from kvision.weights.loader import to_torch_layout

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return runpy.run_path(str(EXAMPLES / "finetune.py"))["main"]


def test_the_comparison(example, tmp_path, capsys):
    example(["--seeds=1", "--epochs=3", "--pretraining=1", f"--run={tmp_path / 'run'}"])
    table = (tmp_path / "run" / "table.md").read_text(encoding="utf-8")
    header, _, *rows = table.splitlines()
    assert header == "| network | validation accuracy, % | test accuracy, % |"
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [
        "from scratch", "the head alone", "the head, then everything", "the same, rates by block"
    ]  # fmt: skip
    assert len({row.split(" | ", 1)[1] for row in rows}) > 2  # they are trainings of their own
    assert table in capsys.readouterr().out
    assert keras.models.load_model(tmp_path / "run" / "letters-0.keras").output_shape == (None, 52)
    assert (tmp_path / "run" / "curves.png").stat().st_size > 10_000
    labels = ask(tmp_path / "run", [tf.io.encode_png(tf.zeros((8, 8, 1), "uint8")).numpy()])
    assert len(labels[0]) == 5 and set(labels[0]) < set(map(str, range(10)))


def checkpoint(path):
    """A network of seven classes as PyTorch would have saved it."""
    network = applications.ResNet20(classes=7)
    variables = {name: np.array(variable) for name, variable in state_dict_names(network).items()}
    tensors = {name: to_torch_layout(array, name, Lineage()) for name, array in variables.items()}
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, path)


def photographs(folder, count):
    for number in range(count):
        path = folder / ("dark", "light")[number % 2] / f"{number}.{('jpg', 'png')[number // 2 % 2]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.random.default_rng(number).integers(0, 100, (40, 36, 3)) + 120 * (number % 2)
        keras.utils.save_img(path, image, scale=False)


def ask(run, files):
    """The labels that the served network gives each of the files, the best first."""
    served = tf.saved_model.load(str(run / "served" / "1")).signatures["serving_default"]
    answer = served(images=tf.constant(files))
    assert answer["ok"].numpy().all()
    return [[label.decode() for label in row] for row in answer["labels"].numpy()]


def test_from_a_checkpoint_to_photographs(example, tmp_path, capsys):
    checkpoint(tmp_path / "model.safetensors")
    photographs(tmp_path / "photos", 80)
    flags = ["--model=ResNet20", f"--weights={tmp_path / 'model.safetensors'}", f"--data={tmp_path / 'photos'}"]
    example([*flags, "--epochs=6", f"--run={tmp_path / 'run'}"])
    report = Evaluation.load(tmp_path / "run" / "report.json")
    assert report.class_names == ("dark", "light") and report.examples == 8 and report.top1 == 1
    assert str(report) in capsys.readouterr().out
    assert keras.models.load_model(tmp_path / "run" / "model.keras").origin.weights == "model.safetensors"
    assert (tmp_path / "run" / "curves.png").stat().st_size > 10_000
    files = [next((tmp_path / "photos").glob(pattern)) for pattern in ("dark/*.jpg", "light/*.png")]
    assert ask(tmp_path / "run", [file.read_bytes() for file in files]) == [["dark", "light"], ["light", "dark"]]


@pytest.mark.parametrize("flag", ["--weights=imagenet", "--data=photos"])
def test_weights_and_photographs_belong_together(example, tmp_path, capsys, flag):
    with pytest.raises(SystemExit):
        example([flag, f"--run={tmp_path / 'run'}"])
    assert "--weights and --data belong together" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()

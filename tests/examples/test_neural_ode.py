"""The example's whole path, on narrow networks and one step of training."""

import runpy
import sys
from pathlib import Path

import keras

from kvision import data
from kvision.applications import neural_ode

EXAMPLES = Path(__file__).parents[2] / "examples"


class Brief(keras.layers.Layer):
    """An equation that is traced in a moment."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width

    def build(self, t_shape, y_shape):
        self.kernel = self.add_weight((self.width, self.width))

    def call(self, t, y):
        return keras.ops.sin(3 * y @ self.kernel + t)


def test_the_table_and_the_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(EXAMPLES)
    import benchmarks.memory

    monkeypatch.setattr(benchmarks.memory, "apart", lambda memory, name, *sizes: memory("1-layer MLP", *sizes))
    run = tmp_path / "run"
    monkeypatch.setattr(neural_ode, "ConvolutionalDynamics", Brief)
    digits = next(iter(data.evaluation_batches(data.load("digits"), 60)))
    images, labels = digits[0].numpy().astype("uint8"), digits[1].numpy()
    load = data.load
    monkeypatch.setattr(data, "load", lambda source, split: load((images, labels), split))
    sizes = ["--seeds=1", "--epochs=1", "--width=4", "--batch=40", "--solver=bosh3"]
    monkeypatch.setattr(sys, "argv", ["", *sizes, f"--run={run}"])
    runpy.run_path(str(EXAMPLES / "neural_ode.py"), run_name="__main__")

    text = (run / "table.md").read_text()
    assert text in capsys.readouterr().out
    networks, tolerances = (
        [[cell.strip() for cell in line.split("|")[1:-1]] for line in part.splitlines()] for part in text.split("\n\n")
    )
    assert [row[0] for row in networks[2:]] == ["1-layer MLP", "ResNet", "RK-Net", "ODE-Net"]
    columns = {name: column for name, *column in zip(*networks, strict=True)}
    mlp, resnet, rk, ode = (float(count) for count in columns["parameters (k)"][1:])
    assert mlp == 238.51 and rk == ode < resnet / 2
    forward, backward = ([float(x) for x in columns[f"NFE {way}"][1:]] for way in ("forward", "backward"))
    assert forward[:2] == [0, 0] and forward[2] == forward[3] > 8  # no training step has told them apart
    assert backward[:3] == [0, 0, 0] and backward[3] > 8
    assert all(0 <= float(error) <= 100 for error in columns["test error (%)"][1:])

    assert [row[0] for row in tolerances[2:]] == ["0.1", "0.01", "0.001", "0.0001", "1e-05"]
    evaluations, errors = ([float(row[column]) for row in tolerances[2:]] for column in (1, 3))
    assert evaluations == sorted(evaluations) and evaluations[0] < evaluations[-1]
    assert errors[-1] < 1e-3 and errors[-1] < errors[0]
    assert (run / "evaluations.png").stat().st_size > 10_000

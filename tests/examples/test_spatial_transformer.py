"""The example's main path on a few images."""

import runpy
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def table(path):
    """The cells of a Markdown table, row by row."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in path.read_text().splitlines()]
    return [rows[0], *rows[2:]]


@pytest.fixture
def folder(tmp_path):
    """Two classes of 50 grey images: bars that lie and bars that stand, each of a brightness of its own."""
    image = np.zeros((28, 28, 1))
    image[10:18] = 1
    for name, bar in (("lying", image), ("standing", image.swapaxes(0, 1))):
        (tmp_path / "bars" / name).mkdir(parents=True)
        for number in range(50):
            keras.utils.save_img(tmp_path / "bars" / name / f"{number}.png", (255 - number) * bar, scale=False)
    return tmp_path / "bars"


def test_both_are_compared_and_the_transformer_is_shown(folder, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    monkeypatch.syspath_prepend(EXAMPLES)
    flags = [f"--data={folder}", "--seeds=1", "--epochs=1", f"--run={run}"]
    monkeypatch.setattr(sys, "argv", ["spatial_transformer.py", *flags])
    runpy.run_path(str(EXAMPLES / "spatial_transformer.py"), run_name="__main__")
    head, plain, transformed = table(run / "table.md")
    assert head == ["network", "parameters", "test error in %"]
    assert plain[0] == "CNN" and transformed[0] == "ST-CNN"
    assert float(transformed[1]) == pytest.approx(float(plain[1]), rel=0.01)
    assert 0 <= float(plain[2]) <= 100 and 0 <= float(transformed[2]) <= 100
    for picture in ("transformed.png", "learning.png"):
        assert (run / picture).stat().st_size > 1000
    assert capsys.readouterr().out.splitlines()[-1] == f"Table and pictures: {run}"

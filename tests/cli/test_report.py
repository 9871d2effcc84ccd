"""`kvision report`, on real runs of a few seconds."""

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import tensorflow as tf

from kvision.cli.main import main

TRAIN = ("--model=LeNet5Modern", "--data=digits", "--size=32", "--noflip", "--padding=1", "--epochs=2", "--rate=0.02")


class Page(HTMLParser):
    """What a browser would find: pictures, headings, text, and whatever it would have to fetch."""

    def __init__(self, text):
        super().__init__()
        self.pictures, self.fetched, self.tags, self.text = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if tag == "img" and name == "src":
                head, _, data = value.partition(",")
                assert head == "data:image/png;base64"
                self.pictures.append(tf.io.decode_png(base64.b64decode(data)).numpy())
            elif name in ("src", "href") and not value.startswith("#"):
                self.fetched.append(value)

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        assert main(["train", *TRAIN, f"--seed={seed}", f"--run={folder / f'seed{seed}'}"]) == 0
    return folder


def read(path):
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    return page, re.sub(r"\s+", " ", " ".join(page.text))


def test_a_run_becomes_one_file(runs, capfd):
    run = runs / "seed0"
    assert not (run / "report.json").exists()
    assert main(["report", str(run)]) == 0  # evaluates it first
    told = capfd.readouterr().out
    report = json.loads((run / "report.json").read_text())
    assert f"The page: {run / 'report.html'}" in told and f"top-1 {report['top1']:.2%}" in told
    page, text = read(run / "report.html")
    assert len(page.pictures) == 4 and all(min(picture.shape[:2]) > 200 for picture in page.pictures)
    assert not page.fetched and "script" not in page.tags and "link" not in page.tags
    for part in (
        "LeNet5Modern on digits",
        f"{report['top1']:.2%}",
        f"{report['ece']:.2%}",
        "How it was trained",
        "Learning curves",
        "Confusion matrix",
        "Classes, the worst first",
        "The most confident mistakes",
        "Gradient-Based Learning Applied to Document Recognition. Yann LeCun",
        "Multiply-adds",
        "images a second",
        "the test split",
    ):
        assert part in text, part
    recalls = [of["recall"] for of in report["per_class"]]
    worst = report["per_class"][int(np.argmin(recalls))]["name"]
    table = text.split("Classes, the worst first")[-1]
    assert table.split(" F1 ")[1].strip().startswith(worst)
    before = (run / "report.json").read_bytes()
    assert main(["report", f"--run={run}", f"--out={runs / 'elsewhere'}"]) == 0  # what is measured stays
    assert (runs / "elsewhere" / "report.html").is_file() and (run / "report.json").read_bytes() == before


def test_several_runs_are_compared(runs, capfd):
    names = [str(runs / f"seed{seed}") for seed in (0, 1)]
    assert main(["report", *names]) == 0
    told = capfd.readouterr().out
    tops = [json.loads((runs / name / "report.json").read_text())["top1"] for name in ("seed0", "seed1")]
    line = next(line for line in told.splitlines() if line.startswith("Top-1"))
    expected = [np.mean(tops), np.std(tops, ddof=1), np.median(tops), min(tops), max(tops)]
    assert line.split()[2:] == [f"{value:.2%}" for value in expected]
    page, text = read(runs / "report.html")
    assert "2 runs of LeNet5Modern on digits" in text and len(page.pictures) == 2
    assert f"{np.mean(tops):.2%}" in text and "seed0" in text and "What they have in common" in text
    assert tf.io.decode_png((runs / "spread.png").read_bytes()).shape[0] > 100


def test_what_a_folder_lacks_is_left_out_and_what_it_tells_is_escaped(runs):
    """Older reports know no calibration; configurations of any kind are told."""
    run = runs / "seed1"
    if not (run / "report.json").exists():
        assert main(["evaluate", f"--run={run}"]) == 0
    report = json.loads((run / "report.json").read_text())
    for name in ("calibration", "ece", "mce", "nll", "brier", "protocol"):
        del report[name]
    report["class_names"][3] = "<script>alert('three')</script> & more"
    config = json.loads((run / "config.json").read_text())
    told = {
        "command": ["kvision", "train", "--data=a b"],
        "versions": {"keras": "3.15.1", "tensorflow": "2.21.0"},
        "recipe": {"name": "he2016", "rate": 0.1},
        "fingerprint": {"train": "ab12", "test": None},
    }
    lacking = runs / "lacking"
    lacking.mkdir()
    (lacking / "report.json").write_text(json.dumps(report))
    (lacking / "config.json").write_text(json.dumps({**config, **told, "data": "<b>photos</b>"}))
    (lacking / "model.keras").write_bytes((run / "model.keras").read_bytes())
    assert main(["report", str(lacking)]) == 0
    page, text = read(lacking / "report.html")
    assert "script" not in page.tags and "<script>alert('three')</script> & more" in text and "b" not in page.tags
    assert len(page.pictures) == 1 and "Learning curves" not in text  # the confusion matrix
    assert "no probabilities" in text and "Calibration error" not in text
    assert "kvision train '--data=a b'" in text and "keras 3.15.1, tensorflow 2.21.0" in text
    assert "name he2016, rate 0.1" in text and "train ab12, test –" in text

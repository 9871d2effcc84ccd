"""The comparison of CapsNet and its baseline, on a few digits."""

import os
import subprocess
import sys
from pathlib import Path

from keras.utils import array_to_img
from sklearn.datasets import load_digits

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_capsules(tmp_path):
    images, labels = load_digits(return_X_y=True)
    for number in range(120):
        folder = tmp_path / "digits" / str(labels[number])
        folder.mkdir(parents=True, exist_ok=True)
        array_to_img(images[number].reshape(8, 8, 1) * 15, scale=False).save(folder / f"{number}.png")
    flags = ["--seeds=1", "--epochs=1", "--size=11", f"--data={tmp_path / 'digits'}", f"--run={tmp_path / 'run'}"]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent), "PYTHONWARNINGS": "error"}
    subprocess.run([sys.executable, EXAMPLES / "capsules.py", *flags], check=True, env=environment)
    table = (tmp_path / "run" / "table.md").read_text(encoding="utf-8").splitlines()
    assert table[0] == "| network | both digits right, % | thousand parameters |"
    capsnet, baseline = ([cell.strip() for cell in row.split("|")[1:-1]] for row in table[2:])
    assert (capsnet[0], baseline[0]) == ("CapsNet", "baseline")
    assert 0 <= float(capsnet[1]) <= 100 and 0 <= float(baseline[1]) <= 100
    assert abs(float(capsnet[2]) / float(baseline[2]) - 1) < 0.005
    for picture in ("pairs.png", "perturbations.png"):
        assert (tmp_path / "run" / picture).read_bytes().startswith(b"\x89PNG")

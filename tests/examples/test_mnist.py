"""The examples on MNIST, which `--data=mnist` finds where it was downloaded: its files, with a few other digits."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from sklearn.datasets import load_digits

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The folder of TFDS, in which MNIST is prepared."""
    images, labels = load_digits(return_X_y=True)
    images = np.kron(15 * images.reshape(-1, 8, 8), np.ones((3, 3)))  # 24x24
    images = np.pad(images, ((0, 0), (2, 2), (2, 2)))[..., None].astype("uint8")

    def split(numbers):
        return ((int(number), {"image": images[number], "label": int(labels[number])}) for number in numbers)

    folder = tmp_path_factory.mktemp("tfds")
    builder = tfds.builder("mnist", data_dir=folder)
    builder._split_generators = lambda manager: {"train": split(range(140)), "test": split(range(140, 180))}
    builder.download_and_prepare()
    return folder


@pytest.mark.parametrize(
    ("script", "flags"),
    [
        ("spatial_transformer.py", []),
        pytest.param("spatial_transformer.py", ["--distortion=TC"], marks=pytest.mark.slow),
        pytest.param("capsules.py", ["--size=28", "--shift=4"], marks=pytest.mark.slow),
        pytest.param("neural_ode.py", ["--width=16", "--solver=bosh3"], marks=pytest.mark.slow),
    ],
)
def test_an_example_runs_on_mnist(prepared, tmp_path, script, flags):
    command = [sys.executable, EXAMPLES / script, "--data=mnist", "--seeds=1", "--epochs=1", *flags]
    environment = {**os.environ, "TFDS_DATA_DIR": str(prepared), "PYTHONPATH": str(EXAMPLES.parent)}
    subprocess.run([*command, f"--run={tmp_path}"], check=True, env=environment, timeout=900)
    assert (tmp_path / "table.md").read_text().count("\n") > 2
    assert list(tmp_path.glob("*.png"))

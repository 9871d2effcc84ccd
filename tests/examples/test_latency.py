"""The benchmark of latency prints a row for each batch size, of encoded images and of pixels."""

import subprocess
import sys
from pathlib import Path

import keras
import pytest

from kvision.classifier import Preprocess
from kvision.export import savedmodel

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmarks" / "latency.py"


@pytest.mark.parametrize("signature", ["serving_default", "tensor"])
def test_prints_percentiles_of_each_batch_size(tmp_path, signature):
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    folder = savedmodel(model, tmp_path, preprocess=Preprocess())
    arguments = [folder, f"--signature={signature}", "--batches=1,3", "--seconds=0"]
    output = subprocess.run(
        [sys.executable, SCRIPT, *arguments], check=True, capture_output=True, text=True, timeout=120
    ).stdout
    _, header, *rows = output.splitlines()
    assert header.split() == ["batch", "p50", "p90", "p99", "images/s", "calls"]
    assert [row.split()[0] for row in rows] == ["1", "3"]
    for row in rows:
        _, p50, p90, p99, rate, calls = map(float, row.split())
        assert 0 < p50 <= p90 <= p99 and rate > 0 and calls == 2

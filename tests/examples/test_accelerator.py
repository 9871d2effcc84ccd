"""The benchmark of accelerators runs on any device of JAX, and prints rates and shares of the peak."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kvision import applications
from kvision.evaluation import count_macs

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmarks" / "accelerator.py"


def test_prints_rates_and_shares():
    tiny = ["--models=ResNet18", "--batch=2", "--size=32", "--steps=1", "--rounds=1", "--matmul=256", "--notimm"]
    process = subprocess.run([sys.executable, SCRIPT, *tiny], capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
    line = process.stdout.splitlines()[-1]
    numbers = re.fullmatch(r"ResNet18 on cpu \((\S+) TFLOP/s\): kvision (\S+) \(\S+ to \S+\), (\S+)% of the peak", line)
    peak, rate, share = map(float, numbers.groups())
    operations = 6 * count_macs(applications.ResNet18(input_shape=(32, 32, 3)))
    assert share == pytest.approx(100 * rate * operations / (1e12 * peak), rel=0.02, abs=0.06)

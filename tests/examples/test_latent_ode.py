"""The latent ODE on spirals, as short as it gets."""

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_latent_ode(tmp_path):
    flags = ["--seeds=1", "--epochs=1", f"--run={tmp_path / 'run'}"]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent), "PYTHONWARNINGS": "error"}
    subprocess.run([sys.executable, EXAMPLES / "latent_ode.py", *flags], check=True, env=environment)
    table = (tmp_path / "run" / "table.md").read_text(encoding="utf-8").splitlines()
    assert table[0] == "| network | RMSE within | RMSE after | RMSE before | ELBO (nats) | parameters |"
    network, parabola, cubic = ([cell.strip() for cell in row.split("|")[1:-1]] for row in table[2:])
    assert (network[0], network[5]) == ("latent ODE", "1654") and float(network[4]) < 0
    # A cubic has the fewest errors where it was fitted, and those of noise alone: 0.3 sqrt(2 * 4 / 50) = 0.12.
    assert 0.1 < float(cubic[1]) < 0.14 and float(parabola[1]) < float(parabola[2])
    assert (tmp_path / "run" / "spirals.png").read_bytes().startswith(b"\x89PNG")

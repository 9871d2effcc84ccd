"""The comparison of flows, as short as it gets."""

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_flows(tmp_path):
    flags = ["--seeds=1", "--epochs=1", "--densities=waves", "--depths=2", f"--run={tmp_path / 'run'}"]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent), "PYTHONWARNINGS": "error"}
    subprocess.run([sys.executable, EXAMPLES / "flows.py", *flags], check=True, env=environment)
    table = (tmp_path / "run" / "table.md").read_text(encoding="utf-8").splitlines()
    assert table[0] == "| network | KL to the waves (nats) | parameters |"
    planar, continuous = ([cell.strip() for cell in row.split("|")[1:-1]] for row in table[2:])
    assert (planar[0], planar[2]) == ("2 planar", "10") and (continuous[0], continuous[2]) == ("continuous", "15904")
    assert all(0 < float(row[1]) < 100 for row in (planar, continuous))
    for picture in ("densities.png", "path.png"):
        assert (tmp_path / "run" / picture).read_bytes().startswith(b"\x89PNG")

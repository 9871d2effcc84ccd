"""The example of clipping runs as its docstring says."""

import runpy
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_writes_its_table_and_its_picture(tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    example = runpy.run_path(str(EXAMPLES / "gradient_clipping.py"))
    example["main"](["--seeds=1", "--epochs=1", "--batch=720", f"--run={tmp_path / 'run'}"])
    table = (tmp_path / "run" / "table.md").read_text()
    header, _, without, clipped = table.splitlines()
    assert header == "| network | parameters | training loss | validation accuracy | test accuracy |"
    assert without.startswith("| without clipping | 57018 |") and clipped.startswith(
        "| with adaptive clipping | 57018 |"
    )
    assert table in capsys.readouterr().out and (tmp_path / "run" / "curves.png").stat().st_size > 10_000

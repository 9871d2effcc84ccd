"""The example of small transformers runs as its docstring says."""

import runpy
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_writes_its_table_and_its_picture(tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    example = runpy.run_path(str(EXAMPLES / "tokens.py"))
    example["main"](["--seeds=1", "--epochs=1", f"--run={tmp_path / 'run'}"])
    table = (tmp_path / "run" / "table.md").read_text()
    header, _, *rows = table.splitlines()
    assert header == "| network | parameters | validation accuracy, % | test accuracy, % |"
    assert [row.split(" | ")[0] for row in rows] == ["| ViT", "| MLP-Mixer", "| ResNet"]
    assert table in capsys.readouterr().out and (tmp_path / "run" / "rollout.png").stat().st_size > 10_000

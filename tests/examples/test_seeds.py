"""The examples' runs from several seeds, and their table."""

import runpy
from pathlib import Path

seeds = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "seeds.py"))


def test_every_contestant_meets_every_seed(capsys):
    met = []

    def run(name, factor):
        return lambda seed: met.append((name, seed)) or {"accuracy": 0.5 + factor * seed, "parameters": 10}

    results = seeds["compare"]({"net": run("net", 0.1), "peer": run("peer", 0)}, 3)
    assert met == [("net", 0), ("peer", 0), ("net", 1), ("peer", 1), ("net", 2), ("peer", 2)]
    assert results["net"] == {"accuracy": [0.5, 0.6, 0.7], "parameters": [10, 10, 10]}
    assert capsys.readouterr().out.splitlines()[2].startswith("seed 2 of 3, net: accuracy 0.6, parameters 10 (")
    assert seeds["table"](results) == (
        "| network | accuracy | parameters |\n| --- | ---: | ---: |\n| net | 0.6 ± 0.1 | 10 |\n| peer | 0.5 | 10 |"
    )

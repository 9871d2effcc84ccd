"""The benchmarks run, record what they found, and the README shows what is recorded."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "examples" / "benchmarks"


@pytest.fixture
def results(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import results

    return results


def line(**changes) -> dict:
    numbers = dict(median=10, lowest=9, highest=11, unit="images/s", runs=5)
    about = dict(date="2026-01-02", machine="2 cores", versions="keras 3, tensorflow 2", command="training.py")
    return dict(about, task="training A", contestant="kvision", **numbers) | changes


def written(results, path: Path, lines: list[dict]) -> str:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, results.FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return results.tables(path)


def test_the_readme_shows_what_was_measured(results):
    assert results.tables() in results.README.read_text(encoding="utf-8"), f"run: python {results.__file__}"


def test_each_peer_stands_beside_every_form_of_kvision(results, tmp_path):
    lines = [
        line(contestant="kvision variables"),
        line(contestant="kvision constants", median=15),
        line(contestant="peer", median=5, versions="keras 3, torch 2"),
        line(contestant="other", median=20),
        line(contestant="matrix products", median=40),
    ]
    text = written(results, tmp_path / "results.csv", lines)
    assert "| training A | 10 (variables), 15 (constants) | 0.25, 0.38 | peer: 5 | 2.00, 3.00 | `training.py` |" in text
    assert "|  |  |  | other: 20 | 0.50, 0.75 |  |" in text
    assert "2026-01-02, 2 cores, keras 3, tensorflow 2, torch 2; images/s:" in text


def test_less_is_better_of_seconds(results, tmp_path):
    lines = [line(unit="s", median=2), line(contestant="peer", unit="s", median=3)]
    assert "| 2 s |  | peer: 3 s | 1.50 |" in written(results, tmp_path / "results.csv", lines)


def test_the_latest_of_a_command_stays(results, tmp_path):
    """On each machine. An older date goes whole, with contestants that the newer one does not have."""
    old = [line(), line(contestant="peer"), line(contestant="gone")]
    new = [line(date="2026-02-03", median=30), line(date="2026-02-03", contestant="peer", median=20)]
    elsewhere = [line(machine="8 cores", median=100), line(machine="8 cores", contestant="peer", median=50)]
    text = written(results, tmp_path / "results.csv", old + elsewhere + new)
    assert "1.50" in text and "2.00" in text and "1.00" not in text and "gone" not in text
    assert text.index("2026-02-03, 2 cores") < text.index("2026-01-02, 8 cores")


TINY = ["--model=ResNet18", "--size=32", "--rounds=1", "--steps=1"]


@pytest.mark.parametrize(
    ("script", "arguments", "tasks"),
    [
        (
            "training.py",
            [*TINY, "--batch=2", "--peer=stock", "--policies=mixed_bfloat16"],
            {
                "training ResNet18, mixed_bfloat16, batch 2 at 32": [
                    "kvision",
                    "Keras's grouped convolutions",
                    "matrix products",
                ]
            },
        ),
        (
            "inference.py",
            [*TINY, "--batches=1,2", "--peer=unfolded,onnx", "--dtypes=float32"],
            {
                f"serving ResNet18, float32, batch {batch} at 32": [
                    "kvision variables",
                    "kvision constants",
                    "unfolded variables",
                    "ONNX Runtime, float32",
                    "matrix products",
                ]
                for batch in (1, 2)
            },
        ),
    ],
)
def test_a_benchmark_records_its_contestants(results, tmp_path, script, arguments, tasks):
    path = tmp_path / "results.csv"
    command = [sys.executable, BENCHMARKS / script, *arguments, f"--csv={path}"]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    found = {task: [line["contestant"] for line in lines if line["task"] == task] for task in tasks}
    assert found == tasks and len(lines) == sum(map(len, tasks.values()))
    assert {line["command"] for line in lines} == {" ".join([script, *arguments])}
    for recorded in lines:
        assert 0 < float(recorded["lowest"]) <= float(recorded["median"]) <= float(recorded["highest"])
        assert f"{float(recorded['median']):.4g} (" in output and "tensorflow 2" in recorded["versions"]


def test_the_suite_asks_what_the_benchmarks_know(monkeypatch):
    """Every command, with the file that takes its results, has flags of its script."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import suite

    for command in suite.COMMANDS:
        script, *arguments = command.split()
        command = [sys.executable, BENCHMARKS / script, *arguments, "--csv=results.csv", "--only_check_args"]
        subprocess.run(command, check=True, timeout=100)


def test_shares_of_a_step_add_up(tmp_path):
    command = [sys.executable, BENCHMARKS / "where_time_goes.py", "--model=ResNet20", "--size=32", "--batch=2"]
    command += ["--steps=1", "--policies=float32"]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
    rows = [row.strip("| ").split(" | ") for row in output.splitlines() if row.startswith("| ") and "%" in row]
    shares = {name: float(share.rstrip("%")) for name, share in rows}
    assert sum(shares.values()) == pytest.approx(100, abs=1)
    assert shares["convolutions, forwards"] > 0 and shares["weight gradients of convolutions"] > 0
    assert shares["optimizer"] > 0 and shares.get("other", 0) < 30


def test_growth_draws_each_series(tmp_path):
    command = [
        sys.executable,
        BENCHMARKS / "growth.py",
        "--batches=2",
        "--size=32",
        "--sizes=32",
        "--depths=1",
        "--rounds=1",
    ]
    command += ["--steps=1", f"--run={tmp_path}"]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    rows = (tmp_path / "growth.md").read_text().splitlines()[2:]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == ["batch", "resolution", "depth"]
    assert (tmp_path / "growth.png").stat().st_size > 10_000

"""What the benchmarks found: with --csv=FILE a line for each contestant, and the README's tables of the latest.

python examples/benchmarks/training.py --csv=examples/benchmarks/results.csv
python examples/benchmarks/results.py               # writes the tables anew
"""

import csv
import datetime
import os
import pathlib
import platform
import shlex
import statistics
import sys
from importlib.metadata import version

from absl import app, flags

FILE = pathlib.Path(__file__).with_name("results.csv")
README = pathlib.Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
FIELDS = ("date", "machine", "versions", "command", "task", "contestant", "median", "lowest", "highest", "unit", "runs")
LESS_IS_BETTER = ("s", "ms", "MiB")
BOUND = "matrix products"  # what the machine would do if a network were one product of large matrices
PACKAGES = ("keras", "tensorflow", "torch", "timm", "onnxruntime", "keras-hub", "keras-cv")

took_part: set[str] = set()  # packages that contestants imported in processes of their own

CSV = flags.DEFINE_string("csv", None, "a file that gets a line for each contestant, behind those that it has")


def record(task: str, found: dict[str, list[float]], unit: str) -> None:
    """Adds a line for each contestant's values to the file of --csv, if there is one."""
    if not CSV.value:
        return
    path = pathlib.Path(CSV.value)
    new = not path.exists()
    about = dict(date=datetime.date.today().isoformat(), machine=machine(), versions=versions(), command=command())
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if new:
            writer.writeheader()
        for name, values in found.items():
            numbers = (f"{function(values):.4g}" for function in (statistics.median, min, max))
            named = dict(zip(("median", "lowest", "highest"), numbers, strict=True))
            writer.writerow(dict(about, task=task, contestant=name, unit=unit, runs=len(values), **named))


def machine() -> str:
    """Such as "2 cores of an AMD EPYC with avx512_bf16"."""
    text = pathlib.Path("/proc/cpuinfo").read_text() if pathlib.Path("/proc/cpuinfo").exists() else ""
    facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    fast = [flag for flag in ("amx_bf16", "avx512_bf16") if flag in facts.get("flags", "").split()]
    return (
        f"{os.cpu_count()} cores, {facts.get('model name', platform.machine())}, {fast[0] if fast else 'no bfloat16'}"
    )


def versions() -> str:
    """Of Keras and TensorFlow, which each benchmark asks, and of the others that took part."""
    asked = {"keras", "tensorflow"} | imported() | took_part
    return ", ".join(f"{name} {version(name)}" for name in PACKAGES if name in asked)


def imported() -> set[str]:
    return {name for name in PACKAGES if name.replace("-", "_") in sys.modules}


def command() -> str:
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--csv")]
    return shlex.join([pathlib.Path(sys.argv[0]).name, *arguments])


def tables(path: pathlib.Path = FILE) -> str:
    """Markdown: for each date and machine, each task's latest line, kvision beside each of its peers."""
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    groups: dict[tuple, dict[str, dict]] = {}
    for line in lines:  # of the same command and task the last ones stay
        key = (line["machine"], line["command"], line["task"])
        if groups.get(key, {}).get(line["contestant"], line)["date"] != line["date"]:
            del groups[key]
        groups.setdefault(key, {})[line["contestant"]] = line
    found: dict[tuple, list[list[str]]] = {}
    for (computer, how, task), contestants in groups.items():
        rows = found.setdefault((next(iter(contestants.values()))["date"], computer), [])
        ours = [line for name, line in contestants.items() if name.startswith("kvision")]
        bound = contestants.pop(BOUND, None)
        figures = [task, ", ".join(map(shown, ours)), ratios(ours, bound) if bound else ""]
        for name, line in contestants.items():
            if line not in ours:
                rows.append([*figures, f"{name}: {shown(line)}", ratios(ours, line), f"`{how}`"])
    head = [f"| | kvision | of {BOUND} | peer | ratio | command |", "|---|---:|---:|---:|---:|---|"]
    parts = [
        "\n".join([f"{date}, {computer}, {newest(lines, date, computer)}; images/s:", "", *head, *merged(rows)])
        for (date, computer), rows in sorted(found.items(), reverse=True)
    ]
    return "\n\n".join([BEGIN, *parts, END])


def merged(rows: list[list[str]]) -> list[str]:
    """Markdown of the rows, where what stands in the row above, too, is left out: a task, its figures, a command."""
    lines = []
    for above, row in zip([[""] * 6, *rows], rows, strict=False):
        task = ["", "", ""] if row[:3] == above[:3] else row[:3]
        lines.append(f"| {' | '.join([*task, *row[3:5], '' if row[5] == above[5] else row[5]])} |")
    return lines


def ratios(ours: list[dict], theirs: dict) -> str:
    """Above 1 where kvision is better."""
    quotients = [float(mine["median"]) / float(theirs["median"]) for mine in ours]
    return ", ".join(f"{1 / x if theirs['unit'] in LESS_IS_BETTER else x:.2f}" for x in quotients)


def shown(line: dict) -> str:
    """The median, its unit where that is not images/s and, of kvision, which form of it."""
    form = line["contestant"].removeprefix("kvision").strip() if line["contestant"].startswith("kvision") else ""
    unit = "" if line["unit"] == "images/s" else f" {line['unit']}"
    median = float(f"{float(line['median']):.3g}")
    return f"{median:,g}{unit}" + (f" ({form})" if form else "")


def newest(lines: list[dict], date: str, computer: str) -> str:
    """The versions of all packages that took part."""
    named = [line["versions"] for line in lines if (line["date"], line["machine"]) == (date, computer)]
    return ", ".join(sorted({part for text in named for part in text.split(", ") if part.split(" ")[0] in PACKAGES}))


def main(_) -> None:
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    README.write_text(before + tables() + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    app.run(main)

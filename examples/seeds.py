"""What the examples that compare networks share: flags, runs from several seeds, and a table of means and spreads."""

import argparse
import pathlib
import statistics
import time
from collections.abc import Callable, Mapping

import keras


def flags(doc: str, epochs: int, run: str, data: bool = True) -> argparse.ArgumentParser:
    """The command line of an example: its docstring as help, its usual `epochs`, and where its files go.

    An example that makes its own data passes `data=False`.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if data:
        parser.add_argument(
            "--data", default="digits", help="digits, a folder, or a TFDS name such as mnist (%(default)s)"
        )
    parser.add_argument("--seeds", type=int, default=3, help="how many runs of each network (%(default)s)")
    parser.add_argument("--epochs", type=int, default=epochs, help="(%(default)s)")
    parser.add_argument("--run", type=pathlib.Path, default=pathlib.Path(run), help="folder of results (%(default)s)")
    return parser


def compare(
    contestants: Mapping[str, Callable[[int], Mapping[str, float]]], seeds: int
) -> dict[str, dict[str, list[float]]]:
    """Calls every contestant with every seed, in turns, and says what came of it.

    Args:
        contestants: by name, functions of a seed that train a network and return what it reached, by measure.
        seeds: how many; they are 0, 1, ...

    Returns:
        for each contestant and measure, a value for each seed.
    """
    results = {name: {} for name in contestants}
    for seed in range(seeds):
        for name, run in contestants.items():
            keras.utils.set_random_seed(seed)
            start = time.perf_counter()
            reached = run(seed)
            for measure, value in reached.items():
                results[name].setdefault(measure, []).append(float(value))
            text = ", ".join(f"{measure} {value:.5g}" for measure, value in reached.items())
            print(f"seed {seed + 1} of {seeds}, {name}: {text} ({time.perf_counter() - start:.0f} s)", flush=True)
            keras.backend.clear_session()
    return results


def table(results: Mapping[str, Mapping[str, list[float]]]) -> str:
    """A Markdown table of `mean ± standard deviation` over the seeds, a row for each contestant."""
    measures = list(dict.fromkeys(measure for reached in results.values() for measure in reached))
    rows = [["network", *measures], ["---"] + ["---:"] * len(measures)]
    rows += [[name, *(spread(reached.get(measure, [])) for measure in measures)] for name, reached in results.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def spread(values: list[float]) -> str:
    """`mean ± standard deviation`, the mean alone where nothing varies."""
    if not values:
        return ""
    mean, deviation = statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0
    text = f"{mean:.5g}" if abs(mean) < 1e5 else f"{mean:.0f}"
    return f"{text} ± {deviation:.2g}" if deviation else text

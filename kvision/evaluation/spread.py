"""What several trainings of one network have in common, and how far they differ: mean and spread over seeds."""

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kvision.evaluation.report import Evaluation


@dataclass(frozen=True)
class Spread:
    """One figure of several runs.

    Args:
        values: of the runs, in their order.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def median(self) -> float:
        """What Wide Residual Networks report of five runs (Zagoruyko & Komodakis, arXiv:1605.07146)."""
        return statistics.median(self.values)

    @property
    def deviation(self) -> float | None:
        """The standard deviation of the sample, with n - 1 below; None of a single run."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    def __str__(self):
        """Mean and deviation, to two digits of the deviation or four of the mean."""
        if not self.deviation:
            return f"{self.mean:.4g}"
        digits = max(0, 1 - int(f"{self.deviation:e}".partition("e")[2]))
        return f"{self.mean:.{digits}f} ± {self.deviation:.{digits}f}"


def spread(runs: Sequence[Evaluation | str | os.PathLike]) -> dict[str, Spread]:
    """The figures of several evaluations of the same classes, each with its spread.

    Args:
        runs: evaluations, or the paths of their reports or of the run folders that hold a `report.json`.

    Returns:
        By the names of `Evaluation.figures`: top1, top5, and of the calibration those that all runs have.

    Raises:
        ValueError: no runs, runs of different classes, or a file that is no report.
        FileNotFoundError: a path without a report.
    """
    evaluations = [run if isinstance(run, Evaluation) else _load(Path(run)) for run in runs]
    if not evaluations:
        raise ValueError("A spread is over at least one run. Received: none")
    classes = {evaluation.class_names for evaluation in evaluations}
    if len(classes) > 1:
        told = " and ".join(f"{len(names)}: {', '.join(names[:3])}..." for names in classes)
        raise ValueError(f"Runs of the same classes are compared. Received: {told}")
    figures = [evaluation.figures for evaluation in evaluations]
    return {name: Spread(tuple(of[name] for of in figures)) for name in figures[0] if all(name in of for of in figures)}


def _load(path: Path) -> Evaluation:
    return Evaluation.load(path / "report.json" if path.is_dir() else path)

"""What a classifier gets right and wrong on a labelled set: the record."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kvision.evaluation.calibration import Calibration


class Mistake(NamedTuple):
    """One wrong prediction: the example's place in the dataset, two class indices, and the predicted class's score."""

    index: int
    truth: int
    prediction: int
    score: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model's score card: what `evaluate` returns.

    Args:
        class_names: one per class, in the order of the model's outputs.
        confusion: int64 `(classes, classes)`, examples by true class (row) and predicted class (column).
        top5: the share of examples whose true class is among the 5 highest scores (all of them, with fewer classes).
        mistakes: the wrong predictions, the most confident first, then in the order of the dataset.
        calibration: of the probabilities; None where the model gives no probabilities, and in reports that are older.
        protocol: what was measured and how, for people to read, such as `{"split": "test", "views": "10"}`:
            `dataclasses.replace(evaluation, protocol=...)` records it.
    """

    class_names: tuple[str, ...]
    confusion: np.ndarray
    top5: float
    mistakes: tuple[Mistake, ...]
    calibration: Calibration | None = None
    protocol: dict[str, Any] = field(default_factory=dict)

    @property
    def examples(self) -> int:
        return int(self.confusion.sum())

    @property
    def top1(self) -> float:
        """The share of examples whose true class has the highest score."""
        return int(self.confusion.trace()) / self.examples

    @property
    def top1_interval(self) -> tuple[float, float]:
        """Where top-1 lies on more such examples, with a confidence of 95 %: the interval of Wilson (1927)."""
        z, n, p = 1.959964, self.examples, self.top1
        centre, reach = p + z**2 / (2 * n), z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
        return max(0.0, (centre - reach) / (1 + z**2 / n)), min(1.0, (centre + reach) / (1 + z**2 / n))

    @property
    def figures(self) -> dict[str, float]:
        """The numbers that say all of it: top1 and top5, and ece, mce, nll and brier of the calibration, if known."""
        return {"top1": self.top1, "top5": self.top5, **(self.calibration.figures if self.calibration else {})}

    @property
    def per_class(self) -> list[dict[str, Any]]:
        """By class: name, support (its examples), precision, recall and f1, each None where it would be 0 / 0."""
        hits, supports, predicted = self.confusion.diagonal(), self.confusion.sum(1), self.confusion.sum(0)
        return [
            {
                "name": name,
                "support": int(support),
                "precision": _ratio(hit, claimed),
                "recall": _ratio(hit, support),
                "f1": _ratio(2 * hit, support + claimed),
            }
            for name, hit, support, claimed in zip(self.class_names, hits, supports, predicted, strict=True)
        ]

    def save(self, path: str | os.PathLike) -> None:
        """Writes all of this as JSON, one class, row or mistake a line. A reader sees the old file or the new one."""
        report = {
            "examples": self.examples,
            **self.figures,
            "protocol": self.protocol,
            "class_names": list(self.class_names),
            "per_class": self.per_class,
            "confusion": self.confusion.tolist(),
            "calibration": self.calibration.bins if self.calibration else [],
            "mistakes": [mistake._asdict() for mistake in self.mistakes],
        }
        path = Path(path)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_text(_json(report), encoding="utf-8")
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Evaluation":
        """Reads what `save` wrote, or an earlier version of it, whose calibration is None.

        Raises:
            ValueError: the file is not such a report.
        """
        try:
            report = json.loads(Path(path).read_text(encoding="utf-8"))
            names, top5, rows = tuple(report["class_names"]), report["top5"], report["confusion"]
            mistakes = tuple(Mistake(**mistake) for mistake in report["mistakes"])
            calibration = None
            if bins := report.get("calibration"):
                columns = (tuple(row[name] for row in bins) for name in ("count", "confidence", "accuracy"))
                calibration = Calibration(*columns, report["nll"], report["brier"])
            protocol = dict(report.get("protocol", {}))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)} is not a report that Evaluation.save wrote: {error!r}") from error
        matrix = np.array(rows, "int64").reshape(len(names), len(names))
        return cls(names, matrix, top5, mistakes, calibration, protocol)

    def __str__(self):
        """Accuracies and calibration, then the classes: all of up to 20, or else the 10 of the lowest recall."""
        classes = self.per_class
        sizes = f"{self.examples:,} examples, {len(classes):,} classes"
        lines = [f"{sizes}: top-1 {self.top1:.2%}, top-{min(5, len(classes))} {self.top5:.2%}"]
        if self.calibration:
            ece, mce, nll, brier = self.calibration.figures.values()
            errors = f"calibration error {ece:.2%}, {mce:.2%} in the worst bin"
            lines.append(f"{errors}; negative log likelihood {nll:.4f}, Brier score {brier:.4f}")
        if len(classes) > 20:
            seen = [row for row in classes if row["support"]]
            classes = sorted(seen, key=lambda row: row["recall"])[:10]
            lines.append(f"The {len(classes)} classes of the lowest recall:")
        width = max(len(row["name"]) for row in classes)
        lines.append(f"{'':{width}}  support  precision  recall      f1")
        for row in classes:
            precision, recall, f1 = ("-" if row[x] is None else f"{row[x]:.1%}" for x in ("precision", "recall", "f1"))
            lines.append(f"{row['name']:{width}}  {row['support']:7,}  {precision:>9}  {recall:>6}  {f1:>6}")
        return "\n".join(lines)


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def _json(report: dict[str, Any]) -> str:
    """JSON indented by 2, with every item of a list on one line, so that a confusion matrix looks like one."""
    fields = []
    for key, value in report.items():
        if isinstance(value, list):
            items = ",\n".join("    " + json.dumps(item, ensure_ascii=False, allow_nan=False) for item in value)
            fields.append(f'  "{key}": [\n{items}\n  ]' if value else f'  "{key}": []')
        else:
            fields.append(f'  "{key}": {json.dumps(value, ensure_ascii=False, allow_nan=False)}')
    return "{\n" + ",\n".join(fields) + "\n}\n"

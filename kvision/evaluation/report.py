"""What a classifier gets right and wrong on a labelled set, counted exactly."""

import json
import operator
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np


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
    """

    class_names: tuple[str, ...]
    confusion: np.ndarray
    top5: float
    mistakes: tuple[Mistake, ...]

    @property
    def examples(self) -> int:
        return int(self.confusion.sum())

    @property
    def top1(self) -> float:
        """The share of examples whose true class has the highest score."""
        return int(self.confusion.trace()) / self.examples

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
            "top1": self.top1,
            "top5": self.top5,
            "class_names": list(self.class_names),
            "per_class": self.per_class,
            "confusion": self.confusion.tolist(),
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
        """Reads what `save` wrote.

        Raises:
            ValueError: the file is not such a report.
        """
        try:
            report = json.loads(Path(path).read_text(encoding="utf-8"))
            names, top5, rows = tuple(report["class_names"]), report["top5"], report["confusion"]
            mistakes = tuple(Mistake(**mistake) for mistake in report["mistakes"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)} is not a report that Evaluation.save wrote: {error!r}") from error
        return cls(names, np.array(rows, "int64").reshape(len(names), len(names)), top5, mistakes)

    def __str__(self):
        """The two accuracies, then the classes: all of up to 20, or else the 10 of the lowest recall."""
        classes = self.per_class
        sizes = f"{self.examples:,} examples, {len(classes):,} classes"
        lines = [f"{sizes}: top-1 {self.top1:.2%}, top-{min(5, len(classes))} {self.top5:.2%}"]
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


def evaluate(model: keras.Model, batches: Iterable, class_names: Sequence[str], *, progress: bool = True) -> Evaluation:
    """Runs a classifier over a labelled set once, in inference mode.

    Only the order of the scores counts, so probabilities and logits do equally well, and no loss is computed. Of equal
    scores the lower class index wins, as in `tf.math.top_k`.

    Args:
        model: any `keras.Model` with one output `(B, classes)`; it need not be compiled.
        batches: pairs `(images, labels)` with integer labels `(B,)`, such as a batched `tf.data.Dataset`. Batches of
            one size, but for the last, run without retracing.
        class_names: one per class, in the order of the model's outputs.
        progress: whether to print a progress bar.

    Raises:
        ValueError: no examples; labels that are not `(B,)` integers in `[0, classes)`; outputs that are not
            `(B, classes)`, or whose highest score is not finite.
    """
    names = tuple(map(str, class_names))
    confusion = np.zeros((len(names), len(names)), "int64")
    hits, seen, mistakes = 0, 0, []
    bar = keras.utils.Progbar(operator.length_hint(batches) or None, stateful_metrics=["top1"]) if progress else None
    for step, (images, labels) in enumerate(batches, 1):
        images = np.asarray(images)
        scores = _checked_scores(model.predict_on_batch(images), len(images), names)
        truths = _checked_labels(labels, *scores.shape)
        predictions = scores.argmax(1)
        np.add.at(confusion, (truths, predictions), 1)
        hits += int((_ranks(scores, truths) < 5).sum())
        for i in np.flatnonzero(predictions != truths):
            guess = predictions[i]
            mistakes.append(Mistake(int(seen + i), int(truths[i]), int(guess), float(scores[i, guess])))
        seen += len(truths)
        if bar and seen:
            bar.update(step, [("top1", confusion.trace() / seen)], finalize=False)
    if not seen:
        raise ValueError("There is nothing to evaluate: `batches` gave no example. Was an iterator used up before?")
    if bar:
        bar.update(step, [("top1", confusion.trace() / seen)], finalize=True)
    return Evaluation(names, confusion, hits / seen, tuple(sorted(mistakes, key=lambda m: (-m.score, m.index))))


def _checked_scores(scores, examples: int, names: tuple[str, ...]) -> np.ndarray:
    outputs = keras.tree.flatten(scores)
    shapes = [output.shape for output in outputs]
    if len(outputs) != 1 or len(shapes[0]) != 2 or len(outputs[0]) != examples:
        raise ValueError(
            f"A classifier gives one output ({examples}, classes) for a batch of {examples}. Received: {shapes}. "
            "Networks that read several symbols are measured by model.evaluate and kvision.evaluation.SequenceAccuracy."
        )
    scores = outputs[0].astype("float64")
    if scores.shape[1] != len(names):
        raise ValueError(f"The model has {scores.shape[1]} classes, `class_names` has {len(names)}: {names[:3]}...")
    if not np.isfinite(scores.max(1)).all():
        raise ValueError("The model's highest score is NaN or infinite for some examples: has its training diverged?")
    return scores


def _checked_labels(labels, examples: int, classes: int) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.shape != (examples,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"Labels are integers of shape ({examples},). Received: {labels.dtype} of shape {labels.shape}. "
            "One-hot labels become integers by argmax(-1)."
        )
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise ValueError(f"Labels lie in [0, {classes}), the number of class names. Received: {wrong[0]}")
    return labels.astype("int64")


def _ranks(scores: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """How many classes come before the true one: those of a higher score, or of the same and a lower index."""
    own = np.take_along_axis(scores, truths[:, None], 1)
    earlier = np.arange(scores.shape[1]) < truths[:, None]
    return ((scores > own) | ((scores == own) & earlier)).sum(1)


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
            fields.append(f'  "{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(fields) + "\n}\n"

"""Runs a classifier over a labelled set, and counts exactly what it gets right and wrong."""

import operator
from collections.abc import Iterable, Sequence

import keras
import numpy as np

from kvision.evaluation.calibration import are_probabilities, by_example, in_bins
from kvision.evaluation.report import Evaluation, Mistake


def evaluate(
    model: keras.Model,
    batches: Iterable,
    class_names: Sequence[str],
    *,
    from_logits: bool = False,
    progress: bool = True,
) -> Evaluation:
    """Runs a classifier over a labelled set once, in inference mode.

    For the accuracies only the order of the scores counts, so probabilities and logits do equally well. Of equal scores
    the lower class index wins, as in `tf.math.top_k`. Calibration is measured where the scores are probabilities.

    Args:
        model: any `keras.Model` with one output `(B, classes)`; it need not be compiled.
        batches: pairs `(images, labels)` with integer labels `(B,)`, such as a batched `tf.data.Dataset`; a tuple in
            the place of the images for a model with several inputs. Batches of one size, but for the last, run without
            retracing.
        class_names: one per class, in the order of the model's outputs.
        from_logits: whether the model gives logits; a softmax then makes probabilities of them.
        progress: whether to print a progress bar.

    Raises:
        ValueError: no examples; labels that are not `(B,)` integers in `[0, classes)`; outputs that are not
            `(B, classes)`, or whose highest score is not finite.
    """
    names = tuple(map(str, class_names))
    confusion = np.zeros((len(names), len(names)), "int64")
    hits, seen, mistakes, confidence = 0, 0, [], []
    bar = keras.utils.Progbar(operator.length_hint(batches) or None, stateful_metrics=["top1"]) if progress else None
    for step, (images, labels) in enumerate(batches, 1):
        images = tuple(map(np.asarray, images)) if isinstance(images, tuple) else np.asarray(images)
        examples = len(images[0]) if isinstance(images, tuple) else len(images)
        scores = _checked_scores(model.predict_on_batch(images), examples, names)
        probabilities = _softmax(scores) if from_logits else scores
        truths = _checked_labels(labels, *scores.shape)
        predictions = scores.argmax(1)
        confidence.append(by_example(probabilities, truths) if are_probabilities(probabilities) else None)
        np.add.at(confusion, (truths, predictions), 1)
        hits += int((_ranks(scores, truths) < 5).sum())
        for i in np.flatnonzero(predictions != truths):
            guess = predictions[i]
            mistakes.append(Mistake(int(seen + i), int(truths[i]), int(guess), float(probabilities[i, guess])))
        seen += len(truths)
        if bar and seen:
            bar.update(step, [("top1", confusion.trace() / seen)], finalize=False)
    if not seen:
        raise ValueError("There is nothing to evaluate: `batches` gave no example. Was an iterator used up before?")
    if bar:
        bar.update(step, [("top1", confusion.trace() / seen)], finalize=True)
    calibration = None if any(rows is None for rows in confidence) else in_bins(np.concatenate(confidence))
    ranked = tuple(sorted(mistakes, key=lambda mistake: (-mistake.score, mistake.index)))
    return Evaluation(names, confusion, hits / seen, ranked, calibration)


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


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def _ranks(scores: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """How many classes come before the true one: those of a higher score, or of the same and a lower index."""
    own = np.take_along_axis(scores, truths[:, None], 1)
    earlier = np.arange(scores.shape[1]) < truths[:, None]
    return ((scores > own) | ((scores == own) & earlier)).sum(1)

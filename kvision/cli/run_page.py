"""The page about one run: what its folder knows, in the order in which people ask."""

import datetime
import json
import math
import shlex
from typing import Any

from kvision.cli.run_folder import RunFolder
from kvision.evaluation import Evaluation, count_macs
from kvision.visualize import confusion, curves, reliability
from kvision.visualize.page import (
    Beside,
    Facts,
    Folded,
    Headline,
    Number,
    Picture,
    Section,
    Share,
    Table,
    Text,
    Verbatim,
    page,
)

NAMES = {
    "top1": "Top-1 accuracy",
    "top5": "Top-5 accuracy",
    "ece": "Calibration error",
    "mce": "Calibration error, worst bin",
    "nll": "Negative log likelihood",
    "brier": "Brier score",
}
PERCENT = ("top1", "top5", "ece", "mce")
ROWS = 20  # of a table, before the rest is folded


def run_page(folder: RunFolder, config: dict[str, Any], evaluation: Evaluation) -> str:
    """The whole page. What the folder does not have is left out."""
    model = load(folder)
    sections = [
        how_it_was_trained(config),
        learning_curves(folder),
        confusion_matrix(evaluation),
        classes(evaluation),
        calibration(evaluation),
        mistakes(folder, evaluation),
        network(model, config),
        time(folder, evaluation),
    ]
    title = f"{config.get('model', 'A network')} on {config.get('data', 'its data')}"
    return page(
        title,
        measured(evaluation),
        headlines(evaluation, model),
        [section for section in sections if section is not None],
        footer(),
    )


def load(folder: RunFolder):
    """The network, without what only training needs."""
    from kvision.cli.load import load_classifier

    return load_classifier(None, str(folder.path))[0]


def footer() -> str:
    from kvision import __version__

    return f"kvision {__version__}, {datetime.date.today().isoformat()}"


def figure(name: str, value: float) -> str:
    return f"{value:.2%}" if name in PERCENT else f"{value:.4f}"


def told(value: Any) -> str:
    """A setting, for people."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {told(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(told, value)) or "none"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    return str(value)


def measured(evaluation: Evaluation) -> str:
    """What was measured and how, in a sentence."""
    protocol = evaluation.protocol
    text = f"{evaluation.examples:,} images of {len(evaluation.class_names):,} classes"
    if "split" in protocol:
        text += f", the {protocol['split']} split"
    if "views" in protocol:
        text += f"; {protocol['views']}"
    return f"Measured on {text}."


def headlines(evaluation: Evaluation, model) -> list[Headline]:
    low, high = evaluation.top1_interval
    found = [Headline(NAMES["top1"], f"{evaluation.top1:.2%}", f"95% interval {low:.1%} to {high:.1%}")]
    if len(evaluation.class_names) > 5:
        found.append(Headline(NAMES["top5"], f"{evaluation.top5:.2%}"))
    wrong = evaluation.examples - int(evaluation.confusion.trace())
    found.append(Headline("Mistakes", f"{wrong:,}", f"of {evaluation.examples:,} images"))
    if evaluation.calibration:
        found.append(Headline(NAMES["ece"], f"{evaluation.calibration.ece:.2%}", "15 bins of confidence"))
    found.append(Headline("Parameters", short(parameters(model)), f"{parameters(model):,} trainable"))
    if (macs := multiply_adds(model)) is not None:
        found.append(Headline("Multiply-adds", short(macs), "of one image"))
    return found


def short(count: int) -> str:
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return str(count)


def parameters(model) -> int:
    """Trainable scalars of the network itself, without heads that only training sees."""
    import keras

    graph = keras.Model(model.inputs, model.outputs)
    return sum(math.prod(variable.shape) for variable in graph.trainable_variables)


def multiply_adds(model) -> int | None:
    try:
        return count_macs(model)
    except (ValueError, TypeError):  # of an unknown size, or with a layer that does not say what it costs
        return None


def how_it_was_trained(config: dict[str, Any]) -> Section:
    config = {key: value for key, value in config.items() if key != "class_names"}
    command = config.pop("command", None)
    blocks = [Verbatim(command if isinstance(command, str) else shlex.join(map(str, command)))] if command else []
    if trained := config.pop("trained", None):
        blocks.append(Verbatim(trained))
    first = ("data", "recipe", "epochs", "batch", "rate", "policy", "seed", "versions", "fingerprint")
    blocks.append(settings_of({key: config.pop(key) for key in first if key in config}))
    if config:
        blocks.append(Folded("All other settings", [settings_of(config)]))
    return Section("How it was trained", blocks)


def settings_of(config: dict[str, Any]) -> Facts:
    """Those that are set."""
    facts = {key.replace("_", " ").capitalize(): told(value) for key, value in config.items()}
    return Facts({name: value for name, value in facts.items() if value != told(None)})


def learning_curves(folder: RunFolder) -> Section | None:
    file = folder / "history.json"
    if not file.is_file():
        return None
    history = json.loads(file.read_text(encoding="utf-8"))
    blocks = [Picture.of(curves(history), "Loss and metrics of training and validation by epoch")]
    if values := history.get("val_accuracy"):
        best = max(range(len(values)), key=values.__getitem__)
        text = f"Validation accuracy ended at {values[-1]:.2%} after {len(values)} epochs"
        blocks.append(Text(f"{text}; it was highest in epoch {best + 1}: {values[best]:.2%}."))
    return Section("Learning curves", blocks)


def confusion_matrix(evaluation: Evaluation) -> Section:
    names = evaluation.class_names
    blocks = [Picture.of(confusion(evaluation.confusion, names), "Images by true and predicted class")]
    wrong = evaluation.confusion.copy()
    wrong[range(len(names)), range(len(names))] = 0
    supports = evaluation.confusion.sum(1)
    order = (-wrong).ravel().argsort(kind="stable")[:10]
    pairs = [divmod(int(place), len(names)) for place in order if wrong.ravel()[place]]
    if pairs:
        rows = [(names[t], names[p], int(wrong[t, p]), Share(wrong[t, p] / supports[t])) for t, p in pairs]
        blocks.append(Table(("Most often, a", "was taken for", "images", "of the class"), rows))
    return Section("Confusion matrix", [Beside(blocks)] if len(names) <= 12 else blocks)


def classes(evaluation: Evaluation) -> Section:
    def row(of):
        shares = (None if of[name] is None else Share(of[name]) for name in ("recall", "precision", "f1"))
        return (of["name"], of["support"], *shares)

    worst = sorted(evaluation.per_class, key=lambda of: (of["recall"] is None, of["recall"], -of["support"]))
    columns = ("class", "images", "recall", "precision", "F1")
    blocks = [Table(columns, [row(of) for of in worst[:ROWS]])]
    if worst[ROWS:]:
        others = Table(columns, [row(of) for of in worst[ROWS:]])
        blocks.append(Folded(f"The other {len(worst) - ROWS} classes", [others]))
    return Section("Classes, the worst first", blocks)


def calibration(evaluation: Evaluation) -> Section:
    known = evaluation.calibration
    if known is None:
        return Section("Calibration", [Text("The report has no probabilities: `kvision evaluate` measures it anew.")])
    diagram = reliability(known.counts, known.confidence, known.accuracy)
    text = (
        "Of the predictions made with a confidence of 80%, 80% should be right. Where bars end below the diagonal, the "
        "network claims too much; above it, too little."
    )
    rows = [(NAMES[name], Number(figure(name, value))) for name, value in known.figures.items()]
    table = Table(("figure", "value"), rows)
    return Section("Calibration", [Text(text), Beside([Picture.of(diagram, "Accuracy by confidence"), table])])


def mistakes(folder: RunFolder, evaluation: Evaluation) -> Section | None:
    file = folder / "mistakes.png"
    if not evaluation.mistakes:
        return Section("Mistakes", [Text("There were none.")])
    if not file.is_file():
        return None
    return Section("The most confident mistakes", [Picture(file.read_bytes(), "Images that were misread", True)])


def network(model, config: dict[str, Any]) -> Section:
    from kvision import applications

    height, width, channels = ("any" if size is None else size for size in model.input_shape[1:])
    facts: dict[str, Any] = {
        "Input": f"{height} x {width} x {channels}",
        "Parameters": f"{parameters(model):,} trainable",
    }
    if (macs := multiply_adds(model)) is not None:
        facts["Multiply-adds"] = f"{macs:,} of one image"
    origin = getattr(model, "origin", None)
    if origin and origin.weights:
        facts["Started from"] = origin.weights
    if origin and origin.changes:
        facts["Changes to the row"] = told(origin.changes)
    name = origin.row if origin else config.get("model")
    if name not in applications.list_models():
        return Section("The network", [Facts(facts)])
    row = applications.get_model(name)
    paper = f"{row.paper.title}. {', '.join(row.paper.authors)}. {row.paper.venue}"
    paper += f", arXiv:{row.paper.arxiv}" if row.paper.arxiv else ""
    blocks = [Facts({"Row": name, "Paper": paper, **facts})]
    if row.reported:
        reported = [(of.metric, Number(f"{of.value:g}"), of.protocol, of.where) for of in row.reported]
        blocks.append(Text("What the authors reported, on their data:"))
        blocks.append(Table(("figure", "value", "protocol", "where"), reported))
    blocks.append(Folded("BibTeX", [Verbatim(applications.cite(row))]))
    return Section("The network", blocks)


def time(folder: RunFolder, evaluation: Evaluation) -> Section | None:
    facts = {}
    files = [folder / "config.json", folder.model]
    if all(file.is_file() for file in files):
        begun, ended = (datetime.datetime.fromtimestamp(file.stat().st_mtime) for file in files)
        if ended > begun:
            facts["Begun"], facts["Trained"] = (moment.isoformat(" ", "minutes") for moment in (begun, ended))
            facts["Duration"] = f"{duration((ended - begun).total_seconds())}, with interruptions"
    protocol = evaluation.protocol
    if seconds := protocol.get("seconds"):
        facts["Evaluated"] = f"{protocol.get('date', '')} in {duration(seconds)}"
        facts["Speed"] = f"{evaluation.examples / seconds:,.0f} images a second"
    return Section("Time", [Facts(facts)]) if facts else None


def duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"

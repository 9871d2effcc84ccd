"""The page about several runs: their figures with the spread, their settings as far as they differ, their curves."""

from typing import Any

from kvision.cli.run_folder import RunFolder
from kvision.cli.run_page import NAMES, PERCENT, figure, footer, measured, settings_of, told
from kvision.evaluation import Evaluation, Spread, spread
from kvision.visualize import curves
from kvision.visualize import spread as drawn
from kvision.visualize.page import Headline, Number, Picture, Section, Table, page

HEADLINES = ("top1", "top5", "ece", "nll")
COLUMNS = ("mean", "deviation", "median", "lowest", "highest")


def runs_page(folders: list[RunFolder], configs: list[dict[str, Any]], evaluations: list[Evaluation]):
    """The page, the figure in it, and its table as lines for a terminal.

    Raises:
        ValueError: the runs have different classes.
    """
    figures = spread(evaluations)
    if len(evaluations[0].class_names) <= 5:
        figures.pop("top5")  # always all
    picture = drawn(dict(axis(name, of) for name, of in figures.items()))
    settings = [{key: told(value) for key, value in config.items() if key != "class_names"} for config in configs]
    same = {key: value for key, value in settings[0].items() if all(of.get(key) == value for of in settings)}
    rows = [(NAMES[name], *map(Number, columns(name, of))) for name, of in figures.items()]
    sections = [
        Section("Spread", [Picture.of(picture, "Figures of every run"), Table(("figure", *COLUMNS), rows)]),
        Section("The runs", [table(folders, settings, same, figures)]),
    ]
    histories = [folder / "history.json" for folder in folders]
    if all(file.is_file() for file in histories):
        text = "Loss and metrics by epoch, their mean and range"
        sections.append(Section("Learning curves", [Picture.of(curves(*histories), text)]))
    sections.append(Section("What they have in common", [settings_of(same)]))
    title = f"{len(folders)} runs of {same.get('model', 'several networks')} on {same.get('data', 'several sets')}"
    protocols = {measured(evaluation) for evaluation in evaluations}
    subtitle = protocols.pop() if len(protocols) == 1 else "Measured on different images, or in different ways."
    headlines = [
        Headline(NAMES[name], columns(name, of)[0], f"± {columns(name, of)[1]} over {len(folders)} runs")
        for name, of in figures.items()
        if name in HEADLINES
    ]
    return page(title, subtitle, headlines, sections, footer()), picture, lines(figures)


def axis(name: str, of: Spread) -> tuple[str, list[float]]:
    """What the figure has at an axis, and its values."""
    return (f"{NAMES[name]}, %", [100 * value for value in of.values]) if name in PERCENT else (NAMES[name], of.values)


def columns(name: str, of: Spread) -> list[str]:
    return [figure(name, value) for value in (of.mean, of.deviation, of.median, of.low, of.high)]


def table(folders, settings, same, figures) -> Table:
    """A row for each run: what its settings have of their own, and its figures."""
    own = list(dict.fromkeys(key for of in settings for key in of if key not in same and key != "command"))
    rows = []
    for place, (folder, of) in enumerate(zip(folders, settings, strict=True)):
        values = (Number(figure(name, spread.values[place])) for name, spread in figures.items())
        rows.append([folder.path.name, *(of.get(key, "–") for key in own), *values])
    return Table(("run", *own, *(NAMES[name].lower() for name in figures)), rows)


def lines(figures: dict[str, Spread]) -> str:
    """The table of figures, aligned."""
    rows = [[NAMES[name], *columns(name, of)] for name, of in figures.items()]
    width = max(len(row[0]) for row in rows)
    head = f"{'':{width}}" + "".join(f"  {name:>9}" for name in COLUMNS)
    return "\n".join([head, *(f"{name:{width}}" + "".join(f"  {cell:>9}" for cell in cells) for name, *cells in rows)])

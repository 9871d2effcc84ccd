"""The floor plan holds: who may import whom, citations point backwards, and the README tells the truth."""

import ast
import pathlib

import pytest

from kvision import applications
from kvision.applications import Variant, _table

ROOT = pathlib.Path(__file__).parents[1]
ROOMS = {
    "classifier": {"layers"},
    "layers": set(),
    "losses": set(),
    "optimizers": set(),
    "visualize": set(),
    "weights": set(),
    "blocks": {"layers"},
    "applications": {"blocks", "layers", "weights", "classifier"},
    "data": {"layers", "visualize"},  # visualize inside of preview only
    "training": {"data", "losses", "optimizers", "classifier"},
    "evaluation": {"data", "losses", "optimizers", "classifier"},
    "export": {"layers", "classifier", "data"},
}
EVERYTHING = {"cli", "__init__"}
TENSORFLOW_AT_WILL = {"data", "export", "cli", "training"}
FILES = sorted((ROOT / "kvision").rglob("*.py"))


def room(path: pathlib.Path) -> str:
    return path.relative_to(ROOT / "kvision").parts[0].removesuffix(".py")


def imports(path: pathlib.Path) -> list[tuple[str, bool]]:
    """Every module that a file imports, as `package.module`, and whether it does so at its top level."""
    tree, found = ast.parse(path.read_text()), []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        found += [(name, node in tree.body) for name in names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_directions(path):
    here = room(path)
    if here in EVERYTHING:
        return
    for module, at_top in imports(path):
        package, _, rest = module.partition(".")
        if package == "kvision" and rest:
            there = rest.split(".")[0]
            assert there == here or there in ROOMS[here], f"{here} imports {there}"
        if package == "tensorflow" and here not in TENSORFLOW_AT_WILL:
            assert here in {"layers", "evaluation"} and not at_top, f"{here} names TensorFlow at import"
        assert package != "matplotlib" or not at_top, "matplotlib is imported inside"
        assert package != "keras_cv" or path.name == "keras_cv.py", "keras-cv stays behind one file"


def families() -> dict[str, str]:
    """Family modules in the floor plan's order, with the month of their paper."""
    found = {}
    for name in applications.list_models():
        row = getattr(applications, name)
        found.setdefault(type(row.architecture).__module__.rpartition(".")[2], row.paper.month)
    return found


def test_citations_point_backwards():
    months = families()
    for family, month in months.items():
        for module, _ in imports(ROOT / "kvision" / "applications" / f"{family}.py"):
            other = module.removeprefix("kvision.applications.").split(".")[0]
            assert months.get(other, "") <= month, f"{family} ({month}) imports {other} ({months[other]})"


def test_floor_plan_is_sorted_by_month():
    tree = ast.parse((ROOT / "kvision" / "applications" / "__init__.py").read_text())
    order = [node.module.rpartition(".")[2] for node in tree.body if isinstance(node, ast.ImportFrom)]
    months = families()
    listed = [months[name] for name in order if name in months]
    assert listed == sorted(listed) and len(listed) == len(months)


def test_every_row_is_public_under_its_name():
    for name in applications.list_models():
        row = getattr(applications, name)
        assert isinstance(row, Variant) and row.name == name
        assert row.params > 0 and row.macs > 0


@pytest.mark.parametrize(("table", "file"), _table.FILES.items())
def test_tables_are_up_to_date(table, file):
    text = (ROOT / file).read_text()
    assert _table.between_marks(table) in text, f"run: python -m kvision.applications._table {file}"

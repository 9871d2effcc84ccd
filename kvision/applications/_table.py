"""The table of models in the README and that of published weights, written from the rows.

python -m kvision.applications._table README.md kvision/applications/weights.md
"""

import pathlib
import sys

from kvision import applications

FILES = {"models": "README.md", "weights": "kvision/applications/weights.md"}


def models() -> str:
    """Every network: paper, counts, and what `weights="imagenet"` is."""
    lines = ["| network | paper | parameters | MACs | at | published weights |", "|---|---|---:|---:|---|---|"]
    for name in applications.list_models():
        row = getattr(applications, name)
        height, width, channels = row.input_shape
        paper = f"[{row.paper.venue}](https://arxiv.org/abs/{row.paper.arxiv})" if row.paper.arxiv else row.paper.venue
        macs = f"{row.macs / 1e9:.3f} G" if row.macs >= 1e9 else f"{row.macs / 1e6:.3f} M"
        weights = row.weights[0].source.partition("/")[2] if row.weights else ""
        weights += f" and {len(row.weights) - 1} more" if len(row.weights) > 1 else ""
        lines.append(f"| {name} | {paper} | {row.params:,} | {macs} | {height}x{width}x{channels} | {weights} |")
    return "\n".join(lines)


def weights() -> str:
    """Every checkpoint: what it expects, may be used for, and was measured at."""
    lines = [
        "| network | tag | image | crop | resizing | license | top-1 | by |",
        "|---|---|---|---:|---|---|---:|---|",
    ]
    for name in applications.list_models(weights=True):
        for number, row in enumerate(getattr(applications, name).weights):
            height, width = row.preprocess.size
            top1, source = row.publisher_top1 or ("", "")
            tag = f"[{row.source}]({row.address})" if row.address else row.source
            cells = [name if number == 0 else "", f"**{tag}**" if number == 0 else tag, f"{height}x{width}"]
            cells += [f"{row.preprocess.crop_fraction:g}", row.preprocess.interpolation, row.license or "not stated"]
            cells += [str(top1), source.partition(",")[0]]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def between_marks(table: str) -> str:
    return f"<!-- {table} -->\n{globals()[table]()}\n<!-- /{table} -->"


def main(paths: list[str]) -> None:
    for path in map(pathlib.Path, paths):
        text = path.read_text(encoding="utf-8")
        for table in FILES:
            before, mark, rest = text.partition(f"<!-- {table} -->")
            if mark:
                text = before + between_marks(table) + rest.partition(f"<!-- /{table} -->")[2]
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

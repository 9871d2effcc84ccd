"""The README's table of models, written from the rows.

python -m kvision.applications._table README.md
"""

import pathlib
import sys

from kvision import applications

BEGIN, END = "<!-- models -->", "<!-- /models -->"


def markdown() -> str:
    lines = ["| network | paper | parameters | MACs | at | published weights |", "|---|---|---:|---:|---|---|"]
    for name in applications.list_models():
        row = getattr(applications, name)
        height, width, channels = row.input_shape
        paper = f"[{row.paper.venue}](https://arxiv.org/abs/{row.paper.arxiv})" if row.paper.arxiv else row.paper.venue
        macs = f"{row.macs / 1e9:.3f} G" if row.macs >= 1e9 else f"{row.macs / 1e6:.3f} M"
        weights = ", ".join(weights.source.partition("/")[2] for weights in row.weights)
        lines.append(f"| {name} | {paper} | {row.params:,} | {macs} | {height}x{width}x{channels} | {weights} |")
    return "\n".join([BEGIN, *lines, END])


def main(path: str) -> None:
    file = pathlib.Path(path)
    before, _, rest = file.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    file.write_text(before + markdown() + after, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])

"""One HTML page that needs nothing beside it: pictures and style are inside, and there are no scripts.

Plain data in, a string out. All text is escaped: class names and commands may hold anything.
"""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

from kvision.visualize.style import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150


class Block(Protocol):
    """What a section is made of."""

    def html(self) -> str: ...


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str

    def html(self) -> str:
        return f"<p>{escape(self.text)}</p>"


@dataclass(frozen=True)
class Verbatim:
    """Lines as they are: a command, a citation."""

    text: str

    def html(self) -> str:
        return f"<pre>{escape(self.text)}</pre>"


@dataclass(frozen=True)
class Facts:
    """Names with what they stand for. Short ones share a line, where there is room."""

    facts: Mapping[str, Any]

    def html(self) -> str:
        return f"<dl>{''.join(_fact(str(name), str(value)) for name, value in self.facts.items())}</dl>"


def _fact(name: str, value: str) -> str:
    kind = ' class="long"' if len(value) > 36 else ""
    return f"<div{kind}><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"


@dataclass(frozen=True)
class Share:
    """A cell of a table with a part of a whole, in [0, 1]: a percentage on a bar of that length."""

    value: float

    def html(self) -> str:
        return f'<td class="number share" style="--share:{self.value:.4f}">{self.value:.1%}</td>'


@dataclass(frozen=True)
class Number:
    """A cell with a number that is written already."""

    text: str

    def html(self) -> str:
        return f'<td class="number">{escape(self.text)}</td>'


@dataclass(frozen=True)
class Table:
    """Rows of cells: text on the left, integers, `Number`s and `Share`s on the right, None as a dash.

    Args:
        columns: their names.
        rows: each with a cell for each column.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str | int | Number | Share | None]]

    def html(self) -> str:
        first = self.rows[0] if self.rows else [""] * len(self.columns)
        heads = (
            f"<th>{escape(name)}</th>" if isinstance(cell, str) else f'<th class="number">{escape(name)}</th>'
            for name, cell in zip(self.columns, first, strict=True)
        )
        rows = (f"<tr>{''.join(map(_cell, row))}</tr>" for row in self.rows)
        body = f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(rows)}</tbody>"
        return f'<div class="scroll"><table>{body}</table></div>'


def _cell(cell: str | int | Number | Share | None) -> str:
    if isinstance(cell, str):
        return f"<td>{escape(cell)}</td>"
    if cell is None or isinstance(cell, int):
        cell = Number("–" if cell is None else f"{cell:,}")
    return cell.html()


@dataclass(frozen=True)
class Picture:
    """A PNG.

    Args:
        png: the file.
        alt: what it shows, for those who can't see it.
        photographs: whether there are any in it: then it keeps its white paper on a dark page.
    """

    png: bytes
    alt: str
    photographs: bool = False

    @classmethod
    def of(cls, figure: "Figure", alt: str) -> "Picture":
        """A figure without its title, which the section has."""
        figure.suptitle("")
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=DPI)
        return cls(file.getvalue(), alt)

    def html(self) -> str:
        data = base64.b64encode(self.png).decode("ascii")
        width = int.from_bytes(self.png[16:20], "big") * 96 // DPI  # in the header of a PNG; 96 CSS pixels an inch
        kind = "photographs" if self.photographs else "chart"
        return (
            f'<figure class="{kind}"><img src="data:image/png;base64,{data}" width="{width}" alt="{escape(self.alt)}">'
            "</figure>"
        )


@dataclass(frozen=True)
class Folded:
    """Blocks that open when the summary is clicked."""

    summary: str
    blocks: Sequence[Block]

    def html(self) -> str:
        return f"<details><summary>{escape(self.summary)}</summary>{_joined(self.blocks)}</details>"


@dataclass(frozen=True)
class Beside:
    """Blocks side by side, or below each other where the page is narrow."""

    blocks: Sequence[Block]

    def html(self) -> str:
        return f'<div class="beside">{"".join(f"<div>{block.html()}</div>" for block in self.blocks)}</div>'


@dataclass(frozen=True)
class Section:
    """A heading and what is below it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Headline:
    """A number to begin with: what it is, its value, and a remark in small print."""

    name: str
    value: str
    remark: str = ""

    def html(self) -> str:
        remark = f"<small>{escape(self.remark)}</small>" if self.remark else ""
        return f"<li><span>{escape(self.name)}</span><strong>{escape(self.value)}</strong>{remark}</li>"


def page(title: str, subtitle: str, headlines: Sequence[Headline], sections: Sequence[Section], footer: str) -> str:
    """The whole page, UTF-8 when it is written."""
    parts = [
        f'<section id="part{number}"><h2>{escape(section.title)}</h2>{_joined(section.blocks)}</section>'
        for number, section in enumerate(sections)
    ]
    links = (f'<a href="#part{number}">{escape(section.title)}</a>' for number, section in enumerate(sections))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></header>\n"
        f'<ul class="headlines">{_joined(headlines)}</ul>\n<nav>{"".join(links)}</nav>\n'
        f"<main>\n{chr(10).join(parts)}\n</main>\n<footer>{escape(footer)}</footer>\n</body>\n</html>\n"
    )


def _joined(blocks: Iterable[Block]) -> str:
    return "".join(block.html() for block in blocks)

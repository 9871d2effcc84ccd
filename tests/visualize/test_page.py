import base64

import numpy as np
import pytest

from kvision.visualize import curves
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

EVIL = "<script>\"'&"
ESCAPED = "&lt;script&gt;&quot;&#x27;&amp;"


@pytest.mark.parametrize(
    ("block", "html"),
    [
        (Text(EVIL), f"<p>{ESCAPED}</p>"),
        (Verbatim(f"{EVIL}\n two"), f"<pre>{ESCAPED}\n two</pre>"),
        (Facts({EVIL: EVIL}), f"<dl><div><dt>{ESCAPED}</dt><dd>{ESCAPED}</dd></div></dl>"),
        (Facts({"a": 40 * "b"}), f'<dl><div class="long"><dt>a</dt><dd>{40 * "b"}</dd></div></dl>'),
        (Beside([Text("a"), Text("b")]), '<div class="beside"><div><p>a</p></div><div><p>b</p></div></div>'),
        (
            Headline(EVIL, EVIL, EVIL),
            f"<li><span>{ESCAPED}</span><strong>{ESCAPED}</strong><small>{ESCAPED}</small></li>",
        ),
        (Headline("a", "1"), "<li><span>a</span><strong>1</strong></li>"),
        (Folded(EVIL, [Text("a"), Text("b")]), f"<details><summary>{ESCAPED}</summary><p>a</p><p>b</p></details>"),
    ],
)
def test_everything_is_escaped(block, html):
    assert block.html() == html


def test_cells_by_their_kind():
    html = Table((EVIL, "images", "recall"), [(EVIL, 1234, Share(0.5)), ("b", Number(EVIL), None)]).html()
    assert f"<th>{ESCAPED}</th><th class=number>images</th><th class=number>recall</th>" in html.replace('"', "")
    assert f"<td>{ESCAPED}</td>" in html and '<td class="number">1,234</td>' in html
    assert '<td class="number share" style="--share:0.5000">50.0%</td>' in html
    assert f'<td class="number">{ESCAPED}</td><td class="number">–</td>' in html
    assert "<tbody></tbody>" in Table(("a", "b"), []).html()


def test_a_picture_is_inside_and_as_wide_as_its_figure():
    picture = Picture.of(curves({"loss": [2.0, 1.0]}), EVIL)
    html = picture.html()
    assert f'alt="{ESCAPED}"' in html and 'class="chart"' in html
    data = html.split("base64,")[1].split('"')[0]
    assert base64.b64decode(data) == picture.png and picture.png.startswith(b"\x89PNG")
    assert 'width="480"' in html  # 5 inches
    assert 'class="photographs"' in Picture(picture.png, "", photographs=True).html()


def test_the_page_stands_alone():
    text = page(EVIL, EVIL, [Headline("a", "1")], [Section(EVIL, [Text("one")]), Section("Two", [])], EVIL)
    assert text.startswith("<!DOCTYPE html>") and EVIL not in text and text.count(ESCAPED) == 6
    assert '<a href="#part1">Two</a>' in text and '<section id="part1"><h2>Two</h2></section>' in text
    for outside in ("http:", "https:", "<script", "<link", "@import", "url("):
        assert outside not in text
    assert "prefers-color-scheme: dark" in text and "@media print" in text
    assert np.all([tag in text for tag in ("<title>", "<main>", "</html>", 'lang="en"', 'charset="utf-8"')])

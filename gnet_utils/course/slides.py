"""Slides from the notebooks, for a projector and without a network: `python -m gnet_utils slides`.

One HTML file per notebook in `slides/`, with reveal.js beside it (the folder `reveal` here, version
6.0.2 of the npm package, MIT licence, unchanged; `deck.css` and `deck.js` there are the course's).

A rule makes slides out of cells: a heading starts a slide, `##` also a new column. Left out: the
set-up cell, code that does nothing but draw (its picture stays), whatever is folded, and what a
check prints. What follows a prediction comes on the next slide. Metadata
{"slideshow": {"slide_type": ...}} overrules: "slide" and "subslide" start a slide, "fragment"
appears on a key, "skip" leaves out, "notes" goes to the speaker.
In the browser, `deck.js` divides what is longer than a slide and shrinks what cannot be divided.

mistune reads the Markdown, as nbconvert sets it up; latex2mathml draws the formulas. The pages are
not those of nbconvert's SlidesExporter: it starts slides by marked cells alone, loads jQuery,
require.js, MathJax and mermaid from the network, and puts "No description" over our alt texts.
With all its blocks overridden it did no more than join the sections below.
"""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from gnet_utils.base import ROOT
from gnet_utils.course.notebooks import CHECK, as_rendered, without_folded

SLIDES = ROOT / "slides"
REVEAL = ROOT / "gnet_utils" / "course" / "reveal"

PREDICTION = re.compile(r"^predict\(", re.MULTILINE)
LEFT_OUT = re.compile(r"# Set-up|score\(")


@dataclass
class Slide:
    """One slide, all parts as HTML; `column` starts a new column of slides, as sections do."""

    title: str = ""
    column: bool = False
    blocks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def make_slides(paths: Iterable[Path], folder: Path = SLIDES) -> list[Path]:
    """Write a page of slides for each notebook as rendered, and index.html; returns the pages."""
    shutil.copytree(REVEAL, folder / "reveal", dirs_exist_ok=True)
    pages = []
    for path in paths:
        page = folder / f"{path.stem}.html"
        page.write_text(page_of(as_rendered(path)), encoding="utf-8")
        pages.append(page)
    titles = [(page.name, _title_of(page)) for page in sorted(folder.glob("[0-9][0-9]_*.html"))]
    links = "\n".join(f'<li><a href="{name}">{title}</a></li>' for name, title in titles)
    index = _page("Slides", f'<main style="padding: 3em"><h2>Slides</h2><ul>{links}</ul></main>')
    (folder / "index.html").write_text(index, encoding="utf-8")
    return pages


def page_of(notebook: dict) -> str:
    """The whole HTML page with the slides of a notebook."""
    columns: list[list[str]] = []
    for slide in slides_of(notebook):
        if slide.column:
            columns.append([])
        columns[-1].append(_section(slide))
    body = "\n".join(f"<section>\n{''.join(column)}</section>" for column in columns)
    scripts = '<script src="reveal/reveal.js"></script>\n<script src="reveal/deck.js"></script>'
    title = notebook["cells"][0]["source"].partition("\n")[0].lstrip("# ")
    return _page(
        html.escape(title),
        f'<div class="reveal"><div class="slides">\n{body}\n</div></div>\n{scripts}',
    )


def _page(title: str, body: str) -> str:
    colours = HtmlFormatter(style="default").get_style_defs("pre")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{title}</title>\n"
        '<link rel="stylesheet" href="reveal/reveal.css">\n'
        '<link rel="stylesheet" href="reveal/deck.css">\n'
        f"<style>{colours}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _title_of(page: Path) -> str:
    return re.search(r"<title>(.*?)</title>", page.read_text(encoding="utf-8"))[1]


def _section(slide: Slide) -> str:
    notes = f'<aside class="notes">{"".join(slide.notes)}</aside>' if slide.notes else ""
    content = "\n".join([slide.title, *slide.blocks])
    return f'<section><div class="frame"><div>\n{content}\n</div></div>{notes}</section>\n'


def slides_of(notebook: dict) -> list[Slide]:
    """The slides of a notebook in order, by the rule above."""
    slides = [Slide(column=True)]
    for cell in notebook["cells"]:
        kind = cell["metadata"].get("slideshow", {}).get("slide_type", "")
        if kind == "skip" or "solution" in cell["metadata"] or LEFT_OUT.match(cell["source"]):
            continue
        blocks = _text(cell) if cell["cell_type"] == "markdown" else _code_and_outputs(cell)
        if kind == "notes":
            slides[-1].notes += blocks
            continue
        if kind in ("slide", "subslide") and slides[-1].blocks:
            slides.append(Slide(column=kind == "slide"))
        for block in blocks:
            if heading := re.match("<h([1-6])>", block):
                if slides[-1].title or slides[-1].blocks:
                    slides.append(Slide())
                slides[-1].title = block
                slides[-1].column |= heading[1] < "3"
            else:
                fragment = kind == "fragment"
                slides[-1].blocks.append(
                    f'<div class="fragment">{block}</div>' if fragment else block
                )
        if cell["cell_type"] == "code" and PREDICTION.search(cell["source"]):
            slides.append(Slide())  # the answer comes on the next one
    slides = [slide for slide in slides if slide.title or slide.blocks]
    for before, slide in pairwise(slides):  # what goes on has the same heading, never a large one
        slide.title = slide.title or before.title.replace("h1>", "h2>")
    return slides


class _Renderer(IPythonRenderer):
    """Markdown as HTML: formulas as MathML, links within the course as plain text."""

    def block_math(self, body: str) -> str:
        return formula(body.strip(), block=True)

    def inline_math(self, body: str) -> str:
        return formula(body.strip())

    def block_code(self, code: str, info: str | None = None) -> str:
        return _code(code)

    def link(self, text: str, url: str, title: str | None = None) -> str:
        return super().link(text, url, title) if re.match("https?:", url) else text

    def heading(self, text: str, level: int, **attributes) -> str:
        return f"<h{min(level, 3)}>{text}</h{min(level, 3)}>"

    def inline_html(self, html: str) -> str:
        return "" if html.startswith("<a id=") else html  # where links within the course lead


def _text(cell: dict) -> list[str]:
    """The paragraphs, headings, lists, tables and fenced code of a Markdown cell, each as HTML."""
    markdown = MarkdownWithMath(_Renderer(escape=False))
    renderer, markdown.renderer = markdown.renderer, None  # so that `parse` gives the parts
    parts, state = markdown.parse(without_folded(cell["source"]))
    return [block for part in parts if (block := renderer([part], state).strip())]


def formula(latex: str, block: bool = False) -> str:
    """LaTeX as MathML, which browsers draw themselves."""
    return convert(latex, display="block" if block else "inline")


def _code_and_outputs(cell: dict) -> list[str]:
    source = cell["source"]
    shown = [] if CHECK.search(source) else [*filter(None, map(_output, cell["outputs"]))]
    pictures = [block.startswith("<figure") for block in shown]
    if not source.strip() or PREDICTION.search(source) or (shown and all(pictures)):
        return shown
    if not shown or any(pictures):
        return [_code(source), *shown]
    return [f'<div class="together">{_code(source)}{shown[0]}</div>', *shown[1:]]


def _code(source: str) -> str:
    lines = highlight(source, PythonLexer(), HtmlFormatter(nowrap=True))
    return f"<pre>{_lines(lines)}</pre>"


def _lines(text: str) -> str:
    """Each line in an element of its own: between them `deck.js` may divide."""
    return "".join(f"<span>{line}\n</span>" for line in text.rstrip().split("\n"))


def _output(output: dict) -> str:
    """An output as HTML, "" for one that says nothing on a slide."""
    data = output.get("data", {"text/plain": output.get("text", "")})
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            alt = html.escape(output["metadata"].get(kind, {}).get("alt", ""))
            source = f"data:{kind};base64,{''.join(data[kind].split())}"
            return f'<figure><img src="{source}" alt="{alt}"></figure>'
    if data.get("text/html", "").startswith("<table>"):
        return data["text/html"]
    text = re.sub(r"\x1b\[[0-9;]*m", "", data.get("text/plain", ""))
    if output.get("name") == "stderr" or not text.strip():
        return ""
    return f'<pre class="output">{_lines(html.escape(text))}</pre>'

"""Slides from the notebooks, for a projector and without a network: `python -m gnet_utils slides`.

One HTML file per notebook in `slides/`, with reveal.js beside it (the folder `reveal` here, version
6.0.2 of the npm package with its plugin for notes, MIT licence, unchanged; `deck.css` and `deck.js`
there are the course's).

A rule makes slides out of cells: a heading starts a slide, `##` also a new column, and what
follows a prediction comes on the next one. Left out: the set-up cell, folded code and code that
does nothing but draw (its picture stays), imports, whatever is folded in a text, what a check
prints and where its hints are. Metadata {"slideshow": {"slide_type": ...}} overrules: "slide" and
"subslide" start a slide, "fragment" appears on a key, "skip" leaves out, "notes" goes to the
speaker.
With a cut, the teacher's page says what is left out (teaching.py), and its plan is the first slide.
In the browser, `deck.js` divides what is longer than a slide and shrinks what cannot be divided.

mistune reads the Markdown, as nbconvert sets it up; latex2mathml draws the formulas. The pages are
not those of nbconvert's SlidesExporter: it starts slides by marked cells alone, loads jQuery,
require.js, MathJax and mermaid from the network, and puts "No description" over our alt texts.
With all its blocks overridden it did no more than join the sections below.
"""

from __future__ import annotations

import ast
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

from gnet_utils.base import ROOT, CourseError
from gnet_utils.course.notebooks import CHECK, as_rendered
from gnet_utils.course.teaching import PREDICTED, Page, pieces

SLIDES = ROOT / "slides"
REVEAL = ROOT / "gnet_utils" / "course" / "reveal"

LEFT_OUT = re.compile(r"# Set-up|score\(")
VOTE = re.compile(r'<ul style="list-style: none">.*</ul>')  # as widgets.predict shows it
HINT = re.compile(r"\s*`hint\([^)]*\)`[^.\n]*\.")
DRAWING = {"plt", "Figure", "figure", "fig", "axes", "show", "use_course_style"}
TO_FILL_IN = {"check", "hint", "answer"}


@dataclass
class Slide:
    """One slide, all parts as HTML; `column` starts a new column of slides, as sections do."""

    title: str = ""
    column: bool = False
    blocks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def make_slides(
    paths: Iterable[Path], folder: Path = SLIDES, cut: str | None = None
) -> dict[Path, list[str]]:
    """Write a page of slides for each notebook as rendered, and index.html.

    With a `cut` of "45" or "90" minutes, only what the teacher's page has time for. Returns the
    pages, each with the headings that are not in it. Raises CourseError for a teacher's page that
    cannot be read, or that a cut needs and that is not there.
    """
    made = {}
    for path in paths:
        notebook, lesson = as_rendered(path), path.stem[:2]
        page = folder / f"{path.stem}{f'_{cut}' if cut else ''}.html"
        try:
            text, made[page] = page_of(notebook, Page(lesson, notebook), cut)
        except FileNotFoundError:  # a zip for a class has no teacher's pages
            if cut:
                what = f"there is no notebooks/teaching/{lesson}.md, which says what is in the cut"
                raise CourseError(f"{what}: leave out --cut") from None
            text, made[page] = page_of(notebook)
        folder.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
    shutil.copytree(REVEAL, folder / "reveal", dirs_exist_ok=True)
    titles = [(page.name, _title_of(page)) for page in sorted(folder.glob("[0-9][0-9]_*.html"))]
    links = "\n".join(f'<li><a href="{name}">{title}</a></li>' for name, title in titles)
    index = _page("Slides", f'<main style="padding: 3em"><h2>Slides</h2><ul>{links}</ul></main>')
    (folder / "index.html").write_text(index, encoding="utf-8")
    return made


def page_of(
    notebook: dict, teacher: Page | None = None, cut: str | None = None
) -> tuple[str, list[str]]:
    """The whole HTML page with the slides of a notebook, and the headings that a cut leaves out."""
    title = html.escape(notebook["cells"][0]["source"].partition("\n")[0].lstrip("# "))
    cells, dropped = teacher.taught(notebook, cut) if teacher else (pieces(notebook), [])
    slides = slides_of(cells)
    if cut:
        title = f"{title}: {cut} minutes"
        slides.insert(0, _plan(title, teacher, cut))
    columns: list[list[str]] = []
    for slide in slides:
        if slide.column:
            columns.append([])
        columns[-1].append(_section(slide))
    body = "\n".join(f"<section>\n{''.join(column)}</section>" for column in columns)
    scripts = "\n".join(
        f'<script src="reveal/{name}.js"></script>' for name in ("reveal", "notes", "deck")
    )
    return _page(
        title, f'<div class="reveal"><div class="slides">\n{body}\n</div></div>\n{scripts}'
    ), dropped


def _plan(title: str, teacher: Page, cut: str) -> Slide:
    """The first slide of a cut: its sections, when each begins and how long it takes."""
    rows = "".join(
        f"<tr><td>{start}</td><td>{html.escape(section.name)}</td><td>{section.minutes[cut]}</td></tr>"
        for section, start in teacher.plan(cut)
    )
    head = "<thead><tr><th>from</th><th>section</th><th>minutes</th></tr></thead>"
    table = f'<table class="plan">{head}<tbody>{rows}</tbody></table>'
    return Slide(f"<h2>{title}</h2>", column=True, blocks=[table])


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


def slides_of(cells: Iterable[dict]) -> list[Slide]:
    """The slides of a notebook's pieces in order, by the rule above."""
    slides = [Slide(column=True)]
    for cell in cells:
        kind = cell["metadata"].get("slideshow", {}).get("slide_type", "")
        if kind == "skip" or "solution" in cell["metadata"] or LEFT_OUT.match(cell["source"]):
            continue
        markdown = cell["cell_type"] == "markdown"
        blocks = _text(cell["source"]) if markdown else _code_and_outputs(cell)
        if kind == "notes":
            slides[-1].notes += blocks
            continue
        if kind in ("slide", "subslide") and slides[-1].blocks:
            slides.append(Slide(column=kind == "slide"))
        for block in blocks:
            if heading := re.match("<h([1-6])>(.*)</h", block, re.DOTALL):
                level, title = heading.groups()
                if slides[-1].blocks:
                    slides.append(Slide())
                if slides[-1].title[2:3] < level:  # nothing stands between the two headings
                    title = f"{_small(slides[-1].title)}{title}"
                slides[-1].title = f"<h{level}>{title}</h{level}>"
                slides[-1].column |= level < "3"
            else:
                fragment = kind == "fragment"
                slides[-1].blocks.append(
                    f'<div class="fragment">{block}</div>' if fragment else block
                )
        for note in _text("\n\n".join(cell["metadata"].get("notes", []))):
            if note not in slides[-1].notes:
                slides[-1].notes.append(note)
        if not markdown and PREDICTED.search(cell["source"]):
            *before, question, options = ["", "", *slides[-1].blocks]
            slides[-1].blocks = [*before, f'<div class="together">{question}{options}</div>']
            slides.append(Slide())  # the answer comes on the next one
    slides = [slide for slide in slides if slide.blocks]
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


def _small(title: str) -> str:
    """The heading of a section before that of its part, "" where there is none."""
    return title and f"<small>{re.sub('<.*?>', '', title)}</small> "


def _text(text: str) -> list[str]:
    """The paragraphs, headings, lists, tables and fenced code of Markdown, each as HTML."""
    markdown = MarkdownWithMath(_Renderer(escape=False))
    renderer, markdown.renderer = markdown.renderer, None  # so that `parse` gives the parts
    parts, state = markdown.parse(HINT.sub("", text))
    return [block for part in parts if (block := renderer([part], state).strip())]


def formula(latex: str, block: bool = False) -> str:
    """LaTeX as MathML, which browsers draw themselves."""
    return convert(latex, display="block" if block else "inline")


def _code_and_outputs(cell: dict) -> list[str]:
    source = _shown_code(cell)
    shown = [] if CHECK.search(cell["source"]) else [*filter(None, map(_output, cell["outputs"]))]
    pictures = [block.startswith("<figure") for block in shown]
    if not source or (shown and all(pictures)):
        return shown
    if not shown or any(pictures):
        return [_code(source), *shown]
    return [f'<div class="together">{_code(source)}{shown[0]}</div>', *shown[1:]]


def _shown_code(cell: dict) -> str:
    """The statements of a cell that a class reads: not folded, no imports, drawings and checks."""
    source = cell["source"]
    folded = cell["metadata"].get("jupyter", {}).get("source_hidden")
    if folded or PREDICTED.search(source):
        return ""
    try:
        statements = ast.parse(source).body
    except SyntaxError:  # a teacher's %magic
        return source
    lines: list[str | None] = [*source.splitlines()]
    for statement in statements:
        names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
        if isinstance(statement, ast.Import | ast.ImportFrom) or names & (DRAWING | TO_FILL_IN):
            length = statement.end_lineno - statement.lineno + 1
            lines[statement.lineno - 1 : statement.end_lineno] = [None] * length
    left = "\n".join(line for line in lines if line is not None)
    return re.sub("\n{3,}", "\n\n", left).strip()


def _code(source: str) -> str:
    lines = highlight(source, PythonLexer(), HtmlFormatter(nowrap=True))
    return f"<pre>{_lines(lines)}</pre>"


def _lines(text: str) -> str:
    """Each line in an element of its own: between them `deck.js` may divide."""
    lines = text.rstrip().split("\n")
    return "".join(f"<span{'' if line else ' class=gap'}>{line}\n</span>" for line in lines)


def _output(output: dict) -> str:
    """An output as HTML, "" for one that says nothing on a slide."""
    data = output.get("data", {"text/plain": output.get("text", "")})
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            alt = html.escape(output["metadata"].get(kind, {}).get("alt", ""))
            source = f"data:{kind};base64,{''.join(data[kind].split())}"
            return f'<figure><img src="{source}" alt="{alt}"></figure>'
    page = data.get("text/html", "")
    if page.startswith("<table>"):
        return page
    if options := VOTE.search(page):
        return options[0].replace("<ul", '<ul class="vote"', 1)
    text = re.sub(r"\x1b\[[0-9;]*m", "", data.get("text/plain", ""))
    if output.get("name") == "stderr" or not text.strip():
        return ""
    return f'<pre class="output">{_lines(html.escape(text))}</pre>'

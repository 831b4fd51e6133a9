"""Slides from the notebooks, for a projector and without a network: `python -m gnet_utils slides`.

One HTML file per notebook in `slides/`, with reveal.js beside it (the folder `reveal` here, version
6.0.2 of the npm package, MIT licence, unchanged; `deck.css` and `deck.js` there are the course's).

A rule makes slides out of cells: a heading starts a slide, `##` also a new column; text, code and
outputs fill it until it is full. Left out: the set-up cell, code that does nothing but draw
(its picture stays), whatever is folded, and what a check prints. What follows a
prediction comes on the next slide. Metadata
{"slideshow": {"slide_type": ...}} overrules: "slide" and "subslide" start a slide, "fragment"
appears on a key, "-" goes on, "skip" leaves out, "notes" goes to the speaker.
In the browser, what still does not fit is made smaller.

Not nbconvert's own slides: there each cell is a slide of its own, or each is marked by hand.
"""

from __future__ import annotations

import base64
import html
import io
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gnet_utils.base import ROOT
from gnet_utils.course.notebooks import CHECK, as_rendered, without_folded

SLIDES = ROOT / "slides"
REVEAL = ROOT / "gnet_utils" / "course" / "reveal"

# Pixels on a slide of 1280 x 720, as deck.css sets them; only estimates where text is wrapped.
WIDTH, HEIGHT = 1184, 590  # for content, below the heading
TEXT_LINE, TEXT_LETTER = 36, 12.6
TABLE_LINE, TABLE_LETTER = 27, 10.2
CODE_LINE = 24
GAP = 14
LARGEST_PICTURE, SMALLEST_PICTURE = 580, 360
ENLARGED = 1.5  # at most: figures are drawn for a page

PREDICTION = re.compile(r"^predict\(", re.MULTILINE)
LEFT_OUT = re.compile(r"# Set-up|score\(")
BAR = re.compile(r".*\d%\|")  # the first moment of a progress bar
FORMULA = re.compile(
    r"```.*?```|``.*?``|`[^`\n]*`|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$]+?)\$", re.S
)


@dataclass
class Block:
    """A part of a slide that is not divided: HTML, and about how many pixels high."""

    html: str
    height: float
    picture: bool = False
    fragment: bool = False


@dataclass
class Slide:
    """One slide; `column` starts a new column of slides, as sections do."""

    title: str
    column: bool = False
    blocks: list[Block] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    given: bool = False  # started by metadata: it may stand without blocks of its own

    def space(self) -> float:
        return HEIGHT - sum(block.height + GAP for block in self.blocks)


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
    slides = list(slides_of(notebook))
    columns: list[list[str]] = []
    for slide in slides:
        if slide.column or not columns:
            columns.append([])
        columns[-1].append(_section(slide))
    body = "\n".join(f"<section>\n{''.join(column)}</section>" for column in columns)
    title = re.sub(r"<.*?>", "", slides[0].title)
    scripts = '<script src="reveal/reveal.js"></script>\n<script src="reveal/deck.js"></script>'
    return _page(
        title, f'<div class="reveal"><div class="slides">\n{body}\n</div></div>\n{scripts}'
    )


def _page(title: str, body: str) -> str:
    from pygments.formatters import HtmlFormatter

    colours = HtmlFormatter(style="default").get_style_defs("pre")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{title}</title>\n"
        '<link rel="stylesheet" href="reveal/reveal.css">\n'
        '<link rel="stylesheet" href="reveal/deck.css">\n'
        f"<style>{colours}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _title_of(page: Path) -> str:
    return re.search(r"<title>(.*?)</title>", page.read_text(encoding="utf-8"), re.S)[1]


def _section(slide: Slide) -> str:
    parts = [
        f'<div class="fragment">{block.html}</div>' if block.fragment else block.html
        for block in slide.blocks
    ]
    notes = f'<aside class="notes">{"".join(slide.notes)}</aside>' if slide.notes else ""
    content = "\n".join([slide.title, *parts])
    return f'<section><div class="frame"><div>\n{content}\n</div></div>{notes}</section>\n'


# Cells to slides ----------------------------------------------------------------------------------


def slides_of(notebook: dict) -> Iterator[Slide]:
    """The slides of a notebook in order, by the rule above."""
    slide = Slide("", column=True)
    for cell in notebook["cells"]:
        kind = cell["metadata"].get("slideshow", {}).get("slide_type", "")
        if kind == "skip" or "solution" in cell["metadata"] or LEFT_OUT.match(cell["source"]):
            continue
        if kind == "notes":
            slide.notes.append(_markdown(cell["source"]))
            continue
        if kind in ("slide", "subslide") and slide.blocks:
            yield slide
            slide = Slide(_again(slide.title), column=kind == "slide", given=True)
        for heading, blocks in _groups(cell):
            if heading:
                if slide.blocks or (slide.title and not slide.given):
                    yield slide
                column = heading.startswith(("<h1", "<h2"))
                slide = Slide(heading, column=column or (slide.given and slide.column))
            for block in blocks:
                block.fragment = kind == "fragment"
                if block.picture:
                    block = _sized(block, slide.space() if slide.blocks else HEIGHT)
                if slide.blocks and block.height > slide.space() and kind != "-":
                    yield slide
                    slide = Slide(_again(slide.title))
                    block = _sized(block, HEIGHT) if block.picture else block
                slide.blocks.append(block)
        if cell["cell_type"] == "code" and PREDICTION.search(cell["source"]):
            yield slide  # the answer comes on the next one
            slide = Slide(_again(slide.title))
    if slide.blocks:
        yield slide


def _again(title: str) -> str:
    """The heading of a slide that continues another: the title of the notebook becomes small."""
    return re.sub(r"h1(?=>)", "h2", title)


def _groups(cell: dict) -> Iterator[tuple[str, list[Block]]]:
    """(heading or "", blocks) pairs of a cell."""
    if cell["cell_type"] == "code":
        yield "", list(_code_blocks(cell))
        return
    heading, blocks = "", []
    for part in _parts(without_folded(cell["source"])):
        found = re.fullmatch(r"(#{1,6}) (.*)", part)
        if found:
            if heading or blocks:
                yield heading, blocks
            level = min(len(found[1]), 3)
            heading, blocks = f"<h{level}>{_inline(found[2])}</h{level}>", []
        else:
            blocks += _text_blocks(part)
    if heading or blocks:
        yield heading, blocks


def _parts(source: str) -> Iterator[str]:
    """Paragraphs, headings, lists, tables and fenced code of Markdown, one by one."""
    part, fenced = [], False
    for line in [*source.splitlines(), ""]:
        heading = not fenced and re.match(r"#{1,6} ", line)
        if part and not fenced and (not line.strip() or heading):
            yield "\n".join(part)
            part = []
        if heading:
            yield line.strip()
        elif line.strip() or fenced:
            part.append(line)
        if line.startswith("```"):
            fenced = not fenced
    if part:
        yield "\n".join(part)


def _text_blocks(part: str) -> Iterator[Block]:
    """A paragraph, list or table as one block, or as several when it is higher than a slide."""
    lines = part.splitlines()
    if part.startswith("```"):
        yield from _code(lines[1:-1], "code")
    elif part.startswith("|") and len(lines) > 2:
        yield from _table(lines)
    elif re.match(r"([-*]|\d+\.) ", part):
        items = re.split(r"\n(?=(?:[-*]|\d+\.) )", part)
        for chunk in _chunks(items, [_wrapped(item) + 8 for item in items]):
            yield Block(_markdown("\n".join(chunk)), sum(_wrapped(item) + 8 for item in chunk))
    elif len(part) > 900:  # half a slide and more: by sentences
        sentences = re.split(r"(?<=[.!?]) (?=[A-Z])", " ".join(lines))
        heights = [len(sentence) / 90 * TEXT_LINE for sentence in sentences]
        for chunk in _chunks(sentences, heights, 0.6 * HEIGHT):
            yield Block(_markdown(" ".join(chunk)), _wrapped(" ".join(chunk)))
    else:
        formula = re.fullmatch(r"\s*\$\$.*\$\$\s*", part, re.S)
        yield Block(_markdown(part), 90 if formula else _wrapped(part))


def _wrapped(text: str) -> float:
    """Pixels of running text; Markdown joins its lines."""
    letters = len(re.sub(r"\]\([^)]*\)|\*\*|<[^>]*>", "", text))
    return TEXT_LINE * max(1, -(-letters * TEXT_LETTER // WIDTH))


def _table(lines: list[str]) -> Iterator[Block]:
    def height(row: str) -> float:
        row = re.sub(r"<[^>]*>", "", row)
        cells = [len(cell.strip()) for cell in row.strip("|").split("|")]
        return TABLE_LINE * max(1, -(-sum(cells) * TABLE_LETTER // (0.8 * WIDTH))) + 12

    head, rows = lines[:2], lines[2:]
    for chunk in _chunks(rows, [height(row) for row in rows], HEIGHT - height(head[0])):
        yield Block(_markdown("\n".join(head + chunk)), sum(map(height, [head[0], *chunk])))


def _chunks(items: list[str], heights: list[float], limit: float = HEIGHT) -> Iterator[list[str]]:
    """Items in runs of about equal height, each lower than `limit`."""
    number = -(-sum(heights) // limit)
    share, chunk, used = sum(heights) / number, [], 0.0
    for item, height in zip(items, heights, strict=True):
        if chunk and used + height / 2 > share:
            yield chunk
            chunk, used = [], 0.0
        chunk.append(item)
        used += height
    yield chunk


# Code and outputs ---------------------------------------------------------------------------------


def _code_blocks(cell: dict) -> Iterator[Block]:
    outputs = [] if CHECK.search(cell["source"]) else cell["outputs"]
    shown = [block for output in outputs for block in _output(output)]
    drawn = shown and all(block.picture for block in shown)
    if cell["source"].strip() and not drawn and not PREDICTION.search(cell["source"]):
        code = list(_code(cell["source"].splitlines(), "code"))
        text = not any(block.picture for block in shown)
        if len(code) == 1 and shown and text and code[0].height + shown[0].height < HEIGHT:
            first = shown.pop(0)  # a result stays with its code
            yield Block(code[0].html + first.html, code[0].height + GAP + first.height)
        else:
            yield from code
    yield from shown


def _code(lines: list[str], kind: str) -> Iterator[Block]:
    """Lines of code or output; more than a slide holds are parted where they are least nested."""
    most = int((HEIGHT - 24) // CODE_LINE)
    while lines:
        end = len(lines)
        if end > most:
            low = most // 2
            starts = range(most, low, -1)  # a part that starts here
            end = min(starts, key=lambda i: _nesting(lines[i], lines[i - 1])) if kind else most
        text = "\n".join(lines[:end]).strip("\n")
        body = (
            _highlighted(text) if kind == "code" else f'<pre class="output">{_escape(text)}</pre>'
        )
        yield Block(body, CODE_LINE * end + 24)
        lines = lines[end:]


def _nesting(line: str, before: str) -> int:
    """How bad it is to part code before `line`: not at all after a blank line, more when deep."""
    deep = len(line) - len(line.lstrip())
    return deep + (0 if not before.strip() else 2) + (100 if line[:1] in ")]}" else 0)


def _highlighted(code: str) -> str:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return f"<pre>{highlight(code, PythonLexer(), HtmlFormatter(nowrap=True))}</pre>"


def _output(output: dict) -> Iterator[Block]:
    if output["output_type"] == "stream":
        if output["name"] == "stdout":
            yield from _code(output["text"].rstrip().splitlines(), "output")
        return
    data = output.get("data", {})
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            alt = output["metadata"].get(kind, {}).get("alt", "")
            source = f"data:{kind};base64,{''.join(data[kind].split())}"
            yield Block(f'<img src="{source}" alt="{_escape(alt)}">', 0, picture=True)
            return
    if "text/plain" in data and not BAR.match(data["text/plain"]):
        yield from _code(data["text/plain"].rstrip().splitlines(), "output")


def _sized(block: Block, space: float) -> Block:
    """The picture as high as it may be in `space`, but not lower than is readable."""
    from PIL import Image

    source = re.search(r"base64,([^\"]+)", block.html)[1]
    width, height = Image.open(io.BytesIO(base64.b64decode(source))).size
    wanted = height * min(ENLARGED, WIDTH / width, LARGEST_PICTURE / height)
    high = wanted if wanted <= space else max(space, min(wanted, SMALLEST_PICTURE))
    picture = re.search(r"<img[^>]*>", block.html)[0]
    picture = re.sub(r' style="[^"]*"', "", picture)
    picture = picture.replace("<img", f'<img style="height: {high:.0f}px"')
    return Block(f"<figure>{picture}</figure>", high, True, block.fragment)


# Text to HTML -------------------------------------------------------------------------------------


def _markdown(text: str) -> str:
    """Markdown to HTML, formulas to MathML, links within the course to plain text."""
    from nbconvert.filters import markdown2html

    formulas: list[str] = []

    def keep(match: re.Match) -> str:
        latex = match["block"] or match["inline"]
        if latex is None:  # code, in which a dollar is a dollar
            return match[0]
        formulas.append(formula(latex.strip(), block=bool(match["block"])))
        return f"XFORMULA{len(formulas) - 1}X"

    text = re.sub(r'<a id="[^"]*"></a>', "", FORMULA.sub(keep, text))
    text = re.sub(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:)[^)]*\)", r"\1", text)
    page = markdown2html(text)
    return re.sub(r"XFORMULA(\d+)X", lambda match: formulas[int(match[1])], page)


def _inline(text: str) -> str:
    return re.sub(r"^<p>|</p>$", "", _markdown(text).strip())


def formula(latex: str, block: bool = False) -> str:
    """LaTeX as MathML, which browsers draw themselves."""
    from latex2mathml.converter import convert

    return convert(latex, display="block" if block else "inline")


def _escape(text: str) -> str:
    return html.escape(re.sub(r"\x1b\[[0-9;]*m", "", text))

"""Notebooks as pages: what asks a kernel in a notebook becomes HTML that `static/lesson.js` wakes.

A prediction becomes radio buttons, and what follows it up to its answer is folded until one is
chosen; an exercise with a number becomes a field, another one says what to do in the notebook; an
explorer becomes real inputs beside a picture. Without JavaScript, and on paper, all is open.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets
import nbformat
from PIL import Image

from gnet_utils.course.notebooks import CHECK
from gnet_utils.course.site import frames
from gnet_utils.course.site.answers import name_of, number_table, seal
from gnet_utils.exercises import exercises_of, predictions_of

PREDICTS = re.compile(r"^predict\(\"([\w.]+)\"\)", re.MULTILINE)
SCORES = re.compile(r"^score\(\"\d\d\"\)", re.MULTILINE)
CHECKS = re.compile(CHECK.pattern + r"([\w.]+)")
ANSWER = re.compile(r"It is \([a-h]\)")  # begins the text below a prediction
LESSON = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])+)\]\((\d\d_\w+)\.ipynb(#[^)]*)?\)")
MAP_LINK = re.compile(r'href="(\d\d_\w+)\.ipynb')  # in what a cell shows
WORD = re.compile(r'<a id="(\w+)"></a>\*\*(.+?)\*\*')
NOT_PROSE = re.compile(
    r"(```.*?```|`[^`]*`|\$[^$]*\$|\[[^\]]*\]\([^)]*\)|<[^>]*>|^#.*?$|^\*\*Prediction.*?$)",
    re.DOTALL | re.MULTILINE,
)
BADGE = re.compile(r"^\[!\[Open in Colab\].*\]\((.*)\)\n+", re.MULTILINE)


def page_of(
    notebook: dict, name: str, folder: Path, linked: Collection[str], words: Mapping[str, str]
) -> dict:
    """The notebook that Sphinx reads for the page `name`; its pictures go into `folder`.

    linked: the headings that lessons link to, see `anchors`; words: see `glossary`.
    """
    cells = list(divided(notebook["cells"]))
    if not name.startswith("00"):
        link_words(cells[1:], words)
    title = cells[0]["source"]
    colab = BADGE.search(title)
    top, _, rest = BADGE.sub("", title).partition("\n")
    cells[0]["source"] = f"{top}\n\n{raw(_head(name, colab and colab[1]))}\n\n{rest}"
    pages = []
    for cell in fold_answers(cells):
        if _is_text(cell):
            anchor = cell["source"].partition("\n")[0].lstrip("# ").replace(" ", "-")
            here = f"{raw(f'<span id={anchor!r}></span>')}\n\n" if anchor in linked else ""
            cell["source"] = here + LESSON.sub(link, cell["source"])
        pages += _page_cells(cell, name, folder)
    return nbformat.v4.new_notebook(cells=pages, metadata=notebook["metadata"])


def anchors(notebooks: list[dict]) -> set[str]:
    """The headings that lessons link to, as Jupyter writes them: "4.-You-write-the-block"."""
    sources = [cell["source"] for notebook in notebooks for cell in notebook["cells"]]
    return {match[3][1:] for source in sources for match in LESSON.finditer(source) if match[3]}


def title_of(notebook: dict) -> tuple[str, str]:
    """The title of a lesson and the sentence below it."""
    source = BADGE.sub("", notebook["cells"][0]["source"])
    sentence = re.search(r"^(\*+)(.+?)\1$", source, re.MULTILINE | re.DOTALL)
    return source.partition("\n")[0].lstrip("# "), " ".join(sentence[2].split())


def glossary(start: dict) -> dict[str, str]:
    """The words that lesson 00 explains, with the ids of their rows."""
    source = "\n".join(cell["source"] for cell in start["cells"])
    return {word: anchor for anchor, word in WORD.findall(source)}


def link_words(cells: list[dict], words: Mapping[str, str]) -> None:
    """Link the first use of each word in a lesson to the glossary, where the lesson does not.

    Not where it is a verb: heads "branch off".
    """
    text = "\n".join(cell["source"] for cell in cells)
    open_words = {word: anchor for word, anchor in words.items() if f"#{anchor})" not in text}
    for cell in filter(_is_text, cells):
        parts = NOT_PROSE.split(cell["source"])  # prose, then what stands between, in turn
        for at in range(0, len(parts), 2):
            for word, anchor in list(open_words.items()):
                link = rf'<a href="00_start_here.html#{anchor}">\g<0></a>'
                parts[at], found = re.subn(rf"\b{word}s?\b(?! off)", link, parts[at], count=1)
                if found:
                    del open_words[word]
                    break  # the next word may stand inside this one
        cell["source"] = "".join(parts)


def _is_text(cell: dict) -> bool:
    return cell["cell_type"] == "markdown"


def raw(html: str) -> str:
    """HTML as a part of a text in Markdown."""
    return f"```````{{raw}} html\n{html}\n```````"


def _text(html: str) -> dict:
    return nbformat.v4.new_markdown_cell(raw(html))


def link(match: re.Match) -> str:
    return f'<a href="{match[2]}.html{match[3] or ""}">{match[1]}</a>'


def _head(name: str, colab: str | None) -> str:
    badge = f' or <a href="{escape(colab)}">open it in Colab</a>' if colab else ""
    return (
        '<script>document.documentElement.classList.add("awake")</script>\n'
        '<p class="run">Nothing runs on this page; explorers are drawn ahead. To run the lesson '
        f'yourself, <a href="notebooks/{name}.ipynb" download>download the notebook</a> into the '
        f"folder of the course{badge}.<br>"
        '<label><input type="checkbox" class="show-all" name="all-answers"> '
        "Show all answers and solutions</label></p>"
    )


# Folding ------------------------------------------------------------------------------------------


def divided(cells: list[dict]) -> Iterator[dict]:
    """The cells, with a text cell for each heading, so that what is folded ends before it."""
    for cell in cells:
        if not _is_text(cell) or "solution" in cell["metadata"]:
            yield cell
            continue
        code, part = False, []
        for line in cell["source"].splitlines():
            code ^= line.startswith("```")
            if line.startswith("#") and not code and part:
                yield nbformat.v4.new_markdown_cell("\n".join(part))
                part = []
            part.append(line)
        yield nbformat.v4.new_markdown_cell("\n".join(part))


def fold_answers(cells: list[dict]) -> list[dict]:
    """The cells with folds around what must not be seen before its prediction.

    A fold ends with the text that says which option was right. It begins after the prediction, or
    after the last heading or exercise that stands between.
    """
    folded, open_since = [], None
    for cell in cells:
        found = PREDICTS.search(cell["source"])
        exercise = {"exercise", "solution"} & cell["metadata"].keys()
        folded.append(cell)
        if found and not _is_text(cell):
            name, open_since = found[1], len(folded)
        elif open_since and _is_text(cell) and ANSWER.match(cell["source"]):
            folded.insert(open_since, _text(f'<div class="held" data-prediction="{name}">'))
            folded.append(_text("</div>"))
            open_since = None
        elif open_since and (exercise or cell["source"].startswith("#")):
            open_since = len(folded)
    return folded


# Cells --------------------------------------------------------------------------------------------


def _page_cells(cell: dict, name: str, folder: Path) -> list[dict]:
    """What a cell becomes on the page."""
    source = cell["source"]
    if _is_text(cell):
        return [cell]
    if found := PREDICTS.search(source):
        return [_text(prediction(found[1]))]
    if SCORES.search(source):
        return [_text(SCORE)]
    if frames.EXPLORES.search(source):
        return [_text(explorer(name[:2], folder))]
    exercise = found[1] if (found := CHECKS.search(source)) else None
    if exercise and exercises_of(name[:2])[exercise].value is not None:
        return [_text(field(exercise))]
    for output in cell["outputs"]:
        _page_output(output, folder)
    return [cell, _text(in_notebook(exercise))] if exercise else [cell]


def _page_output(output: dict, folder: Path) -> None:
    """Pictures become files with their description, tables can be scrolled, links lead to pages."""
    data = output.get("data", {})
    if "text/html" in data:
        data["text/html"] = MAP_LINK.sub(r'href="\1.html', data["text/html"])
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            alt = output["metadata"].get(kind, {}).get("alt", "")
            output["data"] = {"text/html": _picture(base64.b64decode(data[kind]), alt, folder)}
    if "<table" in data.get("text/html", ""):
        output["data"] = {"text/html": f'<div class="table-wrapper">{data["text/html"]}</div>'}


def _picture(content: bytes, alt: str, folder: Path) -> str:
    picture = Image.open(io.BytesIO(content))
    file = f"{hashlib.sha256(content).hexdigest()[:12]}.{picture.format.lower()}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(content)
    return (
        f'<img class="figure" src="{folder.name}/{file}" alt="{escape(alt)}" loading="lazy" '
        f'width="{picture.width}" height="{picture.height}">'
    )


def _data(values: dict) -> str:
    """Values for lesson.js inside an element; nothing in them can end it."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json">{text}</script>'


# A form that goes nowhere (there is no dialog), and that a browser does not fill in by itself.
FORM = 'method="dialog" autocomplete="off"'
# A number as a reader writes it: 1000, 1,000, 1_000, 1 000, 1.5, 1e-3, 12%; a comma is no point.
NUMBER = r"(?=[^eE]*\d)\s*[+\-\u2212]?(\d{1,3}([,_ ]\d{3})+|\d*)(\.\d*)?([eE][+\-]?\d+)?\s*%?\s*"
SCORE = (
    '<div class="asks score" role="status"><p class="said"></p><ul></ul>'
    '<button type="button" hidden>Forget my answers on this page</button></div>'
)


def prediction(name: str) -> str:
    """Radio buttons for a prediction; the right one is known by its hash alone."""
    asked = predictions_of(name[:2])[name]
    choices = "".join(
        f'<label><input type="radio" name="guess" value="{index}" required> {letter}) '
        f"{escape(text)}</label>"
        for index, (letter, text) in enumerate(zip("abcdefgh", asked.options, strict=False))
    )
    known = {"right": name_of(f"{name}|{asked.right}"), "because": seal(name, asked.because)}
    return (
        f'<form {FORM} class="asks prediction" name="prediction.{name}" data-id="{name}">'
        f"<fieldset><legend>Your prediction</legend>{choices}"
        f"<button>This is my guess</button></fieldset>"
        f'<p role="status" class="said">Choose; then what follows unfolds.</p>{_data(known)}</form>'
    )


def field(name: str) -> str:
    """A field for the number that an exercise asks for, and its hints."""
    known = {"hints": _hints(name)} | number_table(name, exercises_of(name[:2])[name])
    return _exercise(
        name,
        f'<p><label>Your number <input pattern="{NUMBER}" title="one number, such as 1.5 or 1000" '
        'inputmode="decimal" required></label><button>Check</button> ',
        known,
    )


def in_notebook(name: str) -> str:
    """What a reader can do about an exercise that asks for code."""
    return _exercise(
        name,
        "<p>Code is asked for here: fill the gaps in the notebook and run the cell. It says "
        "whether your code is right, or which mistake it makes.</p><p>",
        {"hints": _hints(name)},
    )


def _exercise(name: str, top: str, known: dict) -> str:
    return (
        f'<form {FORM} class="asks exercise" name="exercise.{name}" data-id="{name}">{top}'
        '<button type="button" class="hint">Hint</button></p>'
        f'<p role="status" class="said"></p>{_data(known)}</form>'
    )


def _hints(name: str) -> list[str]:
    hints = exercises_of(name[:2])[name].hints
    return [seal(name, f"Hint {n} of {len(hints)}: {hint}") for n, hint in enumerate(hints, 1)]


def explorer(lesson: str, folder: Path) -> str:
    """The inputs of an explorer beside its picture."""
    asked, start = frames.explorer_of(lesson), frames.start_of(lesson)
    known = frames.for_page(lesson, folder.with_name("frames") / lesson)
    grid = frames.positions_of(lesson)
    inputs, also = "", ""
    for name, values in grid.items():
        label = frames.label_of(lesson, name)
        if len(values) > 1:
            inputs += _input(asked.controls[name], escape(label), values, start[name])
        else:
            also += f"{',' if also else ' In the running notebook also:'} {escape(label.lower())}"
    also += "." if also else ""
    if lesson == "05":  # the notebook trains its own
        also += " The network is the recorded one, minute-seed0."
    if lesson in ("05", "09") and folder.with_name("network").is_dir():
        also += ' Own garments also on the page <a href="network.html">A network in this page</a>.'
    buttons = "".join(
        f'<button type="button">{escape(name)}</button>' for name in ("reset", *asked.presets)
    )
    number = frames.states_of(grid).index(start)
    first = known["names"][known["frames"][number]]
    with Image.open(folder.with_name("frames") / lesson / first) as picture:
        size = f'width="{picture.width}" height="{picture.height}"'
    return (
        f'<form {FORM} class="asks explorer" aria-label="Explorer" data-frames="frames/{lesson}/">'
        f'<p class="presets">{buttons}</p>'
        f'<div class="controls">{inputs}</div><p role="status" class="said"></p>'
        f'<img src="frames/{lesson}/{first}" alt="{escape(asked.alt)}" {size} loading="lazy">'
        + (f"<p><code>{escape(known['code'][number])}</code></p>" if known["code"] else "")
        + f"<p><small>Drawn ahead: {len(known['names'])} pictures.{also}</small></p>"
        f"{_data(known)}</form>"
    )


def _input(control: ipywidgets.Widget, label: str, values: list, start: Any) -> str:
    """An input that holds the place of a value, at first that of `start`."""
    place = values.index(start)
    if frames.kind_of(control) == "switch":
        return f'<label><input type="checkbox"{" checked" * place}> {label}</label>'
    if frames.kind_of(control) == "choice":
        texts = map(frames.texts_of(control).get, values)
        return f"<label>{label} <select>{options(enumerate(texts), place)}</select></label>"
    return (
        f"<label>{label} <output>{start:g}</output>"
        f'<input type="range" min="0" max="{len(values) - 1}" value="{place}" '
        f'aria-valuetext="{start:g}"></label>'
    )


def options(named: Iterable[tuple[Any, str]], start: Any = None) -> str:
    """The entries of a list, of (value, text) each."""
    return "".join(
        f'<option value="{value}"{" selected" * (value == start)}>{escape(text)}</option>'
        for value, text in named
    )

"""The teacher's pages agree with the notebooks: sections, exercises, predictions, figures.

Pure text. In these files italics are titles of sections and nothing else.
"""

import json
import re
from functools import cache
from pathlib import Path

import pytest

from gnet_utils.course.notebooks import said

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
TEACHING = (ROOT / "notebooks" / "TEACHING.md").read_text(encoding="utf-8")
PAGES = ROOT / "notebooks" / "teaching"
AT_HOME = {"Common misunderstandings", "Further reading"}

TITLE = re.compile(r"(?<!\*)\*([^*\n]+)\*(?!\*)")
IDENTIFIER = re.compile(r"\b\d\d\.[a-z]\w*")
FIGURE = re.compile(r"\d[\d,_]*(?:\.\d+)?")
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem[:2])


@cache
def content(path: Path) -> str:
    """A notebook as text: sources, exercise and prediction ids, and text outputs."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        named = [cell["metadata"].get(key, "") for key in ("exercise", "prediction")]
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" or "solution" in cell["metadata"]:
            # no comment shall look like a heading
            source = re.sub("^#", " #", source, flags=re.MULTILINE)
        parts += [source, *named]
        parts.append(said(cell))
    return "\n".join(parts)


def sections(text: str) -> dict[str, str]:
    """Heading of a notebook -> the text below it, smaller headings and exercises included."""
    found = {}
    heads = re.finditer(r"^(#{1,3}) (.+)$", text, re.MULTILINE)
    levels = [(h.start(), 4 if h[2].startswith("Exercise ") else len(h[1]), h[2]) for h in heads]
    for i, (start, level, title) in enumerate(levels):
        after = (other for other, its_level, _ in levels[i + 1 :] if its_level <= level)
        found[title.strip()] = text[start : next(after, len(text))]
    return found


def advice(path: Path) -> str:
    """The teacher's page about one notebook."""
    return (PAGES / f"{path.stem[:2]}.md").read_text(encoding="utf-8")


def rows(table: str, header: str) -> list[list[str]]:
    """Cells of the rows of the table that begins with this header."""
    lines = table.split(header + "\n")[1].splitlines()[1:]
    end = next((i for i, line in enumerate(lines) if not line.startswith("|")), len(lines))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:end]]


def lesson(path: Path) -> list[list[str]]:
    return rows(advice(path), "| section | 45 | 90 | what to do |")


def figures(text: str) -> set[str]:
    """Numbers in a text that are long enough to be wrong: decimals, and three digits or more."""
    plain = {re.sub("[,_]", "", number) for number in FIGURE.findall(text)}
    return {number for number in plain if "." in number or len(number) > 2}


@every_notebook
def test_the_notebook_has_its_page_with_its_own_title(path):
    title = next(iter(sections(content(path))))
    assert advice(path).startswith(f"# {title}\n")


def test_every_page_has_its_notebook():
    assert sorted(page.stem for page in PAGES.iterdir()) == [path.stem[:2] for path in NOTEBOOKS]


@every_notebook
def test_every_title_in_italics_is_a_section_of_the_notebook(path):
    assert set(TITLE.findall(advice(path))) <= set(sections(content(path)))


def test_titles_in_the_general_part_are_sections_of_some_notebook():
    known = {title for path in NOTEBOOKS for title in sections(content(path))}
    assert set(TITLE.findall(TEACHING)) <= known


@every_notebook
def test_no_section_of_the_notebook_is_forgotten(path):
    large = set(re.findall(r"^## (.+)$", content(path), re.MULTILINE)) - AT_HOME
    assert large <= set(TITLE.findall(advice(path)))


@every_notebook
@pytest.mark.parametrize("column", [1, 2], ids=["45", "90"])
def test_the_minutes_of_a_cut_add_up(path, column):
    minutes = [row[column] for row in lesson(path)]
    assert sum(int(m) for m in minutes if m not in ("–", "")) == (45, 90)[column - 1]


@every_notebook
def test_what_a_row_names_is_in_its_section(path):
    below = sections(content(path))
    for name, *_, advised in lesson(path):
        titles = TITLE.findall(name)
        if not titles:
            continue
        here = below[titles[0]]
        ids = IDENTIFIER.findall(advised)
        ids += [f"{path.stem[:2]}.{p}" for p in re.findall(r"\bp\d+\b", advised)]
        names = [*ids, *re.findall(r"Exercise \d+\.\d+", advised), *TITLE.findall(advised)]
        assert [n for n in names if not re.search(rf"{re.escape(n)}(?!\w)", here)] == [], name


@every_notebook
def test_every_exercise_is_there_under_its_own_id(path):
    number = re.compile(r"^### Exercise (\d+\.\d+):.*?(\d\d\.[a-z]\w*)", re.MULTILINE | re.DOTALL)
    theirs = dict(number.findall(content(path)))
    table = rows(advice(path), "| where | likely wrong answer | what to say |")
    ids = {name for row in table for name in IDENTIFIER.findall(row[0])}
    assert set(theirs.values()) <= ids
    assert {name for name in ids if f'"{name}"' not in content(path)} <= set(
        re.findall(r"^\d\d\.p\d+$", content(path), re.MULTILINE)
    )
    for row in table:
        named = re.match(r"Exercise (\S+) `(.+)`", row[0])
        assert named is None or theirs.get(named[1]) == named[2], row[0]


@every_notebook
def test_every_figure_stands_in_the_notebook_or_in_its_checks(path):
    checks = ROOT / "gnet_utils" / "exercises" / f"n{path.stem[:2]}.py"
    known = figures(content(path) + checks.read_text(encoding="utf-8"))
    said = re.sub(r"Exercise \d+\.\d+|`[^`]+`", "", advice(path))
    assert figures(said) - known == set()


@every_notebook
@pytest.mark.parametrize("part", ["Aim:", "Ask:", "Stuck:", "Skip:", "Print:"])
def test_nothing_that_a_teacher_looks_for_is_missing(path, part):
    assert part in advice(path)

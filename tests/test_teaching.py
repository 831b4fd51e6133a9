"""The teacher's pages agree with the notebooks: goals, sections, exercises, figures, minutes.

Pure text. In these files italics are titles of sections and nothing else.
"""

import json
import math
import re
from functools import cache
from importlib import import_module
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
LONGEST_PAGE = 550  # words outside the sketch: two printed pages
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


def head(path: Path, row: str) -> str:
    """What the table at the top of a notebook says in this row."""
    return re.search(rf"^\| \*\*{row}\*\* \| (.+) \|$", content(path), re.MULTILINE)[1]


def part(path: Path, title: str) -> tuple[str, str]:
    """Heading and text of the part of a page whose heading begins with `title`."""
    (found,) = re.findall(rf"^## ({title}.*)\n((?:(?!## ).*\n?)*)", advice(path), re.MULTILINE)
    return found


def exercises(path: Path) -> dict[str, str]:
    """Number of an exercise of the notebook -> its id."""
    number = re.compile(r"^### Exercise (\d+\.\d+):.*?(\d\d\.[a-z]\w*)", re.MULTILINE | re.DOTALL)
    return dict(number.findall(content(path)))


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
    theirs = exercises(path)
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
    told = re.sub(r"Exercise \d+\.\d+|`[^`\n]+`", "", advice(path))
    assert figures(told) - known == set()


@every_notebook
@pytest.mark.parametrize("word", ["Goals:", "Ask:", "Stuck:", "Skip:", "Print:"])
def test_nothing_that_a_teacher_looks_for_is_missing(path, word):
    assert re.search(rf"^(- )?{word} \S", advice(path), re.MULTILINE)


@every_notebook
def test_the_goals_are_those_of_the_notebook(path):
    assert f"\nGoals: {head(path, 'You will be able to')}\n" in advice(path)


@every_notebook
def test_one_sketch_fits_on_the_board(path):
    _, board = part(path, "On the board")
    (sketch,) = re.findall(r"^```text\n(.*?)^```$", board, re.MULTILINE | re.DOTALL)
    lines = sketch.splitlines()
    assert 4 <= len(lines) <= 14
    assert max(map(len, lines)) <= 90


@every_notebook
def test_both_cuts_have_five_minutes_of_slack(path):
    assert [row[1:3] for row in lesson(path) if row[0] == "slack"] == [["5", "5"]]


@every_notebook
def test_five_minutes_stand_in_for_the_lessons_that_the_notebook_needs(path):
    title, text = part(path, "Five minutes for a class")
    needed = re.findall(r"\[(\d\d)\]\((?!.*?\) helps)", head(path, "Needs").split(" helps")[0])
    if " helps" in head(path, "Needs"):  # the lesson before this word only helps
        needed.pop()
    assert re.findall(r"\d\d", title) == sorted(needed) or not needed
    assert 20 <= len(text.split()) <= 70


@every_notebook
def test_homework_has_answers_and_those_to_exercises_are_right(path):
    _, text = part(path, "Homework and paper")
    items = re.findall(r"^- (.+)$", text, re.MULTILINE)
    assert len(items) >= 2
    assert all(re.search(r"\(.+\)", item) for item in items)
    known = import_module(f"gnet_utils.exercises.n{path.stem[:2]}").EXERCISES
    for number_, value in re.findall(r"Exercise (\d+\.\d+) \(([\d,.]+)[): ]", text):
        name = exercises(path)[number_].split(".")[1]
        assert known[name].judge(float(value.replace(",", ""))) is None, number_
    for sum_, value in re.findall(r"`([^`]+) = ([\d.]+)`", text):
        assert eval(sum_.replace(" x ", " * "), {"root": math.sqrt}) == pytest.approx(float(value))


@every_notebook
def test_a_page_is_short(path):
    told = re.sub(r"^```.*?^```$", "", advice(path), flags=re.MULTILINE | re.DOTALL)
    assert len([word for word in told.split() if re.search(r"\w", word)]) <= LONGEST_PAGE


def test_every_link_leads_to_a_file_or_to_a_heading():
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", TEACHING, flags=re.DOTALL), re.M)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}
    targets = set(re.findall(r"\]\(((?!http)[^)]+)\)", TEACHING))
    files = {f"teaching/{path.stem[:2]}.md" for path in NOTEBOOKS}
    assert files <= targets
    assert {t for t in targets - files if t.removeprefix("#") not in anchors} == set()


LESSONS = rows(
    TEACHING,
    "| the page of a lesson | minutes alone, read and run | with all exercises "
    "| the cells, two cores |",
)
SYMPTOMS = rows(TEACHING, "| symptom | first thing to do |")


@pytest.mark.parametrize(
    "symptom",
    [
        *("kernel dead", "stand-in", "page blank", "machine slow", "two busy cores"),
        *("a name", "photo", "training stops", "notebook is spoiled"),
    ],
)
def test_what_fails_in_class_has_a_first_thing_to_do(symptom):
    assert [act for seen, act in SYMPTOMS if symptom in seen and len(act) > 10]


def test_messages_named_as_symptoms_are_the_courses_own():
    course = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "gnet_utils").rglob("*.py"))
    quoted = [words for seen, _ in SYMPTOMS for words in re.findall(r'"([^"]+)"', seen)]
    assert len(quoted) >= 5
    assert [words for words in quoted if words not in course] == []


def test_the_table_of_lessons_has_the_minutes_of_the_heads():
    table = [(re.search(r"teaching/(\d\d)\.md", row[0])[1], *row[1:]) for row in LESSONS]
    heads = [
        (
            path.stem[:2],
            head(path, "Read and run").removesuffix(" minutes"),
            head(path, "With all exercises").removesuffix(" minutes"),
            head(path, "Run").split(" on two cores")[0],
        )
        for path in NOTEBOOKS
    ]
    assert table == heads


def test_the_minutes_of_each_term_plan_add_up():
    alone = {re.search(r"\d\d", row[0])[0]: int(row[2]) for row in LESSONS}
    plans = rows(TEACHING, "| plan | lessons | minutes in class | alone, all exercises |")
    assert len(plans) == 3
    for _, order, in_class, by_oneself in plans:
        cuts = re.findall(r"\((\d+)\)", order)
        assert set(cuts) <= {"45", "90"}
        assert int(in_class) == sum(map(int, cuts))
        assert int(by_oneself) == sum(alone[n] for n in re.findall(r"\b\d\d\b(?!\))", order))

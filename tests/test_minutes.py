"""The minutes that lessons promise: one formula, the same figures wherever they stand."""

import re

import pytest
from lesson_minutes import exercise_minutes, minutes, reading_minutes

from gnet_utils.base import ROOT
from gnet_utils.course.notebooks import find_notebooks, read

PATHS = find_notebooks()
WORKED_THROUGH = {  # words, lines, predictions, exercises written and not; minutes that it took
    "02, first edition": ((3381, 492, 6), (2, 4), 123),
    "07, first edition": ((3505, 362, 4), (1, 4), 110),
    "05": ((1929, 277, 4), (2, 2), 90),
    "05, reading": ((1929, 277, 4), (0, 0), 60),
    "07": ((2162, 249, 4), (2, 2), 91),
    "03": ((2036, 296, 4), (2, 1), 90),
}


@pytest.mark.parametrize("name", WORKED_THROUGH)
def test_the_formula_foretells_lessons_that_were_worked_through_within_a_tenth(name):
    sizes, exercises, clock = WORKED_THROUGH[name]
    foretold = reading_minutes(*sizes) + exercise_minutes(*exercises)
    assert foretold == pytest.approx(clock, rel=0.1)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem[:2])
def test_head_and_readme_promise_what_the_formula_gives(path):
    notebook = read(path)
    reading, with_exercises = minutes(notebook)
    head = notebook["cells"][0]["source"]
    assert f"| **Read and run** | {reading} minutes |" in head
    assert f"| **With all exercises** | {with_exercises} minutes |" in head
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (row,) = [line for line in readme.splitlines() if f"(notebooks/{path.name})" in line]
    said = re.search(r"\| \*\*Run\*\* \| ((?:under )?\d+ (?:second|minute))", head)[1]
    alone = said.replace("second", "s").replace("minute", "min")
    assert row.endswith(f"| {reading} min | {with_exercises} min | {alone} |")


def test_the_figure_of_notebook_00_names_no_other_length():
    sources = [cell["source"] for cell in read(PATHS[0])["cells"]]
    assert not re.findall(r"lessons of \d+ to \d+ minutes", "\n".join(sources))

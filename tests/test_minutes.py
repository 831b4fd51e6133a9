"""The minutes that lessons promise: one formula, the same figures wherever they stand."""

import re

import pytest
from lesson_minutes import Sizes, exercise_minutes, minutes, reading_minutes

from gnet_utils.base import ROOT
from gnet_utils.course.notebooks import find_notebooks, read

PATHS = find_notebooks()
WORKED_THROUGH = [  # sizes, exercises written and not; minutes of a reader, without them and with
    (Sizes(2036, 207, 4, 20), (2, 1), (None, 90)),  # 03
    (Sizes(2003, 141, 3, 16), (2, 1), (59, 84)),
    (Sizes(1967, 140, 3, 16), (2, 1), (51.5, 77.5)),
    (Sizes(1929, 167, 4, 22), (2, 2), (60, 90)),  # 05
    (Sizes(1901, 190, 4, 21), (2, 2), (62, 86)),
    (Sizes(1697, 154, 4, 16), (2, 2), (48.5, 70)),
    (Sizes(2162, 196, 4, 19), (2, 2), (63, 91)),  # 07
    (Sizes(2112, 154, 4, 19), (2, 2), (66, 87)),
    (Sizes(2045, 150, 3, 14), (2, 2), (57, 76)),
]


def test_the_formula_foretells_what_readers_needed_within_a_fifth_and_rather_more_than_less():
    pairs = []
    for sizes, exercises, (reading, with_exercises) in WORKED_THROUGH:
        foretold = reading_minutes(sizes)
        if reading is not None:
            pairs.append((reading, foretold))
        pairs.append((with_exercises, foretold + exercise_minutes(*exercises)))
    for clock, foretold in pairs:
        assert 0.8 * foretold < clock < 1.05 * foretold
    clocks, foretold = map(sum, zip(*pairs, strict=True))
    assert clocks < foretold


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

"""Which numbers of a lesson's text are out of date after a change, and how `render` names them."""

from pathlib import Path

import nbformat
import pytest

from gnet_utils.base import ROOT
from gnet_utils.course import notebooks
from gnet_utils.course.notebooks import COMPARED, outdated, read

THIRD = ROOT / "notebooks" / "03_the_inception_block.ipynb"


def lesson(text: str, said: str, *, source: str = "count()", compared: bool = True) -> dict:
    """A text below one code cell and its output."""
    output = nbformat.v4.new_output("stream", name="stdout", text=said)
    tags = {"tags": [COMPARED]} if compared else {}
    code = nbformat.v4.new_code_cell(source, outputs=[output], metadata=tags)
    return nbformat.v4.new_notebook(cells=[code, nbformat.v4.new_markdown_cell(text)])


@pytest.mark.parametrize(
    ("text", "before", "now"),
    [
        ("It has 387,072 weights.", "weights: 387072", "weights: 516096"),
        ("About 41.7%, so.", "saved 41.7%", "saved 40.0%"),
        ("We get 416: many", "416 channels", "864 channels"),
        ("So `answer = 1_089_536`.", "1,089,536", "1,089,537"),
        ("See 3.25, 3.5.", "3.25", "3.5"),
    ],
)
def test_a_number_that_an_output_said_and_says_no_more_is_named(text, before, now):
    (place,) = outdated(lesson(text, before), lesson(text, now))
    assert place.startswith("cell 2 says ")
    assert place.removeprefix("cell 2 says ") in text


@pytest.mark.parametrize(
    ("text", "before", "now"),
    [
        ("It has 387,072 weights.", "387072", "387,072 again"),
        ("The paper of 2014 says so.", "200", "300"),
        ("A window of 5x5, 25 weights.", "5 25", "7 49"),
        ("### Exercise 3.1: the waist", "3.1", "4.1"),
        ("Version 1.2.3 and v416", "1.2 2.3 416", "none"),
    ],
)
def test_other_numbers_are_not(text, before, now):
    assert outdated(lesson(text, before), lesson(text, now)) == []


def test_a_number_that_was_mended_in_the_text_is_not_named():
    assert outdated(lesson("It is 416.", "416"), lesson("It is 864.", "864")) == []


def test_a_time_that_agreed_by_chance_is_not_named():
    first = lesson("0.9 of them, in 300 steps", "0.9 s, 300 a second", compared=False)
    again = lesson("0.9 of them, in 300 steps", "0.8 s, 310 a second", compared=False)
    assert outdated(first, again) == []


def test_four_digits_agree_by_no_chance_and_new_code_gives_other_numbers_on_purpose():
    text, now = "163,328 weights, 128.0 million", "196,608 weights, 154.1 million"
    first = lesson(text, text, compared=False)
    said = ["cell 2 says 163,328", "cell 2 says 128.0"]
    assert outdated(first, lesson(text, now, compared=False)) == said
    text, now = text.replace("128.0", "128"), now.replace("154.1", "154")
    first = lesson(text, text, compared=False)
    assert outdated(first, lesson(text, now, compared=False)) == said[:1]
    changed = lesson(text, now, source="count(2)", compared=False)
    assert outdated(first, changed) == ["cell 2 says 163,328", "cell 2 says 128"]


def test_a_lesson_that_was_not_changed_has_none():
    assert outdated(read(THIRD), read(THIRD)) == []


def test_without_a_cell_the_text_that_cites_it_is_named():
    before, after = read(THIRD), read(THIRD)
    after["cells"] = [c for c in after["cells"] if "cost_table(block, 192)" not in c["source"]]
    cited = {place.partition(" says ")[2] for place in outdated(before, after)}
    assert {"163,328", "128.0", "12,800"} <= cited


def test_render_names_them(course: Path, monkeypatch, capsys):
    monkeypatch.setattr(notebooks, "ROOT", course)
    path = course / "notebooks" / "01_some.ipynb"
    before = lesson("It has 387,072 weights.", "387072", source="print(9 * 192 * 224)")
    notebooks.write(before, notebooks.clean_copy(path))
    notebooks.write(lesson("It has 387,072 weights.", "", source="print(9 * 256 * 224)"), path)
    notebooks.render(path)
    *_, head, number = capsys.readouterr().out.splitlines()
    assert head.startswith("These numbers in the text agreed with an output before")
    assert number == "  cell 3 says 387,072"  # the set-up cell is the first

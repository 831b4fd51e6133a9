"""A teacher's own exercise: written by one command, it works before anything in it is changed."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from gnet_utils.base import ROOT, CourseError, UsageError
from gnet_utils.course import new_exercise, notebooks
from gnet_utils.exercises import Exercise

LESSONS = [path.name for path in notebooks.find_notebooks()]
THIRD = "03_the_inception_block.ipynb"


@pytest.fixture
def lessons(course: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The notebooks of a copy of the course, which is the one that exercises are written into."""
    monkeypatch.setattr(new_exercise, "ROOT", course)
    shutil.copytree(ROOT / "notebooks", course / "notebooks", dirs_exist_ok=True)
    return course / "notebooks"


def table_of(lesson: Path) -> Path:
    return lesson.parents[1] / "gnet_utils" / "exercises" / f"n{lesson.stem[:2]}.py"


def entry(lesson: Path, name: str) -> Exercise:
    """The exercise as the changed table has it."""
    spec = importlib.util.spec_from_file_location("changed_table", table_of(lesson))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.EXERCISES[name]


@pytest.mark.parametrize("name", LESSONS, ids=lambda name: name[:2])
def test_the_new_exercise_works_in_every_lesson(name, lessons):
    path = lessons / name
    new_exercise.add(path, "own")
    judge, answers = entry(path, "own").judge, {"check": lambda *_: None}
    *_, (_, _, code) = notebooks.solutions(notebooks.read(path))
    exec(code, answers)
    assert judge(answers["answer"]) is None
    assert judge(13).startswith("13: that adds 4 and 9")
    assert judge(45).startswith("45: that counts the 9 biases too")


def test_it_stands_at_the_end_of_the_section_of_the_last_exercise(lessons):
    path = lessons / THIRD
    old = notebooks.read(path)["cells"]
    new_exercise.add(path, "own")
    cells = notebooks.read(path)["cells"]
    question, stub, solution = (cell for cell in cells if '"03.own"' in cell["source"])
    place = cells.index(question)
    assert cells[place : place + 3] == [question, stub, solution]
    assert cells[place + 3]["source"].startswith("## Recap")
    assert question["source"].startswith("### Exercise 3.4: own\n")
    assert stub["metadata"]["exercise"] == solution["metadata"]["solution"] == "03.own"
    assert cells[:place] + cells[place + 3 :] == old


def test_what_it_says_leads_to_the_line_of_the_entry(lessons, capsys):
    path = lessons / THIRD
    new_exercise.add(path, "own")
    said = capsys.readouterr().out
    line = int(said.rpartition("line ")[2].rstrip(".\n"))
    assert table_of(path).read_text(encoding="utf-8").splitlines()[line - 1] == '    "own": number('


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("block", r"03\.block exists; choose a name other than naive, block, repair, p1"),
        ("p3", r"03\.p3 exists"),
        ("My-own", "NAME must be small letters, digits and _, a letter first, got 'My-own'"),
        ("2nd", "got '2nd'"),
        ("", "got ''"),
    ],
)
def test_a_name_that_cannot_be_is_refused_and_nothing_is_written(name, said, lessons):
    path = lessons / THIRD
    before = path.read_bytes(), table_of(path).read_bytes()
    with pytest.raises(UsageError, match=said):
        new_exercise.add(path, name)
    assert (path.read_bytes(), table_of(path).read_bytes()) == before


def test_a_table_that_is_not_python_is_refused_with_its_line(lessons):
    path = lessons / THIRD
    table = table_of(path)
    table.write_text(table.read_text(encoding="utf-8").replace("1_089_536,", "1_089_536"))
    with pytest.raises(CourseError, match=r"n03\.py is not Python at line \d+ .*: mend it first"):
        new_exercise.add(path, "own")


def test_a_lesson_without_exercises_is_refused(lessons):
    path = lessons / "98_mine.ipynb"
    shutil.copy(lessons / THIRD, path)
    with pytest.raises(CourseError, match=r"98_mine\.ipynb has no exercise that a new one could"):
        new_exercise.add(path, "own")

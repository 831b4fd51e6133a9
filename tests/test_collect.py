"""`collect`: what a class has handed in, read and never run."""

import contextlib
import copy
import csv
import io
import json
from pathlib import Path

import pytest

from gnet_utils.base import CourseError, UsageError
from gnet_utils.course import commands as cli
from gnet_utils.course.collect import WIDGETS, collect
from gnet_utils.exercises import exercises_of, predictions_of

ROOT = Path(__file__).resolve().parents[1]
CLEAN = {
    p.stem[:2]: json.loads(p.read_text("utf-8")) for p in (ROOT / "data/clean").glob("*.ipynb")
}
SLIP = "387,072: that is the naive 3a: 3b has other widths, and 256 channels come in."
NOT_YET = f"Not yet: {SLIP}\n"
OPEN = 'Not answered yet. Put your answer in place of None; hint("03.naive") helps.\n'
RIGHT = f"Right: {exercises_of('03')['03.naive'].right}\n"
BLOCK = "class InceptionBlock: pass\n\nBlock = check('03.block', InceptionBlock)"


def answers(lesson: str = "03", /, **cells: tuple[str | None, str]) -> dict:
    """A lesson with (source, output) in the cells of exercises; None leaves the stub."""
    notebook = copy.deepcopy(CLEAN[lesson])
    for cell in notebook["cells"]:
        key = cell["metadata"].get("exercise", "00.none")[3:]
        if key in cells:
            source, output = cells[key]
            cell["source"] = source or cell["source"]
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": [output]}]
    return notebook


def alone(source: str, output: str) -> dict:
    """A notebook with one code cell, without metadata: as an editor leaves it."""
    stream = {"output_type": "stream", "name": "stdout", "text": output}
    cell = {"cell_type": "code", "source": source, "metadata": {}, "outputs": [stream]}
    return {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def with_widgets(notebook: dict, *models: dict) -> dict:
    """The notebook with the state of its controls, as JupyterLab saves it: without defaults."""
    state = {f"m{i}": {"model_name": "M", "state": model} for i, model in enumerate(models)}
    notebook["metadata"]["widgets"] = {WIDGETS: {"state": state}}
    return notebook


def radio(name: str, index: int | None) -> dict:
    options = predictions_of(name[:2])[name].options
    labels = [f"{letter}) {text}" for letter, text in zip("abcd", options, strict=False)]
    return {"_options_labels": labels} | ({} if index is None else {"index": index})


def handed_in(folder: Path, files: dict[str, dict | str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return folder


RIGHT_BLOCK = "Right: both rows of Table 1.\nIn use from here on: yours.\n"
GUESSED = [{}, radio("03.p1", 2), radio("03.p2", 0), radio("03.p3", None)]
CLASS = {
    "anna_03_the_inception_block.ipynb": with_widgets(
        answers(naive=("answer = 1_089_536", RIGHT), block=(BLOCK, RIGHT_BLOCK)), *GUESSED
    ),
    "anna_04.ipynb": answers("04", size=("answer = 1", "Not yet: 1 is too small.\n")),
    "03_the_inception_block_ben.ipynb": answers(naive=("answer = 387_072", NOT_YET)),
    "late/03_the_inception_block-carla.ipynb": answers(naive=("answer = 387072", NOT_YET)),
    "dora 03.ipynb": answers(naive=(None, OPEN)),
    "emil.ipynb": alone('answer = 5\ncheck("03.naive", answer)', RIGHT),
    "=1+1_03.ipynb": answers(),
    "frida_03.ipynb": answers(naive=(None, RIGHT)),
    "gul_03.ipynb": alone('check("03.nonsense", 5)', "Right: so it is.\n"),
    "Übung/hana_03.ipynb": answers("03", naive=("answer = 7", "Not yet: 7 is too small.\n")),
    "ivo_03.ipynb": answers(naive=("answer = 8", "Not yet: 8 is too \x1b[31msmall.\n")),
    "broken_03.ipynb": '{"cells": [',
    "list.ipynb": "[1, 2]",
    "no_notebook.ipynb": '{"a": 1}',
    "nothing.ipynb": "",
    "no_cells.ipynb": {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5},
    "foreign.ipynb": alone("print('Right: hello')", "Right: hello\n"),
    "harmful_03.ipynb": alone(
        "open('ran', 'w')\nraise SystemExit\ncheck('03.naive', 1)", "Is it Right: yes?\n"
    ),
    ".ipynb_checkpoints/anna_03-checkpoint.ipynb": answers(),
}


def run_collect(folder: Path) -> tuple[dict[str, dict[str, str]], str]:
    """(rows of the CSV by student, what was printed)."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        collect(folder, folder / "class.csv")
    with open(folder / "class.csv", encoding="utf-8-sig", newline="") as file:
        return {row.pop("student"): row for row in csv.DictReader(file)}, said.getvalue()


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """A class with all kinds of files; one notebook has 50 MB, one file is a zip."""
    folder = handed_in(tmp_path_factory.mktemp("hand-ins"), CLASS)
    (folder / "kim_03.ipynb").write_bytes(b" " * 50_000_000 + json.dumps(answers()).encode())
    (folder / "lea.zip").write_bytes(b"PK\x03\x04\xff")
    (folder / "folder.ipynb").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        found = run_collect(folder)
    assert not (folder / "ran").exists(), "a notebook was run"
    return found


@pytest.fixture
def rows(collected):
    return collected[0]


@pytest.fixture
def said(collected):
    return collected[1]


# ---------------------------------------------------------------- who, and what


def test_each_student_has_one_row_with_all_lessons(rows):
    names = ["anna", "ben", "carla", "dora", "emil", "frida", "hana", "ivo"]
    assert sorted(rows) == sorted([*names, "'=1+1", "gul", "harmful"])
    assert rows["anna"]["03.naive"] == "right"
    assert rows["anna"]["04.size"] == "not yet: 1 is too small."
    assert rows["ben"]["04.size"] == ""  # not handed in
    assert "03.nonsense" not in rows["gul"]


def test_a_verdict_is_right_not_yet_with_its_reason_or_open(rows):
    assert rows["anna"]["03.block"] == "right"  # a second line stands below the verdict
    assert rows["ben"]["03.naive"] == f"not yet: {SLIP}"
    assert (
        rows["dora"]["03.naive"] == rows["harmful"]["03.naive"] == "open"
    )  # said so, said nothing


def test_columns_are_in_the_order_of_the_lessons(rows):
    exercises = [name for name in rows["anna"] if ".p" not in name]
    assert exercises == [*exercises_of("03"), *exercises_of("04")]


def test_an_exercise_is_found_without_its_metadata(rows):
    assert rows["emil"]["03.naive"] == "right"


def test_predictions_are_read_where_they_are_saved(rows, said):
    options = predictions_of("03")
    assert rows["anna"]["03.p1"] == f"c) {options['03.p1'].options[2]} (right)"
    assert rows["anna"]["03.p2"] == f"a) {options['03.p2'].options[0]}"
    assert "03.p3" not in rows["anna"]  # shown, and nobody chose
    assert table(said, "03")["anna"] == ["right", "right", "open", "c", "a"]


def test_a_file_that_is_called_as_the_lesson_belongs_to_its_folder(tmp_path):
    names = "anna/03_the_inception_block", "ben/notebooks/03_the_inception_block (1)"
    handed_in(tmp_path, {f"{name}.ipynb": answers() for name in names})
    assert sorted(run_collect(tmp_path)[0]) == ["anna", "ben"]
    handed_in(tmp_path, {"a/zoe 03.ipynb": answers()})
    assert list(run_collect(tmp_path)[0]) == ["anna", "ben", "zoe"]


def test_files_that_are_all_called_alike_belong_to_their_folders(tmp_path):
    handed_in(tmp_path, {f"{name}/homework.ipynb": answers() for name in ("anna", "ben")})
    assert sorted(run_collect(tmp_path)[0]) == ["anna", "ben"]


def test_of_two_notebooks_of_a_student_the_better_verdict_counts(tmp_path):
    right, wrong = ("1_089_536", RIGHT), ("387_072", NOT_YET)
    files = {"anna_03.ipynb": answers(naive=right), "anna_03-Copy1.ipynb": answers(naive=wrong)}
    files |= {"ben_03.ipynb": answers(naive=wrong), "ben_03-Copy1.ipynb": answers(naive=right)}
    found, said = run_collect(handed_in(tmp_path, files))
    assert found["anna"]["03.naive"] == found["ben"]["03.naive"] == "right"
    assert "anna handed in 03.block twice" in said


def test_of_several_answers_in_a_cell_the_last_counts(tmp_path):
    one = answers(naive=("for answer in 1089536, 387072: check(...)", RIGHT + NOT_YET))
    two = alone('check("03.naive", 1)\ncheck("03.block", 1)', NOT_YET + RIGHT_BLOCK)
    found, _ = run_collect(handed_in(tmp_path, {"anna.ipynb": one, "ben.ipynb": two}))
    assert found["anna"]["03.naive"] == f"not yet: {SLIP}"
    assert found["ben"]["03.naive"] == f"not yet: {SLIP}" and found["ben"]["03.block"] == "right"


# ---------------------------------------------------------------- what a teacher reads


def table(said: str, lesson: str) -> dict[str, list[str]]:
    """The printed table of a lesson: first column -> the other columns."""
    lines = said.split(f"\nLesson {lesson} ")[1].split("\n\n")[0].splitlines()
    return {line.split()[0]: line.replace("not yet", "not-yet").split()[1:] for line in lines[1:]}


def test_the_commonest_mistake_comes_first_with_who_made_it(said):
    mistakes = said.split("The commonest mistakes:\n")[1].splitlines()
    assert mistakes[:2] == [f"  2 x 03.naive: {SLIP}", "      by ben, carla"]
    assert said.index("mistakes:") < said.index("Lesson 03")


def test_too_small_is_one_mistake_whatever_the_number(tmp_path):
    files = {
        f"{name}.ipynb": answers(naive=("answer = 7", f"Not yet: {number} is too small.\n"))
        for name, number in (("anna", "7"), ("ben", "8,000"))
    }
    _, said = run_collect(handed_in(tmp_path, files))
    assert "  2 x 03.naive: the number is too small.\n      by anna, ben\n" in said


def test_each_lesson_has_its_table_and_counts_what_is_right(said):
    assert table(said, "03")["ben"] == ["not-yet", "open", "open", "-", "-"]
    assert table(said, "03")["frida"][0] == "verdict"
    assert table(said, "03")["right"] == ["2", "1", "0", "1", "0"]
    assert table(said, "04")["ben"] == ["-", "-", "-", "-"]


def test_it_says_what_the_verdicts_are_worth_and_what_to_take_instead(said):
    for words in ("nothing was run", "edited by\nhand", "no grade", "nbgrader", "otter-grader"):
        assert words in said or words.replace("\n", " ") in said


# ---------------------------------------------------------------- odd files


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("broken_03.ipynb", "left out, this is not a readable notebook"),
        ("list.ipynb", "left out, this is not a readable notebook"),
        ("no_notebook.ipynb", "left out, this is not a readable notebook"),
        ("nothing.ipynb", "left out, this is not a readable notebook"),
        ("lea.zip", "left out, this is not a readable notebook (unpack a zip first)"),
        ("folder.ipynb", "left out, Is a directory"),
        ("no_cells.ipynb", "left out, no exercise of the course is in it"),
        ("foreign.ipynb", "left out, no exercise of the course is in it"),
        ("kim_03.ipynb", "left out, 50 MB, and at most 30 MB are read"),
        ("gul_03.ipynb", "03.nonsense: there is no such exercise"),
        ("frida_03.ipynb", "03.naive: verdict without an answer"),
    ],
)
def test_an_odd_file_is_named_in_a_line(said, name, why):
    lines = said.split("To look at by hand:\n")[1].splitlines()
    assert [line for line in lines if line.startswith(f"  {name}: {why}")]


def test_right_beside_an_untouched_stub_is_not_right(rows):
    assert rows["frida"]["03.naive"] == "verdict without an answer"


def test_what_an_editor_keeps_for_itself_is_not_a_hand_in(rows, said):
    assert "anna-checkpoint" not in rows and "checkpoint" not in said


@pytest.mark.parametrize("start", "=+-@")
def test_a_name_never_becomes_a_formula(tmp_path, start):
    handed_in(tmp_path, {f"{start}1+cmd.ipynb": answers(), "ben;=1.ipynb": answers()})
    found, _ = run_collect(tmp_path)
    text = (tmp_path / "class.csv").read_text("utf-8-sig")
    assert '"ben;=1"' in text  # nor where a spreadsheet takes ; for the end of a cell
    assert not [name for name in found if name.startswith(start)]
    assert "1+cmd" in " ".join(found)


def test_nothing_from_a_file_steers_the_terminal(rows, said):
    assert "\x1b" not in said and "\x1b" not in rows["ivo"]["03.naive"]


@pytest.mark.parametrize("part", ["cells", "outputs", "metadata", "source"])
@pytest.mark.parametrize("value", [None, 5, [3], {"a": 1}])
def test_whatever_a_file_holds_the_rest_goes_on(tmp_path, part, value):
    odd = alone('check("03.naive", 1)', RIGHT)
    (odd["cells"][0] if part in odd["cells"][0] else odd)[part] = value
    found, _ = run_collect(handed_in(tmp_path, {"odd.ipynb": odd, "anna_03.ipynb": answers()}))
    assert found["anna"]["03.naive"] == "open"


# ---------------------------------------------------------------- the command


def test_the_command_writes_beside_the_notebooks_or_where_it_is_told(tmp_path, capsys):
    handed_in(tmp_path, {"anna_03.ipynb": answers()})
    assert cli.main(["collect", str(tmp_path)]) == 0
    assert (tmp_path / "collected.csv").exists()
    assert cli.main(["collect", str(tmp_path), "--out", str(tmp_path / "a" / "b.csv")]) == 0
    assert (tmp_path / "a" / "b.csv").exists()
    assert capsys.readouterr().out.rstrip().endswith("b.csv")


def test_no_notebook_is_overwritten(tmp_path):
    own = handed_in(tmp_path, {"anna_03.ipynb": answers()}) / "anna_03.ipynb"
    before = own.read_bytes()
    with pytest.raises(UsageError, match=r"--out must end with \.csv, got anna_03\.ipynb"):
        collect(tmp_path, own)
    assert own.read_bytes() == before


def test_a_folder_without_hand_ins_says_so(tmp_path):
    with pytest.raises(UsageError, match="is not a folder"):
        collect(tmp_path / "none", tmp_path / "class.csv")
    handed_in(tmp_path, {"foreign.ipynb": alone("print()", "")})
    with pytest.raises(CourseError, match=r"holds an exercise\n  foreign\.ipynb: left out"):
        collect(tmp_path, tmp_path / "class.csv")

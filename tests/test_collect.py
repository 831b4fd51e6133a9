"""`collect`: what a class has handed in, read and never run."""

import copy
import csv
import json
from pathlib import Path

import pytest

from gnet_utils.base import CourseError, UsageError
from gnet_utils.course import commands as cli
from gnet_utils.course.collect import WIDGETS, collect
from gnet_utils.exercises import exercises_of, predictions_of

ROOT = Path(__file__).resolve().parents[1]
CLEAN = {p.stem[:2]: json.loads(p.read_text("utf-8")) for p in (ROOT / "data/clean").glob("*.ipynb")}
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


def read_csv(path: Path) -> dict[str, dict[str, str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        return {row.pop("student"): row for row in csv.DictReader(file)}


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
    "nothing.ipynb": "",
    "no_cells.ipynb": {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5},
    "foreign.ipynb": alone("print('Right: hello')", "Right: hello\n"),
    "harmful_03.ipynb": alone("open('ran', 'w')\nraise SystemExit\ncheck('03.naive', 1)", ""),
    ".ipynb_checkpoints/anna_03-checkpoint.ipynb": answers(),
}


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """(the CSV, what was printed) of a class; one notebook has 50 MB, one file is a zip."""
    folder = handed_in(tmp_path_factory.mktemp("hand-ins"), CLASS)
    (folder / "kim_03.ipynb").write_bytes(b" " * 50_000_000 + json.dumps(answers()).encode())
    (folder / "lea.zip").write_bytes(b"PK\x03\x04\xff")
    (folder / "folder.ipynb").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        said = run_collect(folder)
        assert not (folder / "ran").exists()
    return read_csv(folder / "class.csv"), said


def run_collect(folder: Path) -> str:
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as said:
        collect(folder, folder / "class.csv")
    return said.getvalue()

"""The notebooks as files: find, read, execute, clean and render them.

`render` gives a notebook the form in which it is committed: executed from top to bottom, with
nothing in it that differs between runs or machines without a reason. It writes it twice: where
people work and write answers, and into `data/clean`, from which all is made that leaves the folder
(slides, zip): nothing in a notebook tells an answer from a lesson's text, and most copies have no
git.

nbformat reads and writes, nbclient executes. Cleaning is our own: nbconvert's preprocessors clear
all metadata but a list of keys, and none knows paths in outputs, widget views, or a solution
folded inside a cell.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from PIL import Image

from gnet_utils.base import ROOT, CourseError, UsageError, written_aside

NOTEBOOKS = ROOT / "notebooks"
PICTURES = ROOT / "data" / "pictures"
CELL_SECONDS = 1800  # one cell may take this long while rendering
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "pygments_lexer": "ipython3",
    },
}
# Traces of one run or one editor in a cell's metadata.
NOISE = {
    *("ExecuteTime", "collapsed", "colab", "execution", "id", "lines_to_next_cell", "outputId"),
    *("scrolled", "vscode"),
}
# The set-up cell is folded: in JupyterLab, on Colab, on the pages.
SETUP_METADATA = {"jupyter": {"source_hidden": True}, "cellView": "form", "tags": ["hide-input"]}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"  # points to a kernel that has ended
CHECK = re.compile(r"\bcheck\([\"']")  # a cell that calls it is an exercise
COMPARED = "nbval-check-output"  # the tag of a cell whose text nbval compares
UNSAID = re.compile("Not answered yet|The first hint comes|No prediction made yet|In use from here")
# Not the number of an exercise, nor a part of a name or of a version.
NUMBER = re.compile(r"(?<![\w.,])(?<!Exercise )\d+(?:[,_]\d{3})*(?:\.\d+)?(?![\d_]|[.,]\d)")
JUDGED = re.compile(r"^(Right|Not yet): ", re.MULTILINE)  # what a check says about an answer


def find_notebooks(names: Iterable[str] = ()) -> list[Path]:
    """Paths of the course's notebooks in order, or of those named.

    A name is a number ("2", "02"), a stem ("02_bottlenecks") or a path. Raises UsageError for a
    name that fits no notebook and CourseError when there are no notebooks.
    """
    lesson = re.compile(r"\d\d_(?!.*-Copy)[\w-]+")  # a copy is the reader's own
    every = sorted(path for path in NOTEBOOKS.glob("*.ipynb") if lesson.fullmatch(path.stem))
    if not every:
        raise CourseError(f"there are no notebooks in {NOTEBOOKS}: is this the whole course?")
    chosen = set()
    for name in names:
        stem = Path(name).stem
        fits = [p for p in every if p.stem == stem or p.stem[:2] == stem.zfill(2)]
        if not fits:
            known = ", ".join(p.stem for p in every)
            raise UsageError(f"there is no notebook {name!r}: choose from {known}")
        chosen.update(fits)
    return sorted(chosen) or every


def setup_file() -> Path:
    """The file with the first code cell, the same in all notebooks."""
    return ROOT / "gnet_utils" / "course" / "setup_cell.py"


def setup_cell() -> str:
    """Source of the first code cell."""
    return setup_file().read_text(encoding="utf-8").rstrip("\n")


def put_setup_cell(notebook: dict) -> None:
    """Make the folded set-up cell the first code cell, in place of an older version of it."""
    cells = notebook["cells"]
    first = next((i for i, cell in enumerate(cells) if cell["cell_type"] == "code"), len(cells))
    if first == len(cells) or not cells[first]["source"].startswith("# Set-up"):
        cells.insert(first, nbformat.v4.new_code_cell())
    cells[first]["source"] = setup_cell()
    cells[first]["metadata"] = nbformat.from_dict(SETUP_METADATA)


def code_cells(notebook: dict) -> list[dict]:
    """The code cells that are not empty, in order."""
    return [c for c in notebook["cells"] if c["cell_type"] == "code" and c["source"].strip()]


def said(cell: dict) -> str:
    """The text that a code cell put out, tables and the alt texts of pictures included."""
    outputs = cell.get("outputs", [])
    parts = (o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs)
    return "\n".join("".join(part) for part in parts)


# Read, write, execute ---------------------------------------------------------------------------


def read(path: Path) -> dict:
    """A notebook (nbformat 4, sources as strings); CourseError when the file is not one."""
    try:
        return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    except ValueError:
        raise CourseError(
            f"{path.name} is not a readable notebook: restore it, with git for example"
        ) from None


def write(notebook: dict, path: Path) -> None:
    """Write a notebook so that no half-written one can be seen."""
    with written_aside(path) as aside:
        nbformat.write(notebook, aside)


def execute(notebook: dict, folder: Path, env: dict[str, str] | None = None) -> None:
    """Run all cells in a fresh kernel that starts in `folder`; outputs go into `notebook`.

    Raises CourseError naming the cell and its error when a cell fails.
    """
    started: list[int] = []
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        extra_arguments=["--IPKernelApp.log_level=40"],  # no word about TCP between our processes
        on_cell_execute=lambda cell, cell_index: started.append(cell_index),
    )
    try:
        client.execute(env=dict(os.environ) if env is None else env)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        print(str(error), file=sys.stderr)
        reason = str(error)
        if isinstance(error, CellExecutionError):
            reason = f"{error.ename}: {error.evalue}"
        raise CourseError(f"code cell {len(started)} failed: {reason.splitlines()[0]}") from None


# Clean ------------------------------------------------------------------------------------------


def clean(notebook: dict) -> None:
    """Remove what differs between runs, machines and editors; give cells stable ids."""
    notebook["metadata"] = nbformat.from_dict(METADATA)
    notebook["nbformat"], notebook["nbformat_minor"] = 4, 5
    give_ids(notebook)
    for cell in notebook["cells"]:
        for key in NOISE & cell["metadata"].keys():
            del cell["metadata"][key]
        if cell["cell_type"] == "code":
            cell["execution_count"] = None
    for count, cell in enumerate(code_cells(notebook), 1):
        cell["execution_count"] = count
        _drop_unsaid(cell)
        for output in cell["outputs"]:
            _clean_output(output)
            if output["output_type"] == "execute_result":
                output["execution_count"] = count


def give_ids(notebook: dict) -> None:
    """Ids from the cells' content: the same after every render, unmoved by cells put before."""
    seen: Counter[str] = Counter()
    for cell in notebook["cells"]:
        text = f"{cell['cell_type']}\n{cell['source']}"
        unique = text + "\n" * seen[text]
        cell["id"] = hashlib.sha256(unique.encode()).hexdigest()[:8]
        seen[text] += 1


def _drop_unsaid(cell: dict) -> None:
    """Remove what a page would say to nobody: that an exercise or a prediction is still open."""
    for output in list(cell["outputs"]):
        said = output.get("text", "")
        left = "".join(line for line in said.splitlines(True) if not UNSAID.match(line))
        if left != said:
            output["text"] = left
            if COMPARED in cell["metadata"].get("tags", []):
                cell["metadata"]["tags"].remove(COMPARED)
            if not left:
                cell["outputs"].remove(output)


def _clean_output(output: dict) -> None:
    if output["output_type"] == "stream":
        output["text"] = without_paths(output["text"])
    elif "data" in output:
        output["data"].pop(WIDGET_VIEW, None)
        for kind, value in output["data"].items():
            if isinstance(value, str) and not kind.startswith("image/"):
                output["data"][kind] = without_paths(value)


def without_paths(text: str) -> str:
    """`text` with this machine's folders replaced by what they mean."""
    text = re.sub(r"\S*ipykernel_\d+[/\\]\d+\.py", "cell", text)
    folders = {
        f"{ROOT}{os.sep}": "",
        str(ROOT): ".",
        sys.prefix: ".venv",
        sys.base_prefix: "python",
        str(Path.home()): "~",
    }
    for folder, name in folders.items():
        if len(folder) > 1:
            text = text.replace(folder, name)
    return text


def without_folded(text: str, instead: str = "") -> str:
    """Markdown with `instead` in place of each <details> block, also one that is never closed."""
    return re.sub(
        r"<details\b.*?(</details\s*>|\Z)", instead, text, flags=re.DOTALL | re.IGNORECASE
    )


# Exercises, answers and solutions ---------------------------------------------------------------


def solutions(notebook: dict) -> list[tuple[int, str, str]]:
    """(cell index, exercise id, code) of the folded solution under each exercise.

    A solution is a markdown cell whose metadata says {"solution": id}; its code is what stands in
    ```python fences.
    """
    found = []
    for index, cell in enumerate(notebook["cells"]):
        if "solution" in cell["metadata"]:
            code = "\n".join(re.findall(r"^```python\n(.*?)^```", cell["source"], re.S | re.M))
            found.append((index, cell["metadata"]["solution"], code))
    return found


def answered(notebook: dict) -> list[int]:
    """Numbers of the code cells whose check judged an answer; the reader sees them as [1], [2]."""
    return [
        number
        for number, cell in enumerate(code_cells(notebook), 1)
        if CHECK.search(cell["source"])
        and any(JUDGED.search(output.get("text", "")) for output in cell["outputs"])
    ]


def put_stubs(notebook: dict, clean: dict) -> list[str]:
    """Put the stubs of `clean` in place of answers in `notebook`; returns the exercises' names."""
    cells = [cell for cell in clean["cells"] if "exercise" in cell["metadata"]]
    stubs = {cell["metadata"]["exercise"]: cell["source"] for cell in cells}
    solved = []
    for number in answered(notebook):
        cell = code_cells(notebook)[number - 1]
        if (name := cell["metadata"].get("exercise")) in stubs:
            cell["source"] = stubs[name]
            solved.append(name)
    return solved


# Render -----------------------------------------------------------------------------------------


def render(path: Path) -> None:
    """Execute a notebook at full length, clean it and write it back, with a line about it.

    Answers that were tried give way to their stubs. A notebook with a failing cell, or with an
    answer whose stub is not known, stays as it was, and CourseError says which cell it is.
    """
    print(f"{path.stem} ... ", end="", flush=True)
    start = time.perf_counter()
    notebook = read(path)
    put_setup_cell(notebook)
    before = read(clean_copy(path)) if clean_copy(path).exists() else nbformat.v4.new_notebook()
    solved = put_stubs(notebook, before)
    try:
        env = {name: value for name, value in os.environ.items() if name != "GNET_QUICK"}
        env["GNET_REMEMBER"] = "0"  # what its author has predicted
        execute(notebook, path.parent, env)
        clean(notebook)
        if numbers := answered(notebook):
            raise CourseError(
                f"code cells {numbers} answer exercises, which would go to everybody: write "
                "answer = None there, then render it again"
            )
    except CourseError as error:
        raise CourseError(f"{path.name} was left as it was: {error}") from None
    write(notebook, path)
    write(notebook, clean_copy(path))
    save_readme_pictures(notebook)
    replaced = f"answers replaced by their stubs: {', '.join(solved)}; " if solved else ""
    size = path.stat().st_size / 1000
    print(f"{replaced}{time.perf_counter() - start:.0f} s, {size:.0f} kB", flush=True)
    if places := outdated(before, notebook):
        print(
            "These numbers in the text agreed with an output before, and agree with none now. They "
            "are named this once (cells are counted from the top, those of text too):",
            *places,
            sep="\n  ",
            flush=True,
        )


def outdated(before: dict, after: dict) -> list[str]:
    """Numbers in the text of `after` that stood in an output of `before` and stand in none now.

    Numbers of three digits or more, or with decimals, commas or not: `cell 25 says 387,072`.
    Measured times and live training differ with every run, and a short number of the text may agree
    with one by chance: so numbers of fewer than four digits count only where they stood in a
    compared cell, or in one whose code has changed.
    """
    sources = {cell["source"] for cell in code_cells(after)}
    stood = set()
    for cell in code_cells(before):
        sure = COMPARED in cell["metadata"].get("tags", []) or cell["source"] not in sources
        stood |= {n for n in _numbers(said(cell)) if sure or len(n.replace(".", "")) > 3}
    gone = stood - {n for cell in code_cells(after) for n in _numbers(said(cell))}
    return [
        f"cell {place} says {written}"
        for place, cell in enumerate(after["cells"], 1)
        if cell["cell_type"] == "markdown"
        for number, written in _numbers(cell["source"]).items()
        if number in gone
    ]


def _numbers(text: str) -> dict[str, str]:
    """Numbers that are long enough to be wrong, without commas -> as they stand in the text."""
    found = NUMBER.findall(text)
    plain = {re.sub("[,_]", "", written): written for written in found}
    return {number: written for number, written in plain.items() if len(number) > 2}


def clean_copy(path: Path) -> Path:
    """Where `render` keeps a notebook once more, for what leaves the folder."""
    return path.parents[1] / "data" / "clean" / path.name


def as_rendered(path: Path) -> dict:
    """A notebook as `render` left it, without what was written, run or added in it since.

    Says on stderr that changes of the lesson itself, a teacher's for example, are not in it.
    Raises CourseError for a notebook that was never rendered.
    """
    again = f"python -m gnet_utils render {path.stem[:2]}"
    if not clean_copy(path).exists():
        raise CourseError(f"{path.name} has no clean copy in data/clean: {again} makes it")
    notebook = read(clean_copy(path))
    if _lesson(read(path)) != _lesson(notebook):
        print(
            f"{path.name} was changed since its last render, and what was changed stays here; if "
            f"it belongs to the lesson, first run {again}",
            file=sys.stderr,
        )
    return notebook


def _lesson(notebook: dict) -> list[tuple[str, dict]]:
    """Sources of the cells that are not there to be filled in, and how they go on slides."""
    return [
        (cell["source"], cell["metadata"].get("slideshow", {}))
        for cell in notebook["cells"]
        if "exercise" not in cell["metadata"] and cell["source"].strip()
    ]


def save_readme_pictures(notebook: dict) -> None:
    """Save the figures that README.md shows: those of cells with metadata {"readme": name}."""
    for cell in notebook["cells"]:
        if name := cell["metadata"].get("readme"):
            data = next(o["data"] for o in cell["outputs"] if "data" in o)
            picture = next(data[kind] for kind in data if kind.startswith("image/"))
            target = PICTURES / f"readme_{name}.png"
            Image.open(io.BytesIO(base64.b64decode(picture))).save(target)

"""The notebooks as files: find them, execute and clean them, pack the course into one zip.

`render` is how a notebook gets the form in which it is committed: executed from top to bottom,
with nothing in it that differs from one run or machine to the next without a reason.

The files in `notebooks/` are also what a reader writes answers into, and a teacher before the
lesson. Nothing in a notebook tells an answer from a lesson's own text, and most copies of the
course have no git. So `render` writes each notebook twice: where people work, and into
`data/clean`. Whatever leaves the folder (slides, zip) is made from `data/clean` alone: with the
stubs and the outputs of that run, and without cells that somebody added since. A teacher's own
cells become part of the course by `render`, which puts stubs in place of answers; until then
`as_rendered` says that they stay here. (Git stores equal files once.)

nbformat reads and writes, nbclient executes. Cleaning is our own: nbconvert's preprocessors clear
all metadata but a list of keys, where only traces of a run may go and a lesson's own keys stay, and
none of them knows paths in outputs, widget views, or a solution folded inside a cell.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from PIL import Image

from gnet_utils.base import ROOT, CourseError, UsageError, written_aside

NOTEBOOKS = ROOT / "notebooks"
PICTURES = ROOT / "data" / "pictures"
CELL_SECONDS = 1800  # one cell may take this long while rendering
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
LANGUAGE = {
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "pygments_lexer": "ipython3",
}
# Traces of one run or one editor in a cell's metadata.
NOISE = {
    *("ExecuteTime", "collapsed", "colab", "execution", "id", "lines_to_next_cell", "outputId"),
    *("scrolled", "vscode"),
}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"  # points to a kernel that has ended
BAR = re.compile(r"[^|]*\d+%\|")  # what is left of tqdm's bar as text: its first moment
CHECK = re.compile(r"\bcheck\([\"']")  # a cell that calls it is an exercise
COLAB = "https://colab.research.google.com"
TEACHING = "TEACHING.md"
BUNDLED = [
    *("README.md", "LICENSE", "CITATION.cff", "requirements.txt", "pyproject.toml"),
    *("gnet_utils", "notebooks", "tests", "data"),
]


def find_notebooks(names: Iterable[str] = ()) -> list[Path]:
    """Paths of the course's notebooks in order, or of those named.

    A name is a number ("2", "02"), a stem ("02_bottlenecks") or a path. Raises ValueError for a
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


def setup_cell() -> str:
    """Source of the first code cell, the same in all notebooks."""
    return _setup_file().read_text(encoding="utf-8").rstrip("\n")


def _setup_file() -> Path:
    return ROOT / "gnet_utils" / "course" / "setup_cell.py"


def code_cells(notebook: dict) -> list[dict]:
    """The code cells that are not empty, in order."""
    return [c for c in notebook["cells"] if c["cell_type"] == "code" and c["source"].strip()]


def read(path: Path) -> dict:
    """A notebook (nbformat 4, sources as strings); CourseError when the file is not one."""
    try:
        return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    except (ValueError, KeyError, TypeError, AttributeError, nbformat.ValidationError) as error:
        reason = (str(error).splitlines() or ["empty"])[0][:100]
        raise CourseError(
            f"{path.name} is not a readable notebook ({reason}): restore it, with git for example"
        ) from error


def write(notebook: dict, path: Path) -> None:
    """Write a notebook so that no half-written one can be seen."""
    with written_aside(path) as aside:
        nbformat.write(notebook, aside)


def put_setup_cell(notebook: dict) -> None:
    """Make the set-up cell the first code cell, in place of an older version of it."""
    cells = notebook["cells"]
    first = next((i for i, cell in enumerate(cells) if cell["cell_type"] == "code"), len(cells))
    if first < len(cells) and cells[first]["source"].startswith("# Set-up"):
        cells[first]["source"] = setup_cell()
    else:
        cells.insert(first, nbformat.v4.new_code_cell(setup_cell()))


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


def clean(notebook: dict) -> None:
    """Remove what differs between runs, machines and editors; give cells stable ids."""
    notebook["metadata"] = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": LANGUAGE})
    notebook["nbformat"], notebook["nbformat_minor"] = 4, 5
    _give_ids(notebook["cells"])
    count = 0
    for cell in notebook["cells"]:
        for key in NOISE & cell["metadata"].keys():
            del cell["metadata"][key]
        if cell["cell_type"] != "code":
            continue
        if cell["source"].strip():
            count += 1
        cell["execution_count"] = count if cell["source"].strip() else None
        cell["outputs"] = [output for output in cell["outputs"] if _clean_output(output, count)]


def _give_ids(cells: list[dict]) -> None:
    # From the content: the same after every render, unmoved by cells inserted before.
    seen: Counter[str] = Counter()
    for cell in cells:
        text = f"{cell['cell_type']}\n{cell['source']}"
        unique = text + "\n" * seen[text]
        cell["id"] = hashlib.sha256(unique.encode()).hexdigest()[:8]
        seen[text] += 1


def _clean_output(output: dict, count: int) -> bool:
    """Clean one output in place; False when nothing worth keeping is left."""
    if output["output_type"] == "stream":
        output["text"] = without_paths(output["text"])
        return bool(output["text"])
    if output["output_type"] == "error":
        output["evalue"] = without_paths(output["evalue"])
        output["traceback"] = [without_paths(line) for line in output["traceback"]]
        return True
    if output["data"].pop(WIDGET_VIEW, None) and BAR.match(output["data"].get("text/plain", "")):
        return False
    output["metadata"].pop(WIDGET_VIEW, None)
    for kind, value in output["data"].items():
        if isinstance(value, str) and kind not in ("image/png", "image/jpeg"):
            output["data"][kind] = without_paths(value)
    if output["output_type"] == "execute_result":
        output["execution_count"] = count
    return bool(output["data"])


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


def unknown_names(cell: dict) -> list[str]:
    """Exercises and predictions that a code cell calls by names which nobody has defined."""
    from gnet_utils.exercises import exercises_of, predictions_of

    if cell["cell_type"] != "code":
        return []
    called = re.findall(r"\b(check|hint|predict)\(\s*[\"']([^\"']*)", cell["source"])
    known = {"check": exercises_of, "hint": exercises_of, "predict": predictions_of}
    return [name for function, name in called if name not in known[function](name[:2])]


def put_solutions(notebook: dict) -> None:
    """Insert each folded solution as a code cell below it; it fails unless its check says right.

    Below a cell that calls an exercise or a prediction which does not exist comes one that fails.
    """
    for index, cell in reversed([*enumerate(notebook["cells"])]):
        for name in unknown_names(cell):
            code = f'raise LookupError("gnet_utils/exercises has no {name}")'
            cell = nbformat.v4.new_code_cell(code, metadata={"solution_of": name})
            notebook["cells"].insert(index + 1, cell)
    for index, name, code in reversed(solutions(notebook)):
        called = re.search(rf"check\(\"{re.escape(name)}\", (\w+)\)", code)
        code += (
            "\n\nfrom gnet_utils.exercises import mistake_in\n"
            f"mistake = mistake_in({name!r}, {called[1] if called else 'answer'})\n"
            "assert mistake is None, mistake\n"
        )
        cell = nbformat.v4.new_code_cell(code, metadata={"solution_of": name})
        notebook["cells"].insert(index + 1, cell)


def render(paths: Iterable[Path]) -> None:
    """Execute notebooks at full length, clean them and write them back, with a line for each.

    Answers that were tried give way to their stubs. A notebook with a failing cell, or with an
    answer whose stub is not known, stays as it was, and CourseError says which cell it is.
    """
    env = {name: value for name, value in os.environ.items() if name != "GNET_QUICK"}
    for path in paths:
        print(f"{path.stem} ... ", end="", flush=True)
        start = time.perf_counter()
        notebook = read(path)
        put_setup_cell(notebook)
        solved = []
        if clean_copy(path).exists():
            solved = put_stubs(notebook, read(clean_copy(path)))
        try:
            if names := [name for cell in notebook["cells"] for name in unknown_names(cell)]:
                raise CourseError(f"gnet_utils/exercises has no {', '.join(names)}")
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
        if solved:
            print(f"answers replaced by their stubs: {', '.join(solved)}; ", end="")
        save_readme_pictures(notebook)
        size = path.stat().st_size / 1000
        print(f"{time.perf_counter() - start:.0f} s, {size:.0f} kB", flush=True)


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
    here, there = Counter(_lesson(read(path))), Counter(_lesson(notebook))
    if changed := max((here - there).total(), (there - here).total()):
        print(
            f"{path.name} differs from its last render in {changed} of its cells (changed, added, "
            f"removed), and that stays here; if it belongs to the lesson, first run {again}",
            file=sys.stderr,
        )
    return notebook


def _lesson(notebook: dict) -> Iterator[tuple[str, str, str]]:
    """(kind, source, kind of slide) of the cells that are not there to be filled in."""
    for cell in notebook["cells"]:
        if "exercise" not in cell["metadata"] and cell["source"].strip():
            slide = cell["metadata"].get("slideshow", {}).get("slide_type", "")
            yield cell["cell_type"], cell["source"], slide


def answered(notebook: dict) -> list[int]:
    """Numbers of the code cells whose check judged an answer; the reader sees them as [1], [2]."""
    judged = re.compile(r"^(Right|Not yet): ", re.MULTILINE)
    return [
        number
        for number, cell in enumerate(code_cells(notebook), 1)
        if CHECK.search(cell["source"])
        and any(judged.search(output.get("text", "")) for output in cell["outputs"])
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


def save_readme_pictures(notebook: dict) -> None:
    """Save the figures that README.md shows: those of cells with metadata {"readme": name}."""
    for cell in notebook["cells"]:
        if name := cell["metadata"].get("readme"):
            data = next(o["data"] for o in cell["outputs"] if "data" in o)
            picture = next(data[kind] for kind in data if kind.startswith("image/"))
            target = PICTURES / f"readme_{name}.png"
            Image.open(io.BytesIO(base64.b64decode(picture))).save(target)


def write_repository(url: str) -> None:
    """Write the clone address into every set-up cell, and a Colab badge under every title.

    The badge leads to the repository's default branch, which git asks for over the network; where
    it cannot be had, to `main`, with a line that says so.
    Raises ValueError when `url` is not of the form https://github.com/OWNER/NAME.
    """
    match = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", url)
    if not match:
        raise UsageError(f"--repo must be https://github.com/OWNER/NAME, got {url!r}")
    line = f'REPO_URL = "https://github.com/{match[1]}"'
    _setup_file().write_text(
        re.sub(r'REPO_URL = ".*"', line, setup_cell()) + "\n", encoding="utf-8"
    )
    branch = _default_branch(f"https://github.com/{match[1]}")
    paths = find_notebooks()
    for path in paths + [clean_copy(path) for path in paths if clean_copy(path).exists()]:
        notebook = read(path)
        put_setup_cell(notebook)
        place = f"{COLAB}/github/{match[1]}/blob/{branch}/notebooks/{path.name}"
        title = notebook["cells"][0]
        lines = [row for row in title["source"].splitlines() if not row.startswith("[![Open in")]
        badge = f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({place})"
        body = "\n".join(lines[1:]).strip("\n")
        title["source"] = f"{lines[0]}\n\n{badge}\n\n{body}"
        _give_ids(notebook["cells"])
        write(notebook, path)


def _default_branch(url: str) -> str:
    command = ["git", "ls-remote", "--symref", url, "HEAD"]
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}  # no question for a password
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=env)
        found = re.match(r"ref: refs/heads/(\S+)\tHEAD", done.stdout)
    except (OSError, subprocess.TimeoutExpired):
        found = None
    if not found:
        print(
            f"{url} does not tell its branch: the badges lead to the branch main. If it has "
            "another name, run this again when the repository is public and not empty.",
            file=sys.stderr,
        )
    return found[1] if found else "main"


def without_folded(text: str, instead: str = "") -> str:
    """Markdown with `instead` in place of each <details> block, also one that is never closed."""
    kept, depth = "", 0
    for part in re.split(r"(<details\b|</details\s*>)", text, flags=re.IGNORECASE):
        if part.lower() == "<details":
            kept += instead if depth == 0 else ""
            depth += 1
        elif part.lower().startswith("</details"):
            depth = max(0, depth - 1)
        elif depth == 0:
            kept += part
    return kept


def hide_solutions(notebook: dict) -> None:
    """Put one line in place of each folded solution, for a class that is to find it itself.

    Whatever is folded counts as a solution: those of a teacher have no metadata that say so.
    """
    for cell in notebook["cells"]:
        if cell["cell_type"] != "markdown":
            continue
        line = "*The solution comes in class.*"
        if name := cell["metadata"].pop("solution", None):
            line = f'*The solution comes in class. `hint("{name}")` helps until then.*'
        cell["source"] = without_folded(cell["source"], line)


def bundle(
    target: Path = ROOT / "gnet-course.zip",
    *,
    with_solutions: bool = True,
    data_set: Path | None = None,
) -> Path:
    """Pack the course for Colab or for a machine without network; returns the zip's path.

    Its notebooks are those of the last `render`; says on stderr which files of `notebooks` stay
    here. with_solutions=False takes solutions out of the notebooks, and leaves out what else tells
    them: TEACHING.md and the unit tests. data_set: the cached data set, into the zip's own cache.
    """
    packed: dict[str, bytes] = {}  # by the place in the course
    for path in find_notebooks():
        if clean_copy(path).exists():
            notebook = as_rendered(path)
            if not with_solutions:
                hide_solutions(notebook)
            content = (nbformat.writes(notebook) + "\n").encode()
            packed[f"notebooks/{path.name}"] = packed[f"data/clean/{path.name}"] = content
    skipped = {"cache", "clean", "__pycache__", ".ipynb_checkpoints"}
    staying = []
    tops = [ROOT / name for name in BUNDLED]
    for file in sorted(p for top in tops for p in ([top] if top.is_file() else top.rglob("*"))):
        place = file.relative_to(ROOT)
        name = place.as_posix()
        if skipped & set(place.parts) or file.suffix == ".tmp" or not file.is_file():
            continue
        if name in packed or (not with_solutions and _tells_solutions(place)):
            continue
        if file.suffix == ".ipynb" or (place.parts[0] == "notebooks" and file.name != TEACHING):
            staying.append(name)
        elif not with_solutions and name == "README.md":
            packed[name] = _without_dead_link(file).encode()
        else:
            packed[name] = file.read_bytes()
    if staying:
        print(
            f"Not packed: {', '.join(staying)}. From notebooks/ go only {TEACHING} and what "
            "`python -m gnet_utils render NN` has made.",
            file=sys.stderr,
        )
    if data_set:
        packed[f"data/cache/{data_set.name}"] = data_set.read_bytes()
    with written_aside(target) as aside, zipfile.ZipFile(aside, "w") as archive:
        for name, content in sorted(packed.items()):
            entry = zipfile.ZipInfo(f"gnet-course/{name}", time.localtime()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16  # unpacked on a share, all can read it
            archive.writestr(entry, content)
    return target


def _tells_solutions(place: Path) -> bool:
    """Is this the teacher's notes, or a test? (The package's checks know the solutions too.)"""
    return place.name == TEACHING or (place.parts[0] == "tests" and place.suffix == ".py")


def _without_dead_link(readme: Path) -> str:
    """README.md for a class: it names the teacher's notes, which the zip leaves out."""
    link = re.compile(r"\[([^]]*)\]\(notebooks/TEACHING\.md\)")
    return link.sub(r"\1 (in the teacher's copy)", readme.read_text(encoding="utf-8"))

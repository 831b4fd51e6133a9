"""The notebooks as files: find them, execute and clean them, pack the course into one zip.

`render` is how a notebook gets the form in which it is committed: executed from top to bottom,
with nothing in it that differs from one run or machine to the next without a reason.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import sys
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from gnet_utils.environment import ROOT
from gnet_utils.errors import CourseError, UsageError

NOTEBOOKS = ROOT / "notebooks"
PICTURES = ROOT / "data" / "pictures"
MAX_BYTES = 1_500_000  # GitHub shows larger notebooks slowly or not at all
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
COLAB = "https://colab.research.google.com"
BUNDLED = (
    "README.md",
    "LICENSE",
    "CITATION.cff",
    "requirements.txt",
    "pyproject.toml",
    "gnet_utils",
    "notebooks",
    "tests",
    "data",
)


def find_notebooks(names: Iterable[str] = ()) -> list[Path]:
    """Paths of the course's notebooks in order, or of those named.

    A name is a number ("2", "02"), a stem ("02_bottlenecks") or a path. Raises ValueError for a
    name that fits no notebook and CourseError when there are no notebooks.
    """
    every = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
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
    return (ROOT / "gnet_utils" / "setup_cell.py").read_text(encoding="utf-8").rstrip("\n")


def code_cells(notebook: dict) -> list[dict]:
    """The code cells that are not empty, in order."""
    return [c for c in notebook["cells"] if c["cell_type"] == "code" and c["source"].strip()]


def read(path: Path) -> dict:
    """A notebook (nbformat 4, sources as strings); CourseError when the file is not one."""
    import nbformat

    try:
        return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    except (ValueError, KeyError, TypeError, AttributeError, nbformat.ValidationError) as error:
        reason = (str(error).splitlines() or ["empty"])[0][:100]
        raise CourseError(
            f"{path.name} is not a readable notebook ({reason}): restore it, with git for example"
        ) from error


def write(notebook: dict, path: Path) -> None:
    """Write a notebook aside, then rename, so that no half-written one can be seen."""
    import nbformat

    aside = path.with_name(path.name + ".tmp")
    try:
        nbformat.write(notebook, aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def put_setup_cell(notebook: dict) -> None:
    """Make the set-up cell the first code cell, in place of an older version of it."""
    import nbformat

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
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
    )
    try:
        client.execute(env=dict(os.environ) if env is None else env)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        done = [c for c in code_cells(notebook) if c["execution_count"] is not None]
        lines = [line for line in str(error).splitlines() if line.strip()]
        print(str(error), file=sys.stderr)
        raise CourseError(
            f"code cell {len(done)} failed: {lines[-1] if lines else error}"
        ) from None


def clean(notebook: dict) -> None:
    """Remove what differs between runs, machines and editors; give cells stable ids."""
    import nbformat

    notebook["metadata"] = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": LANGUAGE})
    notebook["nbformat"], notebook["nbformat_minor"] = 4, 5
    used, count = set(), 0
    for cell in notebook["cells"]:
        cell["id"] = _cell_id(cell, used)
        for key in NOISE & cell["metadata"].keys():
            del cell["metadata"][key]
        if cell["cell_type"] != "code":
            continue
        if cell["source"].strip():
            count += 1
        cell["execution_count"] = count if cell["source"].strip() else None
        cell["outputs"] = [output for output in cell["outputs"] if _clean_output(output, count)]


def _cell_id(cell: dict, used: set[str]) -> str:
    # From the content: the same after every render, unmoved by cells inserted before it.
    text = f"{cell['cell_type']}\n{cell['source']}"
    while True:
        name = hashlib.sha256(text.encode()).hexdigest()[:8]
        if name not in used:
            used.add(name)
            return name
        text += "\n"


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


def put_solutions(notebook: dict) -> None:
    """Insert each folded solution as a code cell below it; it fails unless its check says right."""
    import nbformat

    for index, name, code in reversed(solutions(notebook)):
        code += (
            "\n\nfrom gnet_utils.exercises import mistake_in\n"
            f"mistake = mistake_in({name!r}, answer)\n"
            "assert mistake is None, mistake\n"
        )
        cell = nbformat.v4.new_code_cell(code, metadata={"solution_of": name})
        notebook["cells"].insert(index + 1, cell)


def render(paths: Iterable[Path]) -> None:
    """Execute notebooks at full length, clean them and write them back, with a line for each.

    A notebook with a failing cell stays as it was, and CourseError says which cell it is.
    """
    env = {name: value for name, value in os.environ.items() if name != "GNET_QUICK"}
    for path in paths:
        print(f"{path.stem} ... ", end="", flush=True)
        start = time.perf_counter()
        notebook = read(path)
        put_setup_cell(notebook)
        try:
            execute(notebook, path.parent, env)
        except CourseError as error:
            raise CourseError(f"{path.name} was left as it was: {error}") from None
        clean(notebook)
        write(notebook, path)
        save_readme_pictures(notebook)
        size = path.stat().st_size
        print(f"{time.perf_counter() - start:.0f} s, {size / 1000:.0f} kB", flush=True)
        if size > MAX_BYTES:
            print(
                f"{path.name} has {size} bytes, more than {MAX_BYTES}: save its figures smaller",
                file=sys.stderr,
            )


def save_readme_pictures(notebook: dict) -> None:
    """Save the figures that README.md shows: those of cells with metadata {"readme": name}."""
    from PIL import Image

    for cell in notebook["cells"]:
        if name := cell["metadata"].get("readme"):
            data = next(o["data"] for o in cell["outputs"] if "data" in o)
            picture = next(data[kind] for kind in data if kind.startswith("image/"))
            target = PICTURES / f"readme_{name}.png"
            Image.open(io.BytesIO(base64.b64decode(picture))).save(target)


def write_repository(url: str) -> None:
    """Write the clone address into every set-up cell, and a Colab badge under every title.

    Raises ValueError when `url` is not of the form https://github.com/OWNER/NAME.
    """
    match = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", url)
    if not match:
        raise UsageError(f"--repo must be https://github.com/OWNER/NAME, got {url!r}")
    cell = ROOT / "gnet_utils" / "setup_cell.py"
    line = f'REPO_URL = "https://github.com/{match[1]}"'
    cell.write_text(re.sub(r'REPO_URL = ".*"', line, setup_cell()) + "\n", encoding="utf-8")
    for path in find_notebooks():
        notebook = read(path)
        put_setup_cell(notebook)
        place = f"{COLAB}/github/{match[1]}/blob/main/notebooks/{path.name}"
        title = notebook["cells"][0]
        lines = [row for row in title["source"].splitlines() if not row.startswith("[![Open in")]
        badge = f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({place})"
        body = "\n".join(lines[1:]).strip("\n")
        title["source"] = f"{lines[0]}\n\n{badge}\n\n{body}"
        used: set[str] = set()
        for each in notebook["cells"]:
            each["id"] = _cell_id(each, used)
        write(notebook, path)


def hide_solutions(notebook: dict) -> None:
    """Put one line in place of each folded solution, for a class that is to find it itself."""
    for index, name, _ in solutions(notebook):
        cell = notebook["cells"][index]
        line = f'*The solution comes in class. `hint("{name}")` helps until then.*'
        before, _, rest = cell["source"].partition("<details>")
        cell["source"] = before + line + rest.rpartition("</details>")[2]
        del cell["metadata"]["solution"]


def bundle(
    target: Path = ROOT / "gnet-course.zip",
    *,
    with_solutions: bool = True,
    data_set: Path | None = None,
) -> Path:
    """Pack the course for Colab or for a machine without network; returns the zip's path.

    with_solutions=False takes them out of the notebooks, and leaves out what else tells them:
    TEACHING.md and the unit tests. data_set: the cached data set, to go into the zip's own cache.
    """
    files = []
    for name in BUNDLED:
        top = ROOT / name
        files += [top] if top.is_file() else sorted(p for p in top.rglob("*") if p.is_file())
    skipped = {"cache", "__pycache__", ".ipynb_checkpoints"}
    top = Path("gnet-course")
    aside = target.with_name(target.name + ".tmp")
    try:
        with zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                place = file.relative_to(ROOT)
                if skipped & set(place.parts) or file.suffix == ".tmp":
                    continue
                name = str(PurePosixPath(top / place))
                if not with_solutions and place == Path("README.md"):
                    archive.writestr(name, _without_dead_link(file))
                elif with_solutions or not _tells_solutions(place):
                    archive.write(file, name)
                elif file.suffix == ".ipynb":
                    archive.writestr(name, _without_solutions(file))
            if data_set:
                archive.write(data_set, top / "data" / "cache" / data_set.name)
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)
    return target


def _tells_solutions(place: Path) -> bool:
    """Is this a notebook, the teacher's notes, or a test? (The package's checks know them too.)"""
    tests = place.parts[0] == "tests" and place.suffix in (".py", ".ipynb")
    return tests or place.suffix == ".ipynb" or place.name == "TEACHING.md"


def _without_solutions(path: Path) -> str:
    import nbformat

    notebook = read(path)
    hide_solutions(notebook)
    return nbformat.writes(notebook) + "\n"


def _without_dead_link(readme: Path) -> str:
    """README.md for a class: it names the teacher's notes, which the zip leaves out."""
    link = re.compile(r"\[([^]]*)\]\(notebooks/TEACHING\.md\)")
    return link.sub(r"\1 (in the teacher's copy)", readme.read_text(encoding="utf-8"))

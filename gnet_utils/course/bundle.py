"""The course as one zip, and the address of its repository in the notebooks, for Colab."""

from __future__ import annotations

import re
import sys
import time
import zipfile
from pathlib import Path

import nbformat

from gnet_utils.base import ROOT, UsageError, written_aside
from gnet_utils.course import notebooks
from gnet_utils.course.notebooks import as_rendered, clean_copy, find_notebooks, without_folded

COLAB = "https://colab.research.google.com"
TEACHING = ("notebooks/TEACHING.md", "notebooks/teaching/")  # beginnings of names
BUNDLED = [
    *("README.md", "LICENSE", "CITATION.cff", "pyproject.toml"),
    *("requirements.txt", "requirements-site.txt"),
    *("gnet_utils", "notebooks", "tests", "data"),
]
SKIPPED = {"cache", "clean", "__pycache__", ".ipynb_checkpoints"}


def bundle(
    target: Path = ROOT / "gnet-course.zip",
    *,
    with_solutions: bool = True,
    data_set: Path | None = None,
) -> Path:
    """Pack the course for Colab or for a machine without network; returns the zip's path.

    Its notebooks are those of the last `render`; says on stderr which files of `notebooks` stay
    here. with_solutions=False takes solutions out of the notebooks, and leaves out what else tells
    them: the teacher's pages and the unit tests. data_set: the cached data set, into the zip's
    own cache.
    """
    packed: dict[str, bytes] = {}  # by the place in the course
    for path in find_notebooks():
        if clean_copy(path).exists():
            notebook = as_rendered(path)
            if not with_solutions:
                hide_solutions(notebook)
            content = (nbformat.writes(notebook) + "\n").encode()
            packed[f"notebooks/{path.name}"] = packed[f"data/clean/{path.name}"] = content
    staying = []
    tops = [ROOT / name for name in BUNDLED]
    for file in sorted(p for top in tops for p in ([top] if top.is_file() else top.rglob("*"))):
        place = file.relative_to(ROOT)
        name, top = place.as_posix(), place.parts[0]
        if SKIPPED & set(place.parts) or file.suffix == ".tmp" or not file.is_file():
            continue
        tells = name.startswith(TEACHING) or (top == "tests" and file.suffix == ".py")
        if name in packed or (tells and not with_solutions):
            continue
        if file.suffix == ".ipynb" or (top == "notebooks" and not name.startswith(TEACHING)):
            staying.append(name)
            continue
        packed[name] = file.read_bytes()
    if staying:
        print(
            f"Not packed: {', '.join(staying)}. From notebooks/ go only the teacher's pages and "
            "what `python -m gnet_utils render NN` has made.",
            file=sys.stderr,
        )
    if not with_solutions:  # no link to what the zip leaves out
        link = rb"\[([^]]*)\]\(notebooks/TEACHING\.md\)"
        packed["README.md"] = re.sub(link, rb"\1 (in the teacher's copy)", packed["README.md"])
    if data_set:
        packed[f"data/cache/{data_set.name}"] = data_set.read_bytes()
    with written_aside(target) as aside, zipfile.ZipFile(aside, "w") as archive:
        for name, content in sorted(packed.items()):
            entry = zipfile.ZipInfo(f"gnet-course/{name}", time.localtime()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16  # unpacked on a share, all can read it
            archive.writestr(entry, content)
    return target


def hide_solutions(notebook: dict) -> None:
    """Put one line in place of each folded solution, for a class that is to find it itself.

    Whatever is folded counts as a solution: those of a teacher have no metadata that say so.
    """
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            line = "*The solution comes in class.*"
            if name := cell["metadata"].pop("solution", None):
                line = f'*The solution comes in class. `hint("{name}")` helps until then.*'
            cell["source"] = without_folded(cell["source"], line)


def cloning(source: str, url: str) -> str:
    """The set-up cell `source` as one that clones `url` on Colab in place of unpacking a zip."""
    clone = f'["git", "clone", "--depth", "1", "{url}", "gnet-course"]'
    clone = f'    import_module("subprocess").run({clone})'
    return re.sub(r"^    .*", clone, source, flags=re.MULTILINE)


def write_repository(url: str) -> None:
    """Let every set-up cell clone `url` on Colab, and put a Colab badge under every title.

    Badges name HEAD: so they lead to the default branch, whatever its name.
    Raises UsageError when `url` is not of the form https://github.com/OWNER/NAME.
    """
    match = re.fullmatch(r"(https://github\.com/([\w.-]+/[\w.-]+?))(?:\.git)?/?", url)
    if not match:
        raise UsageError(f"--repo must be https://github.com/OWNER/NAME, got {url!r}")
    source = cloning(notebooks.setup_cell(), match[1])
    notebooks.setup_file().write_text(f"{source}\n", encoding="utf-8")
    paths = find_notebooks()
    for path in paths + [clean_copy(path) for path in paths if clean_copy(path).exists()]:
        notebook = notebooks.read(path)
        notebooks.put_setup_cell(notebook)
        place = f"{COLAB}/github/{match[2]}/blob/HEAD/notebooks/{path.name}"
        badge = f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({place})"
        title = notebook["cells"][0]
        lines = [row for row in title["source"].splitlines() if not row.startswith("[![Open in")]
        body = "\n".join(lines[1:]).strip("\n")
        title["source"] = f"{lines[0]}\n\n{badge}\n\n{body}"
        notebooks.give_ids(notebook)
        notebooks.write(notebook, path)

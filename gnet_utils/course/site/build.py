"""Builds the site aside, of notebooks and pictures, with Sphinx; then puts it in its place."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

import matplotlib
import nbformat
from docutils import nodes

from gnet_utils.base import ROOT, CourseError
from gnet_utils.course.notebooks import as_rendered, code_cells, find_notebooks
from gnet_utils.course.site import PARTS, frames, pages
from gnet_utils.course.slides import formula

SITE = ROOT / "site"
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "STIXGeneral.ttf"  # for formulas
INDEX = """# {title}

{text}

| lesson | what you do there |
|---|---|
{rows}

Read here, answer the predictions and the exercises with a number, move the explorers: all that
works without Python, and what you answer stays in this browser. To write and train networks
yourself, run the notebooks: each page says how.

```{{toctree}}
:hidden:

{names}
```
"""
TEXT = """A course from one 1x1 convolution to a trained GoogLeNet, with predictions, exercises that
name the mistake, and pictures that move."""
SETTINGS = {
    "project": "GoogLeNet, a course",
    "html_title": "GoogLeNet, a course",
    "extensions": ["myst_nb", "sphinx_copybutton", __name__],
    "myst_enable_extensions": ["dollarmath"],
    "nb_execution_mode": "off",
    "html_theme": "furo",
    "html_theme_options": {"navigation_with_keys": True},
    "html_static_path": [str(PARTS / "lesson.js"), str(PARTS / "lesson.css"), str(FONT)],
    "html_css_files": ["lesson.css"],
    "html_js_files": ["lesson.js"],
    "html_math_renderer": "mathml",
    "html_copy_source": False,
    "html_use_index": False,
    "html_show_search_summary": False,  # it fetches pages, which a page from disk may not
    "html_show_copyright": False,
    "pygments_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "copybutton_exclude": ".linenos, .gp",
}


def make_site(folder: Path = SITE, names: list[str] | None = None) -> Path:
    """Build the site, of all lessons or of those named, in place of `folder`; returns its index.

    It is built aside: while that lasts, and when it fails, the old one stays. Raises CourseError.
    """
    if folder.exists() and not (folder / "searchindex.js").exists():
        raise CourseError(f"{folder} is no site of this course: move it away, then run it again")
    paths = find_notebooks(names or [])
    notebooks = {path.stem: as_rendered(path) for path in paths}
    for name, notebook in notebooks.items():
        if not any(cell["outputs"] for cell in code_cells(notebook)):
            raise CourseError(f"{name} has no outputs: python -m gnet_utils render {name[:2]}")
    frames.draw_ahead([name[:2] for name in notebooks if name[:2] in frames.GRIDS])
    with tempfile.TemporaryDirectory(prefix=".site-", suffix=".tmp", dir=folder.parent) as aside:
        source, html = Path(aside) / "source", Path(aside) / "html"
        write_sources(notebooks, source, html)
        _run_sphinx(source, html, Path(aside) / "doctrees")
        if folder.exists():
            folder.rename(Path(aside) / "old")
        html.rename(folder)
    return folder / "index.html"


def write_sources(notebooks: dict[str, dict], source: Path, html: Path) -> None:
    """Write what Sphinx reads into `source`, and files that the pages load into `html`."""
    source.mkdir()
    (html / "notebooks").mkdir(parents=True)
    (html / ".nojekyll").touch()  # else GitHub Pages leaves out what begins with _
    network = _write_network(source, html)  # before the pages that link to it
    linked = pages.anchors(list(notebooks.values()))
    words = pages.glossary(as_rendered(find_notebooks(["00"])[0]))
    rows, names = [], []
    for name, notebook in notebooks.items():
        nbformat.write(notebook, html / "notebooks" / f"{name}.ipynb")
        title, about = pages.title_of(notebook)
        rows.append(f'| <a href="{name}.html">{title}</a> | {about} |')
        names.append(name)
        page = pages.page_of(notebook, name, html / "pictures", linked, words)
        nbformat.write(page, source / f"{name}.ipynb")
    if network:
        rows.append(
            '| <a href="network.html">A network in this page</a> | draw a garment, open one |'
        )
        names.append("network")
    parts = {"title": SETTINGS["project"], "text": TEXT, "rows": "\n".join(rows)}
    index = INDEX.format(**parts, names="\n".join(names))
    (source / "index.md").write_text(index, encoding="utf-8")
    settings = f"from {__name__} import SETTINGS\n\nglobals().update(SETTINGS)\n"
    (source / "conf.py").write_text(settings, encoding="utf-8")


def _write_network(source: Path, html: Path) -> bool:
    """Write the page with a network that runs in it; False where that cannot be, and says why."""
    from gnet_utils.course.site import network

    try:
        megabytes = network.write(html / "network")
    except CourseError as error:
        print(f"The site has no page with a network: {error}", file=sys.stderr)
        return False
    text = f"# A network in this page\n\n{pages.raw(network.fragment('network/', megabytes))}\n"
    (source / "network.md").write_text(text, encoding="utf-8")
    return True


def _run_sphinx(source: Path, html: Path, doctrees: Path) -> None:
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    said = io.StringIO()
    with docutils_namespace():  # what one build registers is forgotten before the next
        app = Sphinx(
            source, source, html, doctrees, "html", status=None, warning=said, freshenv=True
        )
        app.build()
    if app.statuscode or said.getvalue():
        raise CourseError(f"Sphinx could not make the site: {said.getvalue().strip()}")
    shutil.rmtree(html / "_sources", ignore_errors=True)
    (html / ".buildinfo").unlink()  # for a second build, and it depends on where the course lies


def setup(app) -> dict:
    """As an extension of Sphinx: formulas as MathML, which browsers draw themselves."""

    def inline(translator, node) -> None:
        translator.body.append(formula(node.astext()))
        raise nodes.SkipNode

    def block(translator, node) -> None:
        translator.body.append(f'<div class="math">{formula(node.astext(), block=True)}</div>')
        raise nodes.SkipNode

    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True}

"""The notebooks as web pages, checked by axe-core: pictures, headings, tables, contrast.

axe-core comes from the npm registry at the first run, into the cache; where it cannot be had, one
line says so.
"""

import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest

from gnet_utils.course.notebooks import find_notebooks, read

PATHS = find_notebooks()
VERSION = "4.14.1"
# What nbconvert's page does by itself: listed, not chased.
TEMPLATE_PARTS = {
    ".jp-InputPrompt": "the number of a cell is too pale",
    ".highlight": "so are some colours of code: comments, operators",
}
TEMPLATE_RULES = {"link-in-text-block": "links in text are told by their colour alone"}
# The template "lab" leaves the description of a figure out; "classic" writes it.
NO_WORDS = "No description has been provided"  # what nbconvert makes of a missing alt text
RUN = """
async ([parts, rules]) => {
  const off = Object.fromEntries(rules.map((rule) => [rule, { enabled: false }]));
  const result = await axe.run({ exclude: parts.map((part) => [part]) }, { rules: off });
  return result.violations
    .filter((rule) => ["serious", "critical"].includes(rule.impact) || rule.id === "heading-order")
    .flatMap((rule) => rule.nodes.map((node) => [rule.id, node.target.join(" "), node.html]));
}
"""


@pytest.fixture(scope="session")
def axe(cache: Path) -> str:
    """The source of axe-core."""
    folder = cache / f"axe-core-{VERSION}"
    file = folder / "package" / "axe.min.js"
    if not file.is_file():
        npm = shutil.which("npm")
        if not npm:
            pytest.skip("ACCESSIBILITY WAS NOT CHECKED: npm is not here to fetch axe-core")
        folder.mkdir(parents=True, exist_ok=True)
        fetch = [npm, "pack", f"axe-core@{VERSION}", "--silent"]
        done = subprocess.run(fetch, cwd=folder, capture_output=True, text=True, timeout=120)
        if done.returncode:
            pytest.skip(f"ACCESSIBILITY WAS NOT CHECKED: no axe-core: {done.stderr[-100:]}")
        shutil.unpack_archive(folder / f"axe-core-{VERSION}.tgz", folder)
    return file.read_text(encoding="utf-8")


def findings(browser, axe: str, page_file: Path) -> list[tuple[str, str, str]]:
    """(rule, place, HTML) of each serious violation on a page."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.route("**/*", lambda r: r.continue_() if r.request.url.startswith("file:") else r.abort())
    page.goto(page_file.as_uri())
    page.add_script_tag(content=axe)
    found = page.evaluate(RUN, [list(TEMPLATE_PARTS), list(TEMPLATE_RULES)])
    page.close()
    return found


def export(notebook: dict, target: Path, template: str = "lab") -> Path:
    from nbconvert import HTMLExporter

    page = HTMLExporter(template_name=template).from_notebook_node(notebook)[0]
    target.write_text(page, encoding="utf-8")
    return target


@pytest.mark.browser
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_page_of_a_notebook_has_no_serious_violation(browser, axe, path, tmp_path):
    page = export(read(path), tmp_path / f"{path.stem}.html")
    assert findings(browser, axe, page) == []


@pytest.mark.browser
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_picture_of_a_notebook_is_described_on_its_page(path, tmp_path):
    page = export(read(path), tmp_path / f"{path.stem}.html", "classic").read_text(encoding="utf-8")
    assert "<img" in page and NO_WORDS not in page


@pytest.mark.browser
def test_bad_contents_are_found(browser, axe, tmp_path):
    """A picture without words, a heading that jumps, pale text."""
    text = '# Title\n\n### Deep\n\n<img src="data:,">\n\n<p style="color: #ccc">pale</p>'
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    found = findings(browser, axe, export(notebook, tmp_path / "bad.html"))
    assert {rule for rule, _, _ in found} == {"heading-order", "color-contrast"}
    page = export(notebook, tmp_path / "bad.html", "classic")
    assert NO_WORDS in page.read_text(encoding="utf-8")

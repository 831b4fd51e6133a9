"""The notebooks as pages without a kernel: what they ask, what they do not say, what breaks."""

import copy
import re

import nbformat
import pytest
from test_accessibility import export

from gnet_utils.course.notebooks import WIDGET_VIEW, code_cells, find_notebooks, read

# What a page would say to nobody, or for ever.
UNSAID = re.compile(
    r"Not answered yet|No prediction made|Loading widget|The first hint comes|Error displaying"
    r"|seconds left|\d+%\|"
)
BROKEN = """
() => {
  const found = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode;
    if (!text.parentElement.closest("td, th")) continue;
    for (const number of text.data.matchAll(/\\d[\\d,.]*/g)) {
      const range = document.createRange();
      range.setStart(text, number.index);
      range.setEnd(text, number.index + number[0].length);
      const lines = new Set([...range.getClientRects()].map((line) => Math.round(line.top)));
      if (lines.size > 1) found.push(text.data);
    }
  }
  return found;
}
"""
ASKED = """
(cells) => cells.map((cell) => [...cell.querySelectorAll(".jp-OutputArea-output li")].map(
  (item) => [getComputedStyle(item).listStyleType, item.innerText.trim().slice(0, 2)].join(" ")
))
"""


def seen(browser, page_file, width: int) -> tuple[list, list, str]:
    """(numbers that break, what lists of options look like, text) of a page at a width."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.route("**/*", lambda r: r.continue_() if r.request.url.startswith("file:") else r.abort())
    page.goto(page_file.as_uri())
    lists = page.locator(".jp-CodeCell", has_text="predict(").evaluate_all(ASKED)
    found = page.evaluate(BROKEN), lists, page.inner_text("body")
    page.close()
    return found


@pytest.mark.browser
@pytest.mark.parametrize("path", find_notebooks(), ids=lambda path: path.stem)
def test_a_page_asks_and_says_nothing_that_is_not_so(browser, path, tmp_path):
    notebook = read(path)
    page_file = export(notebook, tmp_path / "page.html")
    for width in (400, 1280):
        broken, lists, text = seen(browser, page_file, width)
        assert broken == [] and UNSAID.findall(text) == []
        asked = [c for c in code_cells(notebook) if re.search(r"^predict\(", c["source"], re.M)]
        made = [each for each in lists if each]
        assert len(made) == len(asked)
        letters = [f"none {letter})" for letter in "abcdef"]
        assert all(len(each) > 1 and each == letters[: len(each)] for each in made)
    questions = 0
    for before, cell in zip(notebook["cells"], notebook["cells"][1:], strict=False):
        if "exercise" in cell["metadata"]:
            question = re.sub(r"^#+ .*", "", before["source"], flags=re.MULTILINE).strip()
            assert before["cell_type"] == "markdown" and len(question.split()) > 5
            questions += 1
    assert questions == sum("exercise" in cell["metadata"] for cell in notebook["cells"])


def output(**data) -> dict:
    return nbformat.v4.new_output("display_data", {k.replace("_", "/"): v for k, v in data.items()})


@pytest.mark.browser
def test_a_page_that_does_so_is_found(browser, tmp_path):
    """A stopped bar, an open exercise, a view without a kernel, a number cut by its column."""
    said = nbformat.v4.new_output(
        "stream", text="Not answered yet.\nNo prediction made yet.\n 40%|###   | 4/10\n"
    )
    widget = output(text_plain="VBox()")
    widget["data"][WIDGET_VIEW] = {"model_id": "1", "version_major": 2, "version_minor": 0}
    cut = '<table><tr><td style="width: 3em; word-break: break-all">6,998,552,111</td></tr></table>'
    cells = [nbformat.v4.new_code_cell("1", outputs=[said, output(text_html=cut)])]
    cells.append(nbformat.v4.new_code_cell('predict("02.p1")', outputs=[widget]))
    notebook = copy.deepcopy(nbformat.v4.new_notebook(cells=cells))
    broken, lists, text = seen(browser, export(notebook, tmp_path / "bad.html"), 400)
    assert broken == ["6,998,552,111"] and lists == [[]]
    assert UNSAID.findall(text)[:3] == ["Not answered yet", "No prediction made", "40%|"]

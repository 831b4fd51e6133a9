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
# Columns of numbers whose points, or ends where there is no point, are not under each other.
CROOKED = """
() => [...document.querySelectorAll("table")].flatMap((table) => {
  const columns = [], number = /^[-+~<>≤≥]?\\d[\\d,]*([.]\\d+)?[%KM]?$/;
  for (const cell of table.querySelectorAll("td"))
    if (cell.innerText.trim()) (columns[cell.cellIndex] ??= []).push(cell);
  const texts = columns.map((cells) => cells.map((cell) => cell.innerText.trim()));
  return texts.filter((shown, index) => {
    if (!shown.every((text) => number.test(text)) || !/[.]/.test(shown)) return false;
    const points = columns[index].map((cell) => {
      const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
      while (walker.nextNode() && !/\\d/.test(walker.currentNode.data));
      const whole = walker.currentNode.data.match(/\\d[\\d,]*/), range = document.createRange();
      range.setStart(walker.currentNode, whole.index);
      range.setEnd(walker.currentNode, whole.index + whole[0].length);
      return range.getBoundingClientRect().right;
    });
    return Math.max(...points) - Math.min(...points) > 2;
  }).map((shown) => shown.join(" "));
})
"""
ASKED = """
(cells) => cells.map((cell) => [...cell.querySelectorAll(".jp-OutputArea-output li")].map(
  (item) => [getComputedStyle(item).listStyleType, item.innerText.trim().slice(0, 2)].join(" ")
))
"""


def seen(browser, page_file, width: int) -> tuple[list, list, str]:
    """(numbers that break or stand askew, looks of lists of options, text) at a width."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.route("**/*", lambda r: r.continue_() if r.request.url.startswith("file:") else r.abort())
    page.goto(page_file.as_uri())
    lists = page.locator(".jp-CodeCell", has_text="predict(").evaluate_all(ASKED)
    found = page.evaluate(BROKEN) + page.evaluate(CROOKED), lists, page.inner_text("body")
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
    text = ""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = cell["source"]
        if "exercise" in cell["metadata"]:
            question = re.search(r"^### Exercise .*\n+((?:.|\n)+)", text, re.MULTILINE)
            assert question and len(question[1].split()) > 5


def output(**data) -> dict:
    return nbformat.v4.new_output("display_data", {k.replace("_", "/"): v for k, v in data.items()})


@pytest.mark.browser
def test_a_page_that_does_so_is_found(browser, tmp_path):
    """A stopped bar, an open exercise, a view without a kernel, numbers that are cut or askew."""
    said = nbformat.v4.new_output(
        "stream", text="Not answered yet.\nNo prediction made yet.\n 40%|###   | 4/10\n"
    )
    widget = output(text_plain="VBox()")
    widget["data"][WIDGET_VIEW] = {"model_id": "1", "version_major": 2, "version_minor": 0}
    cut = '<table><tr><td style="width: 3em; word-break: break-all">6,998,552,111</td></tr></table>'
    askew = "<table><tr><td>0.5</td></tr><tr><td>0.25</td></tr></table>"
    tables = [output(text_html=cut), output(text_html=askew)]
    cells = [nbformat.v4.new_code_cell("1", outputs=[said, *tables])]
    cells.append(nbformat.v4.new_code_cell('predict("02.p1")', outputs=[widget]))
    notebook = copy.deepcopy(nbformat.v4.new_notebook(cells=cells))
    broken, lists, text = seen(browser, export(notebook, tmp_path / "bad.html"), 400)
    assert broken == ["6,998,552,111", "0.5 0.25"] and lists == [[]]
    assert UNSAID.findall(text)[:3] == ["Not answered yet", "No prediction made", "40%|"]

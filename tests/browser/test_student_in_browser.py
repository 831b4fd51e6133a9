"""A student in JupyterLab: notebook 02's exercises answered wrong in three ways, then right."""

import re

import pytest
from playwright.sync_api import Page
from test_lab_in_browser import open_notebook, red_output, run_all

from gnet_utils.course.notebooks import find_notebooks, read, solutions
from gnet_utils.exercises import exercises_of, predictions_of

(PATH,) = find_notebooks(["02"])
BUILT = """def bottleneck(in_channels, reduce, out_channels, kernel_size):
    return nn.Sequential(
        nn.Conv2d(in_channels, reduce, 1){},
        nn.Conv2d(reduce, out_channels, {}), nn.ReLU(),
    )"""
RULE = "def break_even(in_channels, out_channels, kernel_size):\n    return "
WRONG = {  # what is typed, and words of the answer to it
    "02.bottleneck": [
        (BUILT.format("", "kernel_size, padding=kernel_size // 2"), "a ReLU is missing"),
        (BUILT.format(", nn.ReLU()", "kernel_size"), "came out as 7x7"),
        (BUILT.format(", nn.ReLU()", "3, padding=1"), "not 5x5"),
    ],
    "02.breakeven": [
        (RULE + "in_channels * out_channels // (in_channels + out_channels)", "the same area"),
        (RULE + "9 * in_channels * out_channels / (in_channels + 9 * out_channels)", "round down"),
        (RULE + "in_channels - 1", "in the 1x1 too"),
    ],
    "02.budget": [
        ("60_000_000 / ((256 + 96 * 25) * 784)", "how many fit"),
        ("29", "rounded up"),
        ("60_000_000 // (256 + 96 * 25)", "for one pixel"),
    ],
}


def run_cell(page: Page, cell, source: str) -> str:
    """Type `source` in place of what the cell holds, run it; what it prints."""
    output = cell.locator(".jp-OutputArea-output")
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(source)
    number = cell.locator(".jp-InputPrompt").inner_text()
    page.keyboard.press("Control+Enter")
    page.wait_for_function(
        "([prompt, before]) => /\\d/.test(prompt.innerText) && prompt.innerText !== before",
        arg=[cell.locator(".jp-InputPrompt").element_handle(), number],
    )
    return " ".join(output.all_inner_texts())


@pytest.mark.browser
def test_each_exercise_answers_back(browser, lab):
    solved = {name: code for _, name, code in solutions(read(PATH))}
    assert list(WRONG) == list(solved) == list(exercises_of("02"))
    with open_notebook(browser, lab, PATH.name, []) as page:
        run_all(page)
        for name, mistakes in WRONG.items():
            cell = page.locator(".jp-CodeCell", has_text=f'check("{name}"')
            told = []
            for answer, words in mistakes:
                written = re.match(r"def (\w+)", answer)
                source = answer if written else f"answer = {answer}"
                thing = written[1] if written else "answer"
                told.append(run_cell(page, cell, f'{source}\ncheck("{name}", {thing})'))
                assert told[-1].startswith("Not yet: ") and words in told[-1], (name, answer)
            assert len(set(told)) == 3
            again = "" if "check(" in solved[name] else f'\ncheck("{name}", answer)'
            right = run_cell(page, cell, solved[name] + again)
            assert right.startswith("Right: "), (name, right)
        assert red_output(page) == []


CROWDED = """
(boxes) => boxes.flatMap(box => [...box.querySelectorAll("label")]).filter(label => {
  const own = label.getBoundingClientRect(), next = label.nextElementSibling;
  const circle = label.querySelector("input").getBoundingClientRect();
  return label.scrollHeight > own.height + 2 || circle.left > own.left + 9 ||
    (next && next.getBoundingClientRect().top < own.bottom - 1);
}).map(label => label.innerText)
"""


@pytest.mark.browser
def test_predictions_are_counted_at_the_end(browser, lab):
    """Each first option is chosen: the score must be that of such a guesser, with the reasons."""
    asked = list(predictions_of("02").values())
    with open_notebook(browser, lab, PATH.name, []) as page:
        run_all(page)
        boxes = page.locator(".widget-radio-box")
        assert boxes.count() == len(asked)
        for index in range(boxes.count()):
            boxes.nth(index).locator("input").first.click()
        page.wait_for_function(
            "count => [...document.querySelectorAll('.widget-html')]"
            ".filter(reply => reply.innerText.includes('Noted')).length === count",
            arg=len(asked),
        )
        page.keyboard.press("Control+b")  # without the list of files
        for width in (400, 1280):  # no option lies on another, each has its circle before it
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(500)
            assert boxes.evaluate_all(CROWDED) == []
        cell = page.locator(".jp-CodeCell", has_text='score("02")')
        said = run_cell(page, cell, 'score("02")')
    wrong = [prediction.because for prediction in asked if prediction.right != 0]
    assert f"You were right in {len(asked) - len(wrong)} of {len(asked)}." in said
    assert all(because in said for because in wrong)

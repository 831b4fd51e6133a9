"""A student in JupyterLab: notebook 02's exercises answered wrong in three ways, then right."""

import pytest
from playwright.sync_api import Page
from test_lab_in_browser import open_notebook, red_output, run_all

from gnet_utils.course.notebooks import find_notebooks, read, solutions
from gnet_utils.exercises import exercises_of, predictions_of

(PATH,) = find_notebooks(["02"])
SPINDLE = """nn.Sequential(
    nn.Conv2d(64, 384, 1, bias=False), nn.ReLU6(),
    nn.Conv2d(384, 384, 3, padding=1{}, bias=False), nn.ReLU6(),
    nn.Conv2d(384, 64, 1, bias=False){},
)"""
SVD = "def wrong(weight, r):\n    u, s, vh = torch.linalg.svd(weight, full_matrices=False)\n"
WRONG = {  # what is typed, and words of the answer to it
    "02.bottleneck": [
        ("256 * 128 + 128 * 192 * 3 * 3", "one bias"),
        ("256 * 192 * 3 * 3", "without biases"),
        ("256 * 128 + 128", "that is the 1x1 alone"),
    ],
    "02.macs": [
        ("2 * (480 * 96 + 96 * 208 * 9) * 14 * 14", "FLOPs"),
        ("480 * 96 + 96 * 208 * 9", "once for every pixel"),
        ("(480 * 96 + 96 * 208 * 9) * 28 * 28", "another pooling"),
    ],
    "02.breakeven": [
        ("lambda c_in, c_out, k: c_in * c_out // (c_in + c_out)", "the same area"),
        ("lambda c_in, c_out, k: k * k * c_in * c_out / (c_in + k * k * c_out)", "round down"),
        ("164", "a function is asked for"),
    ],
    "02.budget": [
        ("60_000_000 / ((256 + 96 * 25) * 784)", "how many fit"),
        ("29", "rounded up"),
        ("60_000_000 // (256 + 96 * 25)", "for one pixel"),
    ],
    "02.lowrank": [
        (SVD + "    return u[:, :r], s[:r, None] * vh[:r]\n\n\nanswer = wrong", "down, then up"),
        (SVD + "    return vh[:r], u[:, :r]\n\n\nanswer = wrong", "singular values"),
        (SVD + "    return u, s, vh\n\n\nanswer = wrong", "you returned 3"),
    ],
    "02.spindle": [
        (SPINDLE.format("", ""), "dense"),
        (SPINDLE.format(", groups=384", ", nn.ReLU6()"), "stays linear"),
        ("nn.Conv2d(64, 64, 3)", "three convolutions"),
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
                answer = answer if answer.startswith("def ") else f"answer = {answer}"
                told.append(run_cell(page, cell, f'{answer}\ncheck("{name}", answer)'))
                assert told[-1].startswith("Not yet: ") and words in told[-1], (name, answer)
            assert len(set(told)) == 3
            right = run_cell(page, cell, f'{solved[name]}\ncheck("{name}", answer)')
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

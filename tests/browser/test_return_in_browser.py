"""A page that comes back, after its kernel or before its end, shows what is true."""

import re

import pytest
from test_lab_in_browser import (
    idle,
    make_notebook,
    menu,
    open_notebook,
    run_all,
    save,
    shut_down,
)
from test_student_in_browser import run_cell

CONTROLS = """
from matplotlib.figure import Figure
from gnet_utils.widgets import explore, predict, slider

def draw(height):
    figure = Figure(figsize=(2, 1))
    figure.subplots().bar([0], [height])
    return figure

explore(draw, "a bar", {"height": slider("height", 3, 0, 9)})
"""
PREDICTION = 'predict("02.p1")'


@pytest.mark.browser
def test_controls_without_a_kernel_say_how_to_wake_them(browser, lab):
    """The line is hidden beside live controls; a page opened without their kernel shows it."""
    name = "asleep.ipynb"
    make_notebook(lab, name, CONTROLS, PREDICTION)

    def seen(page) -> list[bool]:
        """Whether each of the two lines is seen, and whether the prediction is said to be noted."""
        lines = page.locator(".gnet-asleep")
        assert lines.count() == 2
        return [
            *(lines.nth(index).is_visible() for index in range(2)),
            page.get_by_text("Noted. Read on").is_visible(),
        ]

    with open_notebook(browser, lab, name, []) as page:
        run_all(page)
        page.locator(".widget-radio-box input").first.click()
        page.get_by_text("Noted. Read on").wait_for()
        assert seen(page) == [False, False, True]
        save(page, lab, name, "widget-state+json")
        shut_down(page, lab, name)
        page.reload()
        page.wait_for_selector("img.widget-image")
        assert seen(page) == [True, True, False]
    file = lab.course / "notebooks" / name
    file.write_text(re.sub(r'"model_id": ".', '"model_id": "-', file.read_text()))  # unknown
    with open_notebook(browser, lab, name, []) as page:
        assert seen(page) == [True, True, False]
        run_all(page)
        assert seen(page) == [False, False, False]
        shut_down(page, lab, name)


TRAINING = """
import time
import torch
from gnet_utils.explorers.n05 import LiveCurve

pause = 0 if "curve" in globals() else 1.5
with LiveCurve(8) as curve:
    for _ in range(8):
        curve.step(torch.tensor(2.0))
        curve.validated(0.5)
        time.sleep(pause)
"""


@pytest.mark.browser
def test_a_page_that_was_closed_during_training_tells_the_truth(browser, lab):
    name, result = "closed.ipynb", "print(len(curve.losses), 'steps')"
    make_notebook(lab, name, TRAINING, result)
    with open_notebook(browser, lab, name, []) as page:
        menu(page, "Run", "Run All Cells")
        page.get_by_text(re.compile(r"Training, .*step [1-9]")).wait_for()
        save(page, lab, name, "closed this page")
    with open_notebook(browser, lab, name, [], busy=True) as page:
        shown = page.inner_text(".jp-Notebook")
        assert re.search("Training, .* left; loss .*\nIf you closed this page", shown)
        assert "Loading widget" not in shown and page.locator(".jp-RenderedImage img").count() == 1
        idle(page)
        cell = page.locator(".jp-CodeCell", has_text=result)
        assert "8 steps" in run_cell(page, cell, result)
        run_all(page)  # and a run that was not disturbed leaves its last text and picture
        shown = page.locator(".jp-CodeCell").first.locator(".jp-OutputArea")
        assert shown.inner_text().startswith("Training has ended at step 8 of 8;")
        assert "Training, " not in shown.inner_text() and shown.locator("img").count() == 1
        shut_down(page, lab, name)

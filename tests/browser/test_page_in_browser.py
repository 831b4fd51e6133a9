"""What a learner sees and moves on the page of JupyterLab, and what it remembers."""

import re

import pytest
from test_lab_in_browser import (
    explorers,
    make_notebook,
    menu,
    open_notebook,
    picture,
    run_all,
    shut_down,
)

from gnet_utils.course.notebooks import code_cells, find_notebooks, read

START = """
import os, tempfile
os.environ["GNET_REMEMBER"] = "1"
os.environ["GNET_CACHE_DIR"] = {cache!r}
from gnet_utils.widgets import predict, progress, score
from gnet_utils.exercises import check
"""


def explorer_of(number: str) -> str:
    """The cells of a lesson that its explorer needs, in one."""
    cells = [cell["source"] for cell in code_cells(read(find_notebooks([number])[0]))]
    shown = next(source for source in cells if re.search(r"^explore\(", source, re.MULTILINE))
    return "from gnet_utils.models import GOOGLENET_BLOCKS\n" + shown


@pytest.mark.browser
@pytest.mark.parametrize("number", ["02", "03"])
def test_controls_and_picture_fit_on_one_screen_and_sliders_fill_their_column(browser, lab, number):
    name = "one_screen.ipynb"
    make_notebook(lab, name, explorer_of(number))
    with open_notebook(browser, lab, name, []) as page:
        page.set_viewport_size({"width": 1280, "height": 800})
        run_all(page)
        (box,) = explorers(page)
        page.wait_for_timeout(500)
        height = box.bounding_box()["height"]
        free = page.locator(".jp-WindowedPanel-outer").first.bounding_box()["height"]
        assert height <= free
        for index in range(box.locator(".widget-hslider").count()):
            slider = box.locator(".widget-hslider").nth(index)
            line = slider.locator(".noUi-target").bounding_box()["width"]
            assert line > 100 and line > 0.8 * slider.bounding_box()["width"]
        first = picture(box)
        box.locator("button", has_text="stem").or_(box.locator("button").nth(1)).first.click()
        page.wait_for_timeout(1500)
        assert picture(box) != first
        box.get_by_text("reset", exact=True).click()
        page.wait_for_timeout(1500)
        assert number == "02" or picture(box) == first  # 02 measures time
        shut_down(page, lab, name)


@pytest.mark.browser
def test_what_follows_a_prediction_is_blurred_until_it_is_made_and_it_is_remembered(
    browser, lab, tmp_path
):
    name = "memory.ipynb"
    start = START.format(cache=str(tmp_path))
    make_notebook(lab, name, start + 'predict("02.p1")', 'print("It is (c)")', 'score("02")')
    blurred = "cell => getComputedStyle(cell.querySelector('.jp-OutputArea')).filter"
    with open_notebook(browser, lab, name, []) as page:
        run_all(page)
        cell = page.locator(".jp-CodeCell", has_text="It is (c)").first
        assert cell.evaluate(blurred) == "blur(6px)"
        page.locator(".widget-radio-box input").nth(2).click()
        page.get_by_text("Noted. Read on").wait_for()
        assert cell.evaluate(blurred) == "none"
        menu(page, "Kernel", "Restart Kernel…")
        page.click(".jp-Dialog button.jp-mod-accept")
        run_all(page)
        assert page.get_by_text("Noted before").is_visible()
        assert page.locator(".widget-radio-box input").nth(2).is_checked()
        assert cell.evaluate(blurred) == "none"
        assert page.get_by_text("You were right in 1 of 1").is_visible()
        shut_down(page, lab, name)

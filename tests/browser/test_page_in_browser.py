"""What a learner sees and moves on the page of JupyterLab, and what it remembers."""

import re

import pytest
from test_lab_in_browser import (
    changes,
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
from gnet_utils.widgets import predict, score
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
        page.wait_for_selector("img.widget-image")
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


@pytest.mark.browser
def test_in_the_dark_theme_a_picture_is_a_card_with_a_frame(browser, lab):
    name = "dark.ipynb"
    make_notebook(lab, name, explorer_of("03"))
    with open_notebook(browser, lab, name, []) as page:
        run_all(page)
        page.wait_for_selector("img.widget-image")
        menu(page, "Settings", "Theme")
        page.click(".lm-Menu-itemLabel:text-is('JupyterLab Dark')")
        page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
        look = page.locator("img.widget-image").evaluate(
            "image => [getComputedStyle(image).borderRadius, getComputedStyle(image).padding]"
        )
        assert look == ["8px", "6px"]
        menu(page, "Settings", "Theme")
        page.click(".lm-Menu-itemLabel:text-is('JupyterLab Light')")
        page.wait_for_function("document.body.dataset.jpThemeLight === 'true'")
        shut_down(page, lab, name)


PAD = """
import numpy as np
from gnet_utils.explorers.n05 import as_the_net_sees
from gnet_utils.pad import drawing_pad, drawn
from gnet_utils.plotting import show_pictures
from gnet_utils.widgets import explore

def draw(sheet):
    picture = drawn(sheet)
    figure = show_pictures([np.zeros((2, 2)) if picture is None else as_the_net_sees(picture)])
    return figure

explore(draw, "what the net sees of a drawing", {"sheet": drawing_pad()})
"""


@pytest.mark.browser
@pytest.mark.parametrize("hand", ["mouse", "touch"])
def test_a_garment_is_drawn_on_the_pad_and_the_picture_follows(browser, lab, hand):
    name = f"pad_{hand}.ipynb"
    make_notebook(lab, name, PAD)
    with open_notebook(browser, lab, name, []) as page:
        run_all(page)
        page.wait_for_selector("img.widget-image")
        (box,) = explorers(page)
        empty, sheet = picture(box), box.locator("canvas")
        sheet.scroll_into_view_if_needed()
        place = sheet.bounding_box()
        corners = [(0.3, 0.2), (0.7, 0.2), (0.7, 0.8), (0.3, 0.8)]
        spots = [
            (place["x"] + across * place["width"], place["y"] + down * place["height"])
            for across, down in corners
        ]
        if hand == "mouse":
            page.mouse.move(*spots[0])
            page.mouse.down()
            for spot in spots[1:]:
                page.mouse.move(*spot, steps=5)
            page.mouse.up()
        else:
            touch(page, spots)
        assert changes(box, empty)
        assert box.locator("b").count() == 0
        box.get_by_text("new sheet").click()
        page.wait_for_timeout(1500)
        assert picture(box) == empty
        shut_down(page, lab, name)


def touch(page, spots: list[tuple[float, float]]) -> None:
    """A finger from spot to spot, as Chromium's own events."""
    client = page.context.new_cdp_session(page)
    for kind, spot in [("touchStart", spots[0]), *(("touchMove", spot) for spot in spots[1:])]:
        points = [{"x": spot[0], "y": spot[1]}]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

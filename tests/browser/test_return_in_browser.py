"""A page that comes back, after its kernel or before its end, shows what is true."""

import re

import pytest
from test_lab_in_browser import make_notebook, menu, open_notebook, run_all, save, shut_down

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
    """The line is hidden beside live controls; it comes when they have lost their kernel."""
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
        menu(page, "Kernel", "Restart Kernel…")
        page.locator(".jp-Dialog button", has_text="Restart").click()
        page.locator(".gnet-asleep").first.wait_for()
        assert seen(page) == [True, True, False]
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

"""An explorer, a prediction, the sheet and the memory in the front end that is installed here.

JupyterLab, or Notebook 7 with GNET_FRONT_END=notebook; `pipx run nox -s pages` runs this in
Notebook 7, and in a JupyterLab with the kernel and the widgets that Colab has.
"""

import os
import re
import time
from collections.abc import Iterator

import pytest
from conftest import Lab, serve
from test_lab_in_browser import by_drawing, changes, explorers, make_notebook, picture, returns

FRONT_END = os.environ.get("GNET_FRONT_END", "lab")
ADDRESSES = {"lab": "lab/tree", "notebook": "notebooks"}
CELLS = (
    """
import os
os.environ["GNET_REMEMBER"] = "1"
os.environ["GNET_CACHE_DIR"] = {cache!r}
import numpy as np
from gnet_utils.explorers.n05 import as_the_net_sees
from gnet_utils.pad import drawing_pad, drawn
from gnet_utils.plotting import show_pictures
from gnet_utils.widgets import explore, predict, score, slider, upload
from gnet_utils.exercises import check

def draw(size, sheet, own):
    picture = drawn(sheet) if own is None else own
    return show_pictures([np.eye(size) if picture is None else as_the_net_sees(picture)])

controls = {{"size": slider("size", 3, 2, 30), "sheet": drawing_pad(), "own": upload()}}
explore(draw, "what the net sees of a drawing", controls)
""",
    'predict("02.p1")',
    'score("02")\ncheck("00.pixels", 784)',
)


@pytest.fixture(scope="module")
def front_end(tmp_path_factory) -> Iterator[Lab]:
    """The front end, as anybody starts one."""
    module = "jupyterlab" if FRONT_END == "lab" else "notebook"
    with serve(tmp_path_factory.mktemp("front"), module, "--allow-root") as found:
        yield found


def run_all(page) -> None:
    """Run all cells of a notebook that was not run yet, and wait until each has a number."""
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt")
    start_all(page)
    end = time.monotonic() + 300
    while time.monotonic() < end:
        if all(re.search(r"\d", text) for text in prompts.all_inner_texts()):
            return
        time.sleep(0.3)
    pytest.fail(f"the notebook did not end: {prompts.all_inner_texts()}")


def start_all(page) -> None:
    page.click(".lm-MenuBar-itemLabel:text-is('Run')")
    page.click(".lm-Menu-itemLabel:text-is('Run All Cells')")


@pytest.mark.browser
def test_explorer_prediction_sheet_and_memory_work(browser, front_end, tmp_path):
    name = "front.ipynb"
    make_notebook(front_end, name, CELLS[0].format(cache=str(tmp_path)), *CELLS[1:])
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60_000)
    page.goto(
        f"{front_end.url}/{ADDRESSES[FRONT_END]}/notebooks/{name}?token={front_end.token}",
    )
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.wait_for_timeout(5000)  # each front end says in its own way that its kernel is ready
    run_all(page)
    page.wait_for_selector("img.widget-image")
    (box,) = explorers(page)
    first = picture(box)

    handle = box.locator(".noUi-handle, .ui-slider-handle").first
    handle.scroll_into_view_if_needed()
    place = handle.bounding_box()
    page.mouse.move(place["x"] + 5, place["y"] + 5)
    page.mouse.down()
    page.mouse.move(place["x"] + 120, place["y"] + 5, steps=4)
    page.mouse.up()
    assert changes(box, first), "the picture does not follow the slider"
    box.get_by_text("reset", exact=True).click()
    assert returns(box, first)
    for hand in ("mouse", "touch"):
        by_drawing(page, box, hand)
    with page.expect_file_chooser() as chosen:
        box.locator("button", has_text=re.compile("Own picture")).click()
    chosen.value.set_files(front_end.course / "data" / "pictures" / "draw.py")
    box.get_by_text("draw.py is no picture").wait_for()

    answer = page.locator(".jp-CodeCell").nth(2)
    blurred = "cell => getComputedStyle(cell.querySelector('.jp-OutputArea')).filter"
    assert answer.evaluate(blurred) == "blur(6px)"
    page.locator(".widget-radio-box input").nth(2).click()
    page.get_by_text("Noted. Read on").wait_for()
    assert answer.evaluate(blurred) == "none"
    api, token = f"{front_end.url}/api/kernels", {"Authorization": f"token {front_end.token}"}
    (kernel,) = page.request.get(api, headers=token).json()
    assert page.request.post(f"{api}/{kernel['id']}/restart", headers=token).ok
    page.wait_for_timeout(5000)
    start_all(page)
    page.get_by_text("Noted before").wait_for()
    page.get_by_text("You were right in 1 of 1").wait_for()
    page.get_by_text("Right: ").first.wait_for()
    page.close()

"""What a learner sees and moves on the page of JupyterLab, and what it remembers."""

import re

import pytest
from conftest import serve
from test_lab_in_browser import (
    changes,
    explorers,
    idle,
    make_notebook,
    menu,
    open_notebook,
    picture,
    run_all,
    shut_down,
)

from gnet_utils import memory
from gnet_utils.course.notebooks import find_notebooks

START = """
import os, tempfile
os.environ["GNET_REMEMBER"] = "1"
os.environ["GNET_CACHE_DIR"] = {cache!r}
from gnet_utils.widgets import predict, score
from gnet_utils.exercises import check
"""


@pytest.mark.browser
def test_the_answer_of_a_prediction_is_blurred_until_it_is_made_and_it_is_remembered(
    browser, lab, tmp_path
):
    name = "memory.ipynb"
    start = START.format(cache=str(tmp_path))
    between = ['print("a question")', "1", "2"]
    cells = [start + 'predict("02.p3")', *between, 'print("It is (d)")', 'score("02")']
    make_notebook(lab, name, *cells)
    blurred = "cell => getComputedStyle(cell.querySelector('.jp-OutputArea')).filter"
    with open_notebook(browser, lab, name, []) as page:
        run_all(page)
        cell = page.locator(".jp-CodeCell", has_text="It is (d)").first
        assert cell.evaluate(blurred) == "blur(6px)"
        question = page.locator(".jp-CodeCell", has_text="a question").first
        assert question.evaluate(blurred) == "none"
        page.locator(".widget-radio-box input").nth(3).click()
        page.get_by_text("Noted. Read on").wait_for()
        assert cell.evaluate(blurred) == "none"
        menu(page, "Kernel", "Restart Kernel…")
        page.click(".jp-Dialog button.jp-mod-accept")
        run_all(page)
        assert page.get_by_text("Noted before").is_visible()
        assert page.locator(".widget-radio-box input").nth(3).is_checked()
        assert cell.evaluate(blurred) == "none"
        assert page.get_by_text("You were right in 1 of 1").is_visible()
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
def test_a_browser_without_pointer_events_says_what_to_do_and_the_rest_works(browser, lab):
    name = "no_pointer.ipynb"
    more = PAD.replace('{"sheet": drawing_pad()}', '{"sheet": drawing_pad(), "own": upload()}')
    more = more.replace("def draw(sheet):", "def draw(sheet, own):").replace(
        "picture = drawn(sheet)", "picture = drawn(sheet) if own is None else own"
    )
    make_notebook(lab, name, more.replace("import explore", "import explore, upload"))
    with open_notebook(browser, lab, name, []) as page:
        page.add_init_script("delete window.PointerEvent")
        page.reload()
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        idle(page)
        run_all(page)
        (box,) = explorers(page)
        box.get_by_text("This browser cannot draw here (no pointer events): use Own").wait_for()
        assert box.locator("canvas").count() == 0
        first = picture(box)
        with page.expect_file_chooser() as chosen:
            box.locator("button", has_text=re.compile("Own picture")).click()
        chosen.value.set_files(lab.course / "data" / "pictures" / "plate.png")
        assert changes(box, first)
        shut_down(page, lab, name)


@pytest.mark.browser
@pytest.mark.parametrize("cache", ["no folder", "another version"])
def test_a_record_that_fails_is_one_sentence_and_the_lesson_goes_on(browser, lab, tmp_path, cache):
    """A folder that cannot be one, as below a file, cannot be written by any user."""
    name, place = "record.ipynb", tmp_path / "cache"
    if cache == "no folder":
        place.write_text("a file")
        place, said = place / "below", "What you answer is kept until this kernel ends"
    else:
        place.mkdir()
        (place / f"answers-{memory.user()}.json").write_text('{"version": 99}')
        said = "Earlier answers cannot be used: .*of another version of the course"
    start = START.format(cache=str(place))
    make_notebook(lab, name, f'{start}predict("02.p1")', 'score("02")', 'check("00.pixels", 784)')
    with open_notebook(browser, lab, name, []) as page:
        run_all(page)
        page.locator(".widget-radio-box input").nth(2).click()
        page.get_by_text("Noted. Read on").wait_for()
        shown = page.inner_text(".jp-Notebook")
        assert len(re.findall(said, shown)) == 1 and "Traceback" not in shown
        menu(page, "Run", "Run All Cells")
        page.get_by_text("You were right in 1 of 1").wait_for()
        page.get_by_text("Right: ").first.wait_for()
        shut_down(page, lab, name)


HREFS = "links => links.map(link => link.href)"
LINKS = {  # what is clicked in notebook 00, and the notebook that it opens
    "the map": (".jp-CodeCell li a", "07_resnet.ipynb"),
    "the contents": (".jp-MarkdownCell td a", "12_how_sure_is_an_accuracy.ipynb"),
    "next": (".jp-MarkdownCell p a", "01_one_by_one_convolution.ipynb"),
}


@pytest.mark.browser
@pytest.mark.parametrize("place", LINKS)
def test_the_map_the_contents_and_next_are_links_to_lessons(browser, lab, place):
    """On a page that was opened and not run, as a newcomer sees it."""
    where, target = LINKS[place]
    with open_notebook(browser, lab, "00_start_here.ipynb", []) as page:
        links = page.locator(where)
        lessons = {path.name for path in find_notebooks()} - {"00_start_here.ipynb"}
        leads = {a.split("/")[-1].partition("?")[0] for a in links.evaluate_all(HREFS)}
        assert lessons <= leads or place == "next"
        links.locator(f"visible=true >> :scope[href*='{target}']").last.click()
        page.wait_for_selector(f".lm-TabBar-tab.lm-mod-current[title*='{target}']")
        for kernel in page.request.get(f"{lab.url}/api/kernels?token={lab.token}").json():
            page.request.delete(f"{lab.url}/api/kernels/{kernel['id']}?token={lab.token}")


@pytest.mark.browser
def test_lab_with_a_number_opens_that_lesson(browser, tmp_path):
    with serve(tmp_path, "gnet_utils", "lab", "03") as started:
        page = browser.new_page()
        page.goto(f"{started.url}/?token={started.token}", wait_until="commit")
        page.wait_for_selector(".lm-TabBar-tab.lm-mod-current[title*='03_the_inception_block']")
        page.close()

"""JupyterLab in a browser: notebooks run, explorers follow keyboard and mouse, nothing is red."""

import os
import re
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page

from gnet_utils.course.notebooks import find_notebooks

EXPLORING = [p for p in find_notebooks() if re.search(r"^ *\"explore\(", p.read_text(), re.M)]
QUICK = EXPLORING[:1]
SECONDS = 600  # for one notebook, on a busy machine
# JupyterLab's own complaints, none of which a notebook can cause.
NOT_OURS = re.compile(
    r"favicon|Failed to load resource|source ?map|ResizeObserver|\[LSP\]|i18n|translation"
)

PICTURE = """
async (image) => {
  const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
  const digest = await crypto.subtle.digest("SHA-1", bytes);
  return bytes.length + "-" + Array.from(new Uint8Array(digest)).join(".");
}
"""

LOOK = """
(box) => {
  const limit = box.closest(".jp-Cell").getBoundingClientRect().right + 1;
  const parts = [...box.querySelectorAll("*")];
  const labels = [...box.querySelectorAll(".widget-label, button")];
  const pictures = [...box.querySelectorAll("img")];
  return [
    ...parts.filter((part) => part.getBoundingClientRect().right > limit)
      .map((part) => `${part.tagName} sticks out of its cell`),
    ...labels.filter((label) => label.scrollWidth > label.clientWidth + 1)
      .map((label) => `"${label.innerText}" is cut off`),
    ...pictures.filter((picture) => picture.width > picture.naturalWidth + 1)
      .map((picture) => "the picture is enlarged, so it is blurred"),
    ...pictures.filter((picture) => getComputedStyle(picture).borderRadius !== "8px")
      .map((picture) => "the picture has no frame"),
  ];
}
"""

CONTROLS = ".widget-hslider, .widget-dropdown, .widget-checkbox"
# The milliseconds from the last thing that a hand has done to each picture, in box.waited.
WATCH = """
(box) => {
  let start = 0;
  box.waited = [];
  for (const kind of ["keydown", "pointerup", "change"])
    box.addEventListener(kind, () => { start = performance.now(); }, true);
  const image = box.querySelector("img.widget-image");
  image.addEventListener("load", () => box.waited.push(performance.now() - start));
}
"""
FRAMED = "images => images.every(image => getComputedStyle(image).borderTopStyle === 'solid')"
WAITED = """
(box) => {
  const times = box.waited.splice(0).map(Math.round).sort((a, b) => a - b);
  return [times[times.length >> 1], times.at(-1)];
}
"""


@contextmanager
def open_notebook(browser, lab, name: str, troubles: list[str], busy: bool = False):
    """A page with the notebook open and its kernel idle, or still `busy`; closed at the end.

    A page left open would put its notebook into JupyterLab's workspace, beside the next test's.
    """
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60_000)
    page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    try:
        page.goto(f"{lab.url}/lab/tree/notebooks/{name}?reset&token={lab.token}")
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        if not busy:
            idle(page)
        yield page
    finally:
        page.close()


def idle(page) -> None:
    page.wait_for_selector("#jp-main-statusbar :text('| Idle')", timeout=120_000)


def run_all(page) -> None:
    """Run > Run All Cells, and wait until every code cell has its number."""
    prompts = ".jp-CodeCell .jp-InputPrompt"
    menu(page, "Edit", "Clear Outputs of All Cells")  # and the numbers of the stored run
    numbered = "all => all.some(prompt => /[0-9]/.test(prompt.innerText))"
    while page.eval_on_selector_all(prompts, numbered):
        time.sleep(0.2)
    menu(page, "Run", "Run All Cells")
    end = time.monotonic() + SECONDS
    last = ""
    while time.monotonic() < end:
        texts = page.locator(prompts).all_inner_texts()
        last = next((text for text in reversed(texts) if re.search(r"\d|\*", text)), "")
        if re.search(r"\d", last) and not any("*" in text for text in texts):
            break
        time.sleep(0.5)
    else:
        pytest.fail(f"the notebook did not end within {SECONDS} s, the last prompt is {last!r}")
    idle(page)


def menu(page, name: str, *entries: str) -> None:
    """Click a menu and an entry in it, or in the menu that this opens."""
    page.click(f".lm-MenuBar-itemLabel:text-is('{name}')")
    for entry in entries:
        page.click(f".lm-Menu-itemLabel:text-is('{entry}')")


def save(page, lab, name: str, part: str) -> None:
    """Save the notebook, and wait until `part` stands in its file."""
    menu(page, "File", "Save Notebook")
    saved, end = lab.course / "notebooks" / name, time.monotonic() + 30
    while part not in saved.read_text():
        assert time.monotonic() < end, f"the notebook was saved without {part}"
        time.sleep(0.2)


def shut_down(page, lab, name: str) -> None:
    """End the notebook's kernel, and wait until it is gone.

    A page that finds it dying joins it and waits for its answers for ever.
    """
    menu(page, "Kernel", "Shut Down Kernel")
    end = time.monotonic() + SECONDS
    while any(
        session["path"].endswith(name)
        for session in page.request.get(f"{lab.url}/api/sessions?token={lab.token}").json()
    ):
        assert time.monotonic() < end, f"the kernel of {name} does not end"
        time.sleep(0.2)


def explorers(page) -> list:
    """The output of each explorer: controls and a picture."""
    boxes = page.locator(".jp-OutputArea-output:has(img.widget-image)")
    return [boxes.nth(index) for index in range(boxes.count())]


def picture(box) -> str:
    """What identifies the bytes of the picture now shown."""
    image = box.locator("img.widget-image").first
    return image.evaluate(PICTURE)


def changes(box, before: str, seconds: float = 12) -> bool:
    return _comes(lambda: picture(box) != before, seconds)


def returns(box, wanted: str) -> bool:
    return _comes(lambda: picture(box) == wanted, 30)


def _comes(is_there, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_there():
            return True
        time.sleep(0.1)
    return False


def move(page, control, hand: str) -> None:
    """Another value for a slider, a list or a box to tick, by "keyboard" or with the "mouse"."""
    control.scroll_into_view_if_needed()
    handle, choices, box = map(control.locator, (".noUi-handle", "select", "input[type=checkbox]"))
    if handle.count():
        low, now, high = (
            float(handle.get_attribute(f"aria-value{part}")) for part in ("min", "now", "max")
        )
        if hand == "keyboard":
            handle.press("ArrowLeft" if now == high else "ArrowRight")
        else:
            start, line = handle.bounding_box(), control.locator(".noUi-base").bounding_box()
            height = start["y"] + start["height"] / 2
            share = 0.8 if now < (low + high) / 2 else 0.2
            page.mouse.move(start["x"] + start["width"] / 2, height)
            page.mouse.down()
            page.mouse.move(line["x"] + share * line["width"], height)
            page.mouse.up()
    elif choices.count():
        if hand == "keyboard":  # in a closed list the arrows belong to JupyterLab
            choices.press("Space")
        else:
            choices.click()
        last = choices.evaluate("list => list.selectedIndex === list.length - 1")
        page.keyboard.press("ArrowUp" if last else "ArrowDown")
        page.keyboard.press("Enter")
    elif hand == "keyboard":
        box.press("Space")
    else:
        box.click()


def by_drawing(page, box, hand: str) -> None:
    """With "mouse" or "touch": the picture follows an outline on the sheet, filled and not."""
    empty, filled = picture(box), ""
    for _ in range(2):
        outline(page, box.locator("canvas"), hand)
        assert changes(box, empty), f"the picture does not follow a drawing by {hand}"
        assert picture(box) != filled
        filled = picture(box)
        box.get_by_text("new sheet").click()
        assert changes(box, filled) and returns(box, empty)
        box.get_by_text("fill each outline").click()


def outline(page, sheet, hand: str) -> None:
    sheet.scroll_into_view_if_needed()
    place = sheet.bounding_box()
    spots = [
        (place["x"] + across * place["width"], place["y"] + down * place["height"])
        for across, down in [(0.3, 0.2), (0.7, 0.2), (0.7, 0.8), (0.3, 0.8)]
    ]
    if hand == "mouse":
        page.mouse.move(*spots[0])
        page.mouse.down()
        for spot in spots[1:]:
            page.mouse.move(*spot, steps=5)
        page.mouse.up()
    else:  # a finger, as Chromium's own events
        client = page.context.new_cdp_session(page)
        kinds = ["touchStart", *["touchMove"] * 3]
        for kind, (x, y) in zip(kinds, spots, strict=True):
            touch = {"type": kind, "touchPoints": [{"x": x, "y": y}]}
            client.send("Input.dispatchTouchEvent", touch)
        client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def red_output(page) -> list[str]:
    """Errors, warnings and the messages of explorers."""
    kinds = ("vnd.jupyter.stderr", "vnd.jupyter.error")
    places = [f'.jp-OutputArea-output[data-mime-type="application/{kind}"]' for kind in kinds]
    places.append(".widget-html b")
    return [
        text for place in places for text in page.locator(place).all_inner_texts() if text.strip()
    ]


@dataclass
class Lesson:
    """A lesson with explorers, open in JupyterLab, run, and its predictions made."""

    path: Path
    page: Page
    troubles: list[str]  # what the browser's console has said


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(p, marks=() if p in QUICK else pytest.mark.browser, id=p.stem)
        for p in EXPLORING
    ],
)
def lesson(request, browser, lab) -> Iterator[Lesson]:
    troubles: list[str] = []
    with open_notebook(browser, lab, request.param.name, troubles) as page:
        run_all(page)
        for prediction in page.locator(".widget-radio-box").all():  # what follows is not blurred
            prediction.locator("input").first.click()
        yield Lesson(request.param, page, troubles)


# Clicked before a control is moved, some of which have nothing to do at the start: gray is mixed by
# three of nine weights, and nothing is switched off in all blocks.
FIRST = {"01": "sepia", "09": "5x5"}


def follows(box, what: str, act: Callable, *args) -> None:
    before = picture(box)
    act(*args)
    assert changes(box, before), f"the picture does not follow {what}"


def reset(box, first: str, timed: bool) -> None:
    follows(box, "reset", box.get_by_text("reset", exact=True).click)
    assert timed or returns(box, first)


def test_every_control_of_an_explorer_moves_its_picture_by_keyboard_and_mouse(lesson, lab):
    """Each goes back by "reset"; in 02 a picture measures time, so that each drawing is another."""
    page, number = lesson.page, lesson.path.stem[:2]
    timed = number == "02"
    assert red_output(page) == []
    assert len(explorers(page)) == lesson.path.read_text().count('"explore(')
    for box in explorers(page):
        box.evaluate(WATCH)
        first, waited, controls = picture(box), {}, box.locator(CONTROLS).all()
        others = box.locator(".gnet-controls").locator("canvas, .widget-upload").count()
        assert len(controls) + others == box.locator(".gnet-controls > .widget-box > *").count()
        for control in controls:
            name = control.inner_text().split("\n")[0]
            for hand in ("mouse", "keyboard"):
                if first_click := FIRST.get(number):
                    follows(box, first_click, box.get_by_text(first_click, exact=True).click)
                follows(box, f'"{name}" by {hand}', move, page, control, hand)
                if picture(box) != first:
                    reset(box, first, timed)
            waited[name] = box.evaluate(WAITED)
        last = box.locator(".widget-hslider, .widget-dropdown").last
        move(page, last, "keyboard")  # in 01 one that is not used for gray
        page.wait_for_timeout(1000)
        presets = box.locator("button", has_not_text=re.compile("reset|picture|sheet", re.I))
        for button in presets.all():
            box.evaluate(WAITED)
            follows(box, f'"{button.inner_text()}"', button.click)
            page.wait_for_timeout(600)  # a slider could send back what it has rounded
            assert box.evaluate("box => box.waited.length") == 1
        box.get_by_text("reset", exact=True).click()
        assert timed or returns(box, first)
        if box.locator(".widget-upload").count():
            with page.expect_file_chooser() as chosen:
                box.locator(".widget-upload").click()
            photo = lab.course / "data" / "pictures" / "plate.png"
            follows(box, "an own picture", chosen.value.set_files, photo)
            box.get_by_text("without own picture", exact=True).click()
            assert returns(box, first)
        for hand in ("mouse", "touch") if box.locator("canvas").count() else ():
            by_drawing(page, box, hand)
        print(f"{number}: milliseconds from hand to picture, [median, most]", waited)
        if "PYTEST_XDIST_WORKER" not in os.environ:  # else tests beside this one are timed too
            assert statistics.median(median for median, _ in waited.values()) < 300
    assert red_output(page) == []
    assert page.locator(".Toastify__toast").count() == 0  # no news, no questions


TOGETHER = {  # what stands under what
    "01": [("red from red", "red from green"), ("blue from green", "blue from blue")],
    "02": [("reduce", "kernel"), ("height", "width")],
    "03": [("3x3 reduce", "3x3"), ("5x5 reduce", "5x5"), ("5x5 branch", "5x5 reduce")],
    "09": [("garment", "number")],
}


def test_controls_and_picture_fit_on_one_screen_and_sliders_fill_their_column(lesson):
    page = lesson.page
    page.set_viewport_size({"width": 1280, "height": 800})
    page.wait_for_timeout(500)  # JupyterLab lays out its parts again
    free = page.locator(".jp-WindowedPanel-outer").first.bounding_box()["height"]
    for box in explorers(page):
        height = box.bounding_box()["height"]
        assert height <= free, f"the explorer is {height} pixels high, the page {free}"
        for slider in box.locator(".widget-hslider").all():
            line = slider.locator(".noUi-target").bounding_box()["width"]
            column = slider.locator("xpath=..").bounding_box()["width"]
            assert line > 100 and line > 0.8 * column
        for names in TOGETHER.get(lesson.path.stem[:2], ()):
            upper, lower = (
                box.locator(CONTROLS, has=page.get_by_text(name, exact=True)).bounding_box()
                for name in names
            )
            assert abs(upper["x"] - lower["x"]) < 5 and 0 < lower["y"] - upper["y"] < 60, names


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_explorers_fit_a_phone_and_a_laptop_and_frame_their_picture(lesson, theme):
    page = lesson.page
    page.set_viewport_size({"width": 1280, "height": 900})
    menu(page, "Settings", "Theme", f"JupyterLab {theme}")
    light = str(theme == "Light").lower()
    page.wait_for_function(f"document.body.dataset.jpThemeLight === '{light}'")
    page.keyboard.press("Control+b")  # without the list of files
    for width in (400, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(500)
        assert [fault for box in explorers(page) for fault in box.evaluate(LOOK)] == []
    pictures = page.locator(".jp-OutputArea-output img")  # those of `show` too: no white slab
    assert pictures.evaluate_all(FRAMED)
    page.keyboard.press("Control+b")


def test_an_explorer_leaves_its_picture_on_a_page_without_its_kernel(lesson, lab):
    page, count = lesson.page, len(explorers(lesson.page))
    save(page, lab, lesson.path.name, "widget-state+json")
    shut_down(page, lab, lesson.path.name)
    page.reload()
    page.wait_for_selector("img.widget-image")
    idle(page)
    left = [box.locator("img.widget-image").first for box in explorers(page)]
    assert len(left) == count
    assert all(image.evaluate("image => image.naturalWidth > 100") for image in left)
    assert "Error displaying widget" not in page.inner_text(".jp-Notebook")
    assert [text for text in lesson.troubles if not NOT_OURS.search(text)] == []


def test_a_notebook_that_was_never_run_shows_its_pictures(browser, lab):
    shutil.copy(QUICK[0], lab.course / "notebooks" / "stored.ipynb")
    with open_notebook(browser, lab, "stored.ipynb", []) as page:
        pictures = page.locator(".jp-RenderedImage img")
        stored = len(re.findall(r'"image/(?:png|jpeg)": "', QUICK[0].read_text()))
        assert pictures.count() == stored > 0


def make_notebook(lab, name: str, *sources: str) -> None:
    """A notebook of the course with these code cells."""
    start = 'import sys\nsys.path.insert(0, "..")\n'
    cells = [nbformat.v4.new_code_cell(start + source) for source in sources]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.write(notebook, lab.course / "notebooks" / name)


UPLOAD = """
from gnet_utils.explorers.n08 import crop_viewer
from gnet_utils.widgets import choice, explore, upload
controls = {"picture": choice("picture", ("market", "hopper")), "own": upload()}
explore(crop_viewer, "a crop", controls, replaced=["picture"])
"""


@pytest.mark.browser
def test_an_own_picture_is_counted_and_taken_away_in_the_browser(browser, lab):
    name, troubles = "own_picture.ipynb", []
    make_notebook(lab, name, UPLOAD)
    files = lab.course / "data" / "pictures"
    with open_notebook(browser, lab, name, troubles) as page:
        run_all(page)
        (box,) = explorers(page)
        button = box.locator("button", has_text=re.compile("Own picture"))
        select = box.locator("select")
        first = picture(box)
        for content, counted, message in (
            (files / "plate.png", "Own picture (1)", "Your own picture"),
            (files / "draw.py", "Own picture (0)", "draw.py is no picture"),
            (files / "plate.png", "Own picture (1)", "Your own picture"),
        ):
            with page.expect_file_chooser() as chosen:
                button.click()
            chosen.value.set_files(content)
            box.get_by_text(message).wait_for()
            page.wait_for_function(
                "([b, t]) => b.innerText.trim() === t", arg=[button.element_handle(), counted]
            )
            assert select.is_disabled() == box.locator("img").is_visible() == ("(1)" in counted)
        assert picture(box) != first
        box.get_by_text("without own picture", exact=True).click()
        page.wait_for_function("s => !s.disabled", arg=select.element_handle())
        assert "Own picture (0)" in button.inner_text()
        shut_down(page, lab, name)
    assert [text for text in troubles if not NOT_OURS.search(text)] == []

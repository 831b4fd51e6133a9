"""JupyterLab in a browser: notebooks run, explorers follow keyboard and mouse, nothing is red."""

import re
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

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
  ];
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


def menu(page, *path: str) -> None:
    """Click a menu and an entry in it."""
    page.click(f".lm-MenuBar-itemLabel:text-is('{path[0]}')")
    page.click(f".lm-Menu-itemLabel:text-is('{path[1]}')")


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


def by_keyboard(page, box) -> str | None:
    """Move controls with keys until the picture changes; the name of the control that did it."""
    for index in range(box.locator(".noUi-handle").count()):
        handle = box.locator(".noUi-handle").nth(index)
        for key in ("ArrowRight", "ArrowLeft"):
            before = picture(box)
            handle.focus()
            page.keyboard.press(key)
            if changes(box, before):
                return f"slider {index}"
    for index in range(box.locator("select").count()):
        for key in ("ArrowDown", "ArrowUp"):  # in a closed list they belong to JupyterLab
            before = picture(box)
            box.locator("select").nth(index).focus()
            for each in ("Space", key, "Enter"):
                page.keyboard.press(each)
            if changes(box, before):
                return f"list {index}"
    for kind, key in (("input[type=checkbox]", "Space"), ("button", "Enter")):
        for index in range(box.locator(kind).count()):
            before = picture(box)
            box.locator(kind).nth(index).focus()
            page.keyboard.press(key)
            if changes(box, before):
                return f"{kind} {index}"
    return None


def by_mouse(page, box) -> str | None:
    """Drag sliders, tick boxes, press buttons until the picture changes."""
    for index in range(box.locator(".noUi-handle").count()):
        handle, base = box.locator(".noUi-handle").nth(index), box.locator(".noUi-base").nth(index)
        for share in (0.7, 0.2):
            before = picture(box)
            handle.scroll_into_view_if_needed()
            start, line = handle.bounding_box(), base.bounding_box()
            page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
            page.mouse.down()
            target = line["x"] + share * line["width"]
            page.mouse.move(target, start["y"] + start["height"] / 2, steps=5)
            page.mouse.up()
            if changes(box, before):
                return f"slider {index}"
    for kind in ("input[type=checkbox]", "button:not(:has-text('picture'))"):
        for index in range(box.locator(kind).count()):
            before = picture(box)
            box.locator(kind).nth(index).click()
            if changes(box, before):
                return f"{kind} {index}"
    for index in range(box.locator("select").count()):
        options = box.locator("select").nth(index).locator("option")
        for option in range(options.count()):
            before = picture(box)
            box.locator("select").nth(index).select_option(index=option)
            if changes(box, before, 5):
                return f"list {index}"
    return None


def by_drawing(page, box, hand: str) -> None:
    """An outline on the sheet with "mouse" or "touch": the picture follows it, and a new sheet."""
    empty, sheet = picture(box), box.locator("canvas")
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
    assert changes(box, empty), f"the picture does not follow a drawing by {hand}"
    drawing = picture(box)
    box.get_by_text("new sheet").click()
    assert changes(box, drawing) and returns(box, empty)


def badly_shown(page, boxes: list) -> list[tuple[int, str]]:
    """(width of the window, what is wrong) where explorers do not fit a phone or a laptop."""
    found = []
    page.keyboard.press("Control+b")  # without the list of files
    for width in (400, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(500)  # JupyterLab lays out its parts again
        found += [(width, fault) for box in boxes for fault in box.evaluate(LOOK)]
    return found


def red_output(page) -> list[str]:
    """Errors, warnings and the messages of explorers."""
    kinds = ("vnd.jupyter.stderr", "vnd.jupyter.error")
    places = [f'.jp-OutputArea-output[data-mime-type="application/{kind}"]' for kind in kinds]
    places.append(".widget-html b")
    return [
        text for place in places for text in page.locator(place).all_inner_texts() if text.strip()
    ]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(p, marks=() if p in QUICK else pytest.mark.browser, id=p.stem)
        for p in EXPLORING
    ],
)
def test_explorers_follow_keyboard_and_mouse_and_leave_a_picture(browser, lab, path: Path):
    """Run All, then each explorer; then the page again, without the kernel that drew them."""
    troubles: list[str] = []
    with open_notebook(browser, lab, path.name, troubles) as page:
        run_all(page)
        assert red_output(page) == []
        found = explorers(page)
        assert len(found) == path.read_text().count('"explore(')
        for number, box in enumerate(found, 1):
            box.scroll_into_view_if_needed()
            assert by_keyboard(page, box), f"explorer {number} does not follow the keyboard"
            assert by_mouse(page, box), f"explorer {number} does not follow the mouse"
            for hand in ("mouse", "touch") if box.locator("canvas").count() else ():
                by_drawing(page, box, hand)
        assert badly_shown(page, found) == []
        assert red_output(page) == []
        assert page.locator(".Toastify__toast").count() == 0  # no news, no questions
        save(page, lab, path.name, "widget-state+json")
        shut_down(page, lab, path.name)
        page.reload()
        page.wait_for_selector("img.widget-image")
        idle(page)
        left = [box.locator("img.widget-image").first for box in explorers(page)]
        assert len(left) == len(found)
        assert all(image.evaluate("image => image.naturalWidth > 100") for image in left)
        assert "Error displaying widget" not in page.inner_text(".jp-Notebook")
    assert [text for text in troubles if not NOT_OURS.search(text)] == []


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

"""The web site in a real browser, from a disk and from a host, without a network.

GNET_SITE names a site that is there already, one of these lessons; else it is built (minutes).
"""

import functools
import http.server
import importlib
import os
import random
import re
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import numpy as np
import pytest
from PIL import Image
from test_accessibility import axe  # noqa: F401 - a fixture

from gnet_utils.base import ROOT, CourseError
from gnet_utils.course import environment
from gnet_utils.course.notebooks import find_notebooks
from gnet_utils.course.site import frames
from gnet_utils.exercises import exercises_of, mistake_in, predictions_of
from gnet_utils.plotting import pixels_of

pytestmark = pytest.mark.browser
MADE = Path(os.environ["GNET_SITE"]) if os.environ.get("GNET_SITE") else None
LESSONS = [p.stem for p in find_notebooks() if not MADE or (MADE / f"{p.stem}.html").exists()]
EXPLORED = [name for name in LESSONS if name[:2] in frames.GRIDS]
NUMBERS = [
    exercise
    for name in LESSONS
    for exercise, asked in exercises_of(name[:2]).items()
    if asked.value is not None
]
SERIOUS = """
async () => (await axe.run(document, { preload: false })).violations
  .filter((rule) => ["serious", "critical"].includes(rule.impact))
  .flatMap((rule) => rule.nodes.map((node) => [rule.id, node.target.join(" "), node.html]))
"""
SMALL_MB, WHOLE_MB, EXPLORER_MB = 1.5, 80, 6


@pytest.fixture(scope="session")
def build():
    """The module that makes the site, and what it needs, which this installs into .venv."""
    try:
        environment.add(ROOT / "requirements-site.txt")
    except CourseError as error:
        pytest.skip(f"THE SITE WAS NOT TESTED: {error}")
    return importlib.import_module("gnet_utils.course.site.build")


@pytest.fixture(scope="session")
def site(request, tmp_path_factory) -> Path:
    """The whole site."""
    if MADE:
        return MADE
    build = request.getfixturevalue("build")
    return build.make_site(tmp_path_factory.mktemp("site") / "site").parent


@pytest.fixture
def visit(browser, site) -> Iterator:
    """Opens a page from the disk, without network; fails at the end where the page complained."""
    complaints, contexts = [], []

    def open_page(name: str, scheme: str = "light", width: int = 1280):
        look = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
        contexts.append(browser.new_context(offline=True, **look))
        page = contexts[-1].new_page()
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.goto((site / f"{name}.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


# Every page ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index", "search", *LESSONS])
def test_a_page_has_no_serious_violation(visit, axe, name, scheme):  # noqa: F811
    page = visit(name, scheme)
    page.evaluate("document.querySelector('.show-all')?.click()")  # what is folded counts too
    page.add_script_tag(content=axe)
    assert page.evaluate(SERIOUS) == []


@pytest.mark.parametrize("name", ["index", "search", *LESSONS])
def test_a_page_fits_on_a_small_telephone(visit, name):
    page = visit(name, width=360)
    page.evaluate("document.querySelector('.show-all')?.click()")
    assert page.evaluate("document.documentElement.scrollWidth") == 360


class Links(HTMLParser):
    """The links, the sources and the ids of a page."""

    def __init__(self, file: Path):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found["id"]} if "id" in found else set()
        self.links += [found[key] for key in ("href", "src") if key in found]


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site):
    pages = {file.name: Links(file) for file in site.glob("*.html")}
    broken = []
    for name, page in pages.items():
        for link in page.links:
            target, anchor = urldefrag(unquote(link))
            if re.match(r"https?:|data:|mailto:", target):
                continue
            target = target.partition("?")[0] or name
            inside = not anchor or anchor in pages.get(target, page).ids
            if not (site / target).exists() or not inside:
                broken.append((name, link))
    assert broken == []


def test_sizes_stay_within_what_a_school_can_load(site, browser):
    size = sum(file.stat().st_size for file in site.rglob("*") if file.is_file())
    assert size < WHOLE_MB * 1e6
    for folder in (site / "frames").iterdir():
        sizes = [file.stat().st_size for file in folder.iterdir()]
        assert len(sizes) <= 500 and sum(sizes) < EXPLORER_MB * 1e6, folder.name


@pytest.fixture(scope="session")
def hosted(site) -> Iterator[str]:
    """The address of the site on a host, below a path."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def translate_path(self, path):
            return super().translate_path(path.removeprefix("/a/b"))

    handler = functools.partial(Handler, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/a/b"
    server.shutdown()


@pytest.mark.parametrize("name", ["index", *LESSONS])
def test_a_first_page_below_any_path_loads_little_and_only_from_its_host(browser, hosted, name):
    page, answers = browser.new_page(), []
    page.on("response", lambda answer: answers.append(answer))
    page.goto(f"{hosted}/{name}.html", wait_until="networkidle")
    loaded = list(answers)
    assert all(answer.url.startswith((hosted, "data:", "blob:")) for answer in loaded)
    assert [answer.url for answer in loaded if answer.status >= 400] == []
    assert sum(len(answer.body()) for answer in loaded) < SMALL_MB * 1e6
    page.close()


def test_search_finds_a_word_in_its_lesson(visit):
    page = visit("search")
    page.fill("input[name=q] >> nth=-1", "shortcut")
    page.press("input[name=q] >> nth=-1", "Enter")
    page.wait_for_selector("#search-results li a")
    assert "07 ResNet" in page.inner_text("#search-results")


# Predictions and exercises ------------------------------------------------------------------------


def test_a_prediction_unfolds_its_answer_counts_and_is_remembered(visit):
    name = next(lesson for lesson in LESSONS if lesson.startswith("07"))
    asked = predictions_of("07")
    page = visit(name)
    assert "No prediction made yet" in page.inner_text(".score")
    for place, (prediction, about) in enumerate(asked.items()):
        fold = page.locator(f'.held[data-prediction="{prediction}"]')
        assert not fold.is_visible()
        wrong = place == 1
        index = about.right if not wrong else (about.right + 1) % len(about.options)
        form = page.locator(f'.prediction[data-id="{prediction}"]')
        form.locator("button").click()
        assert form.evaluate("form => !form.checkValidity()") and not fold.is_visible()
        form.locator(f'input[value="{index}"]').check()
        assert not fold.is_visible()
        form.locator("button").click()
        assert fold.is_visible()
        assert form.locator('input[value="0"]').is_disabled()
    page.reload()
    said = page.inner_text(".score")
    assert f"You were right in {len(asked) - 1} of {len(asked)}" in said
    assert list(asked.values())[1].because in said
    page.click("text=Forget my answers on this page")
    page.wait_for_selector(".score:has-text('No prediction made yet')")
    assert not page.locator(".held").first.is_visible()


def test_a_switch_shows_all_answers_and_paper_has_them_too(visit):
    page = visit(LESSONS[-1])
    folds = page.locator(".held")
    assert not any(folds.nth(i).is_visible() for i in range(folds.count()))
    page.emulate_media(media="print")
    assert all(folds.nth(i).is_visible() for i in range(folds.count()))
    assert not page.locator(".sidebar-drawer").is_visible()
    assert not page.locator(".related-pages").is_visible()
    page.emulate_media(media="screen")
    page.check(".show-all")
    assert all(folds.nth(i).is_visible() for i in range(folds.count()))
    page.reload()
    assert page.is_checked(".show-all")


def verdict(name: str, number: float) -> str:
    """What `check` says in the notebook."""
    mistake = mistake_in(name, number)
    exercise = exercises_of(name[:2])[name]
    return f"Right: {exercise.right}" if mistake is None else f"Not yet: {mistake}"


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_judged_as_in_the_notebook(visit, name):
    exercise = exercises_of(name[:2])[name]
    value = exercise.value
    page = visit(next(lesson for lesson in LESSONS if lesson.startswith(name[:2])))
    form = page.locator(f'.exercise[data-id="{name}"]')
    numbers = [value, *exercise.mistakes, value * 1000, value / 1000, -value, value + 0.4]
    numbers += [float(f"{value:.{digits}g}") for digits in (1, 2, 3)]
    for number in numbers:
        form.locator("input").fill(repr(number))
        form.locator("text=Check").click()
        here, there = form.locator(".said").inner_text(), verdict(name, number)
        if here.endswith("near, but not right."):  # told to within 5%
            assert there.endswith(("is too small.", "is too large.")), number
        else:  # the number itself may be written in another way
            assert re.sub(r"Not yet: -?[\d.,e+-]+:? ?", "", here) == re.sub(
                r"Not yet: -?[\d.,e+-]+:? ?", "", there
            ), number


def test_what_is_no_number_is_told_so_and_hints_come_one_by_one(visit):
    name = NUMBERS[0]
    page = visit(next(lesson for lesson in LESSONS if lesson.startswith(name[:2])))
    form = page.locator(f'.exercise[data-id="{name}"]')
    for typed in ("", "many", "1,5", "1.5.2", "-", "e5"):  # the browser says so, at the field
        form.locator("input").fill(typed)
        form.locator("input").press("Enter")
        assert form.locator("input:invalid").count() == 1, typed
        assert form.locator(".said").inner_text() == ""
    for typed in ("1,234,567.5", "1_000", "1 000", " \u22121.5e-3 ", ".5", "12 %"):
        form.locator("input").fill(typed)
        form.locator("input").press("Enter")
        assert form.locator(".said").inner_text() != "", typed
    hints = exercises_of(name[:2])[name].hints
    for place, hint in enumerate(hints, 1):
        form.locator("text=Hint").first.click()
        words = f"Hint {place} of {len(hints)}: {hint}"
        assert form.locator(".said").inner_text() == " ".join(words.split())


# Explorers ----------------------------------------------------------------------------------------


INPUTS = ".controls input, .controls select"


def shown(part) -> str:
    """Which picture an explorer shows, loaded, or what it says in its place."""
    if said := part.locator(".said").inner_text():
        return said
    source = part.locator("img").get_attribute("src")
    part.page.wait_for_function(
        "img => img.complete && img.naturalWidth > 0", arg=part.locator("img").element_handle()
    )
    return source


def step(control) -> None:
    """Move a control by one press of a key: a switch, a list, or a slider."""
    control.focus()
    if control.get_attribute("type") == "checkbox":
        return control.press("Space")
    slides = control.get_attribute("type") == "range"
    last = control.evaluate("input => input.value === (input.max || String(input.length - 1))")
    back, forth = ("ArrowLeft", "ArrowRight") if slides else ("ArrowUp", "ArrowDown")
    return control.press(back if last else forth)


@pytest.mark.parametrize("name", EXPLORED)
def test_every_control_of_an_explorer_moves_its_picture(visit, name):
    part = visit(name).locator(".explorer")
    part.scroll_into_view_if_needed()
    first, alt = shown(part), part.locator("img").get_attribute("alt")
    assert alt == frames.explorer_of(name[:2]).alt
    controls = part.locator(INPUTS)
    for place in range(controls.count()):
        control = controls.nth(place)
        step(control)
        assert shown(part) != first, control.evaluate("input => input.parentNode.textContent")
        assert part.locator("img").get_attribute("alt").startswith("The picture for ")
        part.locator("text=reset").click()
        assert shown(part) == first
    for place in range(len(frames.explorer_of(name[:2]).presets)):
        part.locator(".presets button").nth(place + 1).click()  # the first one resets
        shown(part)


@pytest.mark.parametrize("name", EXPLORED)
def test_the_picture_of_a_state_is_that_of_the_notebook(visit, site, name):
    lesson = name[:2]
    part = visit(name).locator(".explorer")
    part.scroll_into_view_if_needed()
    grid, explorer = frames.positions_of(lesson), frames.explorer_of(lesson)
    choose, before = random.Random(0), None
    for _ in range(5):
        state = {control: choose.choice(values) for control, values in grid.items()}
        moved = [control for control, values in grid.items() if len(values) > 1]
        for place, control in enumerate(moved):
            put, values = part.locator(INPUTS).nth(place), grid[control]
            at = values.index(state[control])
            kind = frames.kind_of(explorer.controls[control])
            if kind == "switch":
                put.set_checked(state[control])
            elif kind == "choice":
                put.select_option(str(at))
            else:
                put.evaluate(
                    "(input, at) => { input.value = at;"
                    " input.dispatchEvent(new Event('input', { bubbles: true })); }",
                    at,
                )
                assert float(put.get_attribute("aria-valuetext")) == state[control]
        source = shown(part)
        if not source.endswith(".avif"):
            with pytest.raises(frames.widgets.REFUSED, match=re.escape(source)):
                explorer.draw(**state)
            continue
        with Image.open(site / source) as picture:
            here = np.asarray(picture.convert("RGB"), float)
        live = pixels_of(explorer.draw(**state)).astype(float)
        assert here.shape == live.shape
        off = np.abs(here - live).mean()
        assert off < 10, state  # of 255: what AVIF leaves out, most of all of photographs
        if before is not None and (live != before).any():
            assert off < np.abs(here - before).mean(), "it is that of another state"
        before = live


# Made again ---------------------------------------------------------------------------------------


def test_two_builds_are_equal_byte_for_byte(build, tmp_path):
    trees = []
    for name in ("one", "two"):
        folder = build.make_site(tmp_path / name, ["07"]).parent
        files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
        trees.append({str(file.relative_to(folder)): file.read_bytes() for file in files})
    assert trees[0].keys() == trees[1].keys()
    assert [name for name in trees[0] if trees[0][name] != trees[1][name]] == []
    assert ".buildinfo" not in trees[0]  # it differs where the course lies in another folder

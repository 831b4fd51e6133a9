"""Slides in a browser: nothing leaves 1280 x 720, nothing is tiny, nothing is fetched."""

import re
from collections import Counter

import nbformat
import pytest

from gnet_utils.course import notebooks
from gnet_utils.course.notebooks import find_notebooks
from gnet_utils.course.slides import make_slides
from gnet_utils.course.teaching import CUTS

new = nbformat.v4

SMALLEST = 0.7  # of the usual size of letters, less the last step
VOTE, CODE = 28, 20  # pixels of 720
PATHS = find_notebooks()
QUICK = PATHS[:1]

# For each slide its number, how much it was shrunk, what sticks out of the page, whether there is
# something besides headings, and the heights of letters in options of votes and in code.
MEASURE = """
() => {
  const found = [];
  const heights = (slide, selector) => [...slide.querySelectorAll(selector)].map((part) => {
    let zoom = 1;
    for (let e = part; e !== slide; e = e.parentElement) zoom *= Number(getComputedStyle(e).zoom);
    return zoom * parseFloat(getComputedStyle(part).fontSize);
  });
  const slides = Reveal.getSlides().filter((slide) => !slide.classList.contains("stack"));
  slides.forEach((slide, number) => {
    const place = Reveal.getIndices(slide);
    Reveal.slide(place.h, place.v, 99);
    const out = [];
    for (const part of slide.querySelectorAll(".frame, .frame *")) {
      const box = part.getBoundingClientRect();
      if (box.width && (box.left < 0 || box.top < 0 || box.right > 1280.5 || box.bottom > 720.5)) {
        out.push(part.tagName + " " + [box.left, box.top, box.right, box.bottom].map(Math.round));
      }
      if (part.scrollWidth > part.clientWidth + 1 && part.clientWidth) {
        out.push(part.tagName + " is wider than its box");
      }
      if (part.tagName === "IMG" && !part.naturalWidth) out.push("an empty picture");
    }
    const frame = slide.querySelector(".frame");
    found.push({ number: number + 1, zoom: Number(frame.dataset.zoom), out,
                 alone: !frame.querySelector("div > :not(h1, h2, h3, div)"),
                 votes: slide.querySelectorAll(".vote").length,
                 options: heights(slide, ".vote > li"), code: heights(slide, "pre:not(.output)") });
  });
  return found;
}
"""


def open_deck(browser, path, troubles: list[str]):
    """The page with a deck, ready; `troubles` gets what the page complains about or fetches."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on(
        "request",
        lambda r: troubles.append(r.url) if not r.url.startswith(("file:", "data:")) else None,
    )
    page.goto(path.resolve().as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    return page


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=() if p in QUICK else pytest.mark.browser, id=p.stem) for p in PATHS],
)
def test_every_slide_fits_is_readable_and_needs_no_network(browser, path, tmp_path):
    for cut in (None, *CUTS):
        (deck,) = make_slides([path], tmp_path / "slides", cut)
        troubles: list[str] = []
        page = open_deck(browser, deck, troubles)
        slides = page.evaluate(MEASURE)
        page.close()
        assert len(slides) >= 10
        assert [slide for slide in slides if slide["out"]] == []
        assert [slide for slide in slides if slide["zoom"] < SMALLEST - 0.01] == []
        assert [slide["number"] for slide in slides if slide["alone"]] == []
        assert [slide for slide in slides if slide["votes"] > 1] == []
        assert min((px for slide in slides for px in slide["options"]), default=VOTE) >= VOTE
        assert min((px for slide in slides for px in slide["code"]), default=CODE) >= CODE
        assert troubles == []


@pytest.fixture
def opened(browser, tmp_path, monkeypatch):
    """Makes the slides of these cells; returns the page that shows them."""

    def open_cells(*cells):
        path = tmp_path / "99_own.ipynb"
        title = new.new_markdown_cell("# 99 Own\n\nA text.")
        notebooks.write(new.new_notebook(cells=[title, *cells]), path)
        monkeypatch.setattr("gnet_utils.course.slides.as_rendered", notebooks.read)
        (deck,) = make_slides([path], tmp_path / "slides")
        return open_deck(browser, deck, [])

    yield open_cells
    browser.contexts[-1].close()


def text(source: str) -> dict:
    return new.new_markdown_cell(source)


def code(source: str, printed: str) -> dict:
    return new.new_code_cell(source, outputs=[new.new_output("stream", text=printed)])


def shown(page) -> list[str]:
    """The text of each slide."""
    script = "all => all.map((it) => [...it.children].map((part) => part.textContent).join('\\n'))"
    return page.eval_on_selector_all(".slides .frame > div", script)


def test_what_cannot_fit_is_seen(opened):
    """The measurement itself: without shrinking, long lines and long paragraphs stick out."""
    formulas = text("\n\n".join(f"$$x_{{{i}}}$$" for i in range(9)))
    page = opened(formulas, code("x = 1", "long " * 60), text("## Long\n\n" + "A word. " * 240))
    fitted = page.evaluate(MEASURE)
    assert [slide for slide in fitted if slide["out"]] == []
    undo = "e => { e.style.zoom = 1; e.classList.remove('wrapped'); }"
    page.evaluate(f"document.querySelectorAll('.frame, .frame *').forEach({undo})")
    assert len([slide for slide in page.evaluate(MEASURE) if slide["out"]]) == 2


def test_code_stays_with_its_result(opened):
    """Wherever the slide is full: after more and more text, both are on one slide."""
    cells = []
    for words in range(20, 240, 10):
        cells += [text(f"## {words}\n\n" + "Words. " * words), code("sum_of_it()", "the result")]
    page = opened(*cells)
    slides = shown(page)
    assert sum("sum_of_it" in slide for slide in slides) == 22
    assert [slide for slide in slides if ("sum_of_it" in slide) != ("the result" in slide)] == []
    assert len([slide for slide in slides if "sum_of_it" in slide and "Words" not in slide]) > 2


def test_what_is_longer_than_a_slide_is_divided(opened):
    rows = "\n".join(f"| {i} | cell |" for i in range(60))
    page = opened(
        text("## Code"),
        code("\n".join(f"def f{i}():\n    return {i}\n\n" for i in range(30)), "done"),
        text(f"## Table\n\n| a | b |\n|---|---|\n{rows}"),
        text("## List\n\n" + "\n".join(f"{i}. item {i}" for i in range(1, 51))),
        text("## Output"),
        code("print()", "\n".join(f"line {i}" for i in range(90))),
    )
    measured = page.evaluate(MEASURE)
    assert [slide for slide in measured if slide["out"] or slide["zoom"] < 1] == []
    slides = shown(page)
    headings = Counter(slide.splitlines()[0] for slide in slides)
    assert min(headings[name] for name in ("Code", "Table", "List", "Output")) > 2
    heads = page.locator("th", has_text="a").count()
    assert heads == headings["Table"]  # each part of the table has its head
    for kind, count in {"def f": 30, "cell": 60, "item": 50, "line ": 90}.items():
        assert "\n".join(slides).count(kind) == count
    assert [slide for slide in slides if re.match(r"Code\s+return", slide)] == []
    firsts = page.eval_on_selector_all(
        "ol", "all => all.map(l => [l.start, l.children[0].innerText])"
    )
    assert [text for start, text in firsts if text != f"item {start}"] == []


def test_keys_lead_through_all_slides(browser, tmp_path):
    (deck,) = make_slides(QUICK, tmp_path / "slides")
    page = open_deck(browser, deck, [])
    total = page.evaluate("Reveal.getTotalSlides()")
    for _ in range(total - 1):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("Reveal.isLastSlide()")
    page.close()


@pytest.mark.browser
def test_the_broken_block_is_on_one_slide(browser, tmp_path):
    (deck,) = make_slides(find_notebooks(["03"]), tmp_path / "slides", "45")
    page = open_deck(browser, deck, [])
    slides = shown(page)
    page.close()
    (block,) = (slide for slide in slides if "class BrokenBlock" in slide)
    assert "self.branch_pool(x)], dim=1" in block
    before = "".join(slides[: slides.index(block)])
    assert "library" not in before and "hint(" not in before and "5x5 where" not in before


@pytest.mark.browser
def test_the_key_s_opens_the_speakers_view_with_what_to_say(browser, tmp_path):
    (deck,) = make_slides(find_notebooks(["03"]), tmp_path / "slides", "45")
    fetched: list[str] = []
    page = open_deck(browser, deck, fetched)
    for _ in range(40):
        if page.locator("section.present section.present .vote").count():
            break
        page.keyboard.press("ArrowRight")
    with page.expect_popup() as popup:
        page.keyboard.press("s")
    notes = popup.value.locator(".speaker-controls-notes .value")
    notes.locator("text=5 minutes, 2 to 7 of 45").wait_for()
    assert "Likely wrong: stronger, it adds 25 pixels" in notes.inner_text()
    assert "How strong is its answer" in notes.inner_text()
    page.keyboard.press("ArrowRight")
    notes.locator("text=Likely wrong").wait_for(state="detached")
    page.close()
    popup.value.close()
    assert fetched == []

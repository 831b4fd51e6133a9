"""Slides in a browser: nothing overflows 1280 x 720, nothing is tiny, nothing is fetched."""

import pytest

from gnet_utils.course.notebooks import find_notebooks
from gnet_utils.course.slides import make_slides

SMALLEST = 0.7  # of the usual size of letters, less the last step
PATHS = find_notebooks()
QUICK = PATHS[:1]

# For each slide its number, how much it was shrunk, and what sticks out of the page.
MEASURE = """
() => {
  const found = [];
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
                 empty: !frame.innerText.trim() && !frame.querySelector("img") });
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
def test_every_slide_fits_and_needs_no_network(browser, path, tmp_path):
    (deck,) = make_slides([path], tmp_path / "slides")
    troubles: list[str] = []
    page = open_deck(browser, deck, troubles)
    slides = page.evaluate(MEASURE)
    page.close()
    assert len(slides) >= 10
    assert [slide for slide in slides if slide["out"]] == []
    assert [slide for slide in slides if slide["zoom"] < SMALLEST - 0.01] == []
    assert [slide["number"] for slide in slides if slide["empty"]] == []
    assert troubles == []


def test_what_cannot_fit_is_seen(browser, tmp_path, monkeypatch):
    """The measurement itself: without shrinking, long lines and long tables stick out."""
    import nbformat

    from gnet_utils.course import notebooks

    new = nbformat.v4
    wide = new.new_code_cell("x = 1", outputs=[new.new_output("stream", text="long " * 60)])
    high = new.new_markdown_cell("# 99 Long\n\n" + "\n\n".join(f"$$x_{{{i}}}$$" for i in range(9)))
    paragraph = new.new_markdown_cell("A word. " * 700)
    notebook = new.new_notebook(cells=[high, wide, paragraph])
    path = tmp_path / "99_long.ipynb"
    notebooks.write(notebook, path)
    monkeypatch.setattr(
        "gnet_utils.course.slides.as_rendered", notebooks.read
    )  # it has no clean copy
    (deck,) = make_slides([path], tmp_path / "slides")
    page = open_deck(browser, deck, [])
    fitted = page.evaluate(MEASURE)
    assert [slide for slide in fitted if slide["out"]] == []
    undo = "e => { e.style.zoom = 1; e.classList.remove('wrapped'); }"
    page.evaluate(f"document.querySelectorAll('.frame, .frame *').forEach({undo})")
    assert [slide for slide in page.evaluate(MEASURE) if slide["out"]]
    page.close()


def test_keys_lead_through_all_slides(browser, tmp_path):
    (deck,) = make_slides(QUICK, tmp_path / "slides")
    page = open_deck(browser, deck, [])
    total = page.evaluate("Reveal.getTotalSlides()")
    for _ in range(total - 1):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("Reveal.isLastSlide()")
    page.close()

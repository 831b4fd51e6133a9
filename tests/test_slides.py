"""Slides by rule from cells: what starts a slide, what is left out, what is divided."""

import base64
import io
import re

import nbformat
import pytest
from PIL import Image

from gnet_utils.course import commands as cli
from gnet_utils.course import notebooks, slides

new = nbformat.v4


def deck(*cells, title: str = "# 02 Small\n\nA promise.") -> list[slides.Slide]:
    notebook = new.new_notebook(cells=[new.new_markdown_cell(title), *cells])
    return list(slides.slides_of(notebook))


def text(source: str, **metadata) -> dict:
    return new.new_markdown_cell(source, metadata=metadata)


def code(source: str, *outputs: str | dict, **metadata) -> dict:
    made = [
        new.new_output("stream", text=output) if isinstance(output, str) else output
        for output in outputs
    ]
    return new.new_code_cell(source, outputs=made, metadata=metadata)


def figure(alt: str = "A gray square.") -> dict:
    buffer = io.BytesIO()
    Image.new("L", (40, 20), 128).save(buffer, "PNG")
    data = {"image/png": base64.b64encode(buffer.getvalue()).decode(), "text/plain": alt}
    return new.new_output("display_data", data, metadata={"image/png": {"alt": alt}})


def slide_type(kind: str) -> dict:
    return {"slideshow": {"slide_type": kind}}


def shown(slide: slides.Slide) -> str:
    return "".join(slide.blocks)


def everything(made: list[slides.Slide]) -> str:
    return "".join(slide.title + shown(slide) for slide in made)


def test_headings_start_slides_and_sections_start_columns():
    made = deck(text("## One\n\nA.\n\n### Part\n\nB."), text("C."), text("## Two\n\nD."))
    titles = [re.sub("<.*?>", "", slide.title) for slide in made]
    assert titles == ["02 Small", "One", "Part", "Two"]
    assert [slide.column for slide in made] == [True, True, False, True]
    assert "B." in shown(made[2]) and "C." in shown(made[2])


def test_a_heading_inside_code_is_code():
    made = deck(text("## One\n\n```python\n# not a heading\n\nx = 1\n```\n"))
    assert len(made) == 2
    assert shown(made[1]).count("<pre>") == 1


def test_set_up_drawing_code_solutions_and_unanswered_checks_are_left_out():
    made = deck(
        code(notebooks.setup_cell()),
        code("draw_it()", figure()),
        code('answer = None\ncheck("02.a", answer)', "Not answered yet.", exercise="02.a"),
        text("<details>```python\nanswer = 42\n```</details>", solution="02.a"),
        code('score("02")', "No prediction made yet"),
    )
    page = everything(made)
    for unwanted in ("Set-up", "draw_it", "Not answered", "42", "score"):
        assert unwanted not in page
    assert 'alt="A gray square."' in page
    assert "check" in page  # the exercise itself stays


def test_solutions_and_checks_of_a_teacher_need_no_metadata_to_be_left_out():
    folded = (
        "Before.\n\n<details><summary>Solution</summary>\n\n```python\nx = 42\n```\n\n</details>"
    )
    made = deck(
        text(folded),
        text(folded.replace("\n</details>", "")),
        code('answer = None\ncheck("02.mine", answer)', "There is no exercise '02.mine'."),
    )
    page = everything(made)
    assert page.count("Before.") == 2 and "answer = " in re.sub("<.*?>", "", page)
    for unwanted in ("Solution", "42", "There is no"):
        assert unwanted not in page


def test_the_answer_comes_on_the_slide_after_the_prediction():
    options = new.new_output("display_data", {"text/plain": "Your prediction:\na) one"})
    made = deck(text("**Prediction.** Which?"), code('predict("02.p1")', options), text("It is b."))
    asked = next(slide for slide in made if "a) one" in shown(slide))
    assert "Which?" in shown(asked) and "predict(" not in shown(asked)
    assert "It is b." not in shown(asked) and "It is b." in shown(made[-1])


def test_a_heading_without_text_keeps_its_slide_and_the_next_text_has_a_heading():
    made = deck(text("## One"), text("### Part\n\nB."), code('predict("02.p1")'), text("C."))
    titles = [re.sub("<.*?>", "", slide.title) for slide in made]
    assert titles == ["02 Small", "One", "Part", "Part"]


def test_metadata_overrules():
    made = deck(
        text("Stays."),
        text("Away.", **slide_type("skip")),
        text("Said aloud.", **slide_type("notes")),
        text("Later.", **slide_type("fragment")),
        text("Next column.", **slide_type("slide")),
        text("Below.", **slide_type("subslide")),
    )
    assert [slide.column for slide in made] == [True, True, False]
    assert "Away" not in everything(made) and "Said" not in everything(made)
    assert "Said aloud." in "".join(made[0].notes)
    assert made[0].blocks[-1] == '<div class="fragment"><p>Later.</p></div>'
    assert "fragment" not in made[0].blocks[0]
    assert "Next column." in shown(made[1]) and "Below." in shown(made[2])


@pytest.mark.parametrize("path", notebooks.find_notebooks(), ids=lambda path: path.stem)
def test_every_formula_of_the_course_is_known(path):
    """A command that the converter does not know stays in the text with its backslash."""
    page = slides.page_of(notebooks.read(path))
    formulas = re.findall(r"<math.*?</math>", page, re.S)
    assert [found for found in formulas if "\\" in found] == []
    assert "$" not in re.sub("<pre>.*?</pre>|<code>.*?</code>", "", page, flags=re.S)
    assert "\\" in slides.formula("\\nosuch{x}")


def test_the_line_for_a_page_without_live_controls_is_not_on_slides():
    line = '<small class="gnet-asleep">No live controls here? Run this cell again.</small>'
    asleep = new.new_output("display_data", {"text/html": line})
    options = new.new_output("display_data", {"text/plain": "Your prediction:\na) one"})
    page = everything(deck(code("explore()", figure(), asleep), code("predict()", options, asleep)))
    assert "A gray square." in page and "a) one" in page
    assert "gnet-asleep" not in page and "live controls" not in page


def test_dollars_in_code_are_no_formulas():
    page = everything(deck(text("`$a$` and $k^2$ cost")))
    assert "<code>$a$</code>" in page
    assert page.count("<math") == 1 and "<msup><mi>k</mi><mn>2</mn></msup>" in page


def test_links_within_the_course_become_text():
    page = everything(
        deck(text("See [**channel**](00_start_here.ipynb#channel), [P](https://a.b)"))
    )
    assert "00_start_here" not in page and "<strong>channel</strong>" in page
    assert 'href="https://a.b"' in page


def test_the_folder_is_complete_and_lists_its_decks(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(slides.make_slides, "__defaults__", (tmp_path / "slides",))
    assert cli.main(["slides", "00"]) == 0
    (page,) = (tmp_path / "slides").glob("0*.html")
    needed = re.findall(r'(?:src|href)="(?!data:|https?:)([^"]+)"', page.read_text())
    assert sorted(needed) == [
        f"reveal/{name}" for name in ("deck.css", "deck.js", "reveal.css", "reveal.js")
    ]
    assert all((page.parent / name).is_file() for name in needed)
    assert (page.parent / "reveal" / "LICENSE").is_file()
    assert f'href="{page.name}">00 ' in (page.parent / "index.html").read_text()
    assert "index.html" in capsys.readouterr().out

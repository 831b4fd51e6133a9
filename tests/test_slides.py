"""Slides by rule from cells: what starts a slide, what is left out, what is divided."""

import base64
import io
import re

import nbformat
import pytest
from PIL import Image

from gnet_utils.base import CourseError
from gnet_utils.course import commands as cli
from gnet_utils.course import notebooks, slides, teaching

new = nbformat.v4


def deck(*cells, title: str = "# 02 Small\n\nA promise.") -> list[slides.Slide]:
    notebook = new.new_notebook(cells=[new.new_markdown_cell(title), *cells])
    return list(slides.slides_of(teaching.pieces(notebook)))


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
        code("figure = plot_it()\nx = 1", "printed"),
        code("hidden()", "found", jupyter={"source_hidden": True}),
        code("from a import (\n    b,\n)\nimport c\n\nuse(b)", "used"),
        code('class Stub: ...\n\n\nanswer = None\ncheck("02.a", answer)', "Not answered yet."),
        text("<details>```python\nanswer = 42\n```</details>", solution="02.a"),
        code('score("02")', "No prediction made yet"),
    )
    page = re.sub("</?span.*?>", "", everything(made))
    for unwanted in ("Set-up", "draw_it", "plot_it", "hidden", "import", "Not answered", "check"):
        assert unwanted not in page
    assert "42" not in page and "score" not in page
    assert 'alt="A gray square."' in page
    for wanted in ("x = 1", "printed", "found", "use(b)", "used", "class Stub: ..."):
        assert wanted in page


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
    assert page.count("Before.") == 2
    for unwanted in ("Solution", "42", "There is no"):
        assert unwanted not in page


def test_a_magic_of_a_teacher_stays_as_it_is():
    assert "%time x()" in re.sub("<.*?>", "", everything(deck(code("%time x()", "1 s"))))


def vote(name: str, *options: str) -> dict:
    """The cell of a prediction as stored."""
    shown = "".join(f"<li>{option}</li>" for option in options)
    page = f'<p>Your prediction:</p><ul style="list-style: none">{shown}</ul>'
    output = new.new_output("display_data", {"text/html": page, "text/plain": "Your prediction:"})
    return code(f'predict("{name}")', output)


def test_the_options_of_each_stored_prediction_are_set_as_a_vote(tmp_path):
    for path in notebooks.find_notebooks():
        asked = [
            c
            for c in notebooks.code_cells(notebooks.read(path))
            if "\npredict(" in f"\n{c['source']}"
        ]
        (made,) = slides.make_slides([path], tmp_path)
        assert made.read_text("utf-8").count('<ul class="vote"') == len(asked), path.stem


def test_a_question_stays_with_its_options_and_the_answer_comes_on_the_next_slide():
    made = deck(text("A.\n\n**Prediction.** Which?"), vote("02.p1", "one"), text("It is b."))
    asked = next(slide for slide in made if "one" in shown(slide))
    together = asked.blocks[-1]
    assert (
        "Which?" in together
        and '<ul class="vote" style="list-style: none"><li>one</li></ul>' in together
    )
    assert "predict(" not in shown(asked) and "Your prediction" not in shown(asked)
    assert "It is b." not in shown(asked) and "It is b." in shown(made[-1])


def test_no_heading_stands_alone_and_what_goes_on_has_one():
    made = deck(text("## One"), text("### Part\n\nB."), vote("02.p1", "c"), text("C.\n\n## End"))
    titles = [re.sub("<.*?>", "", slide.title) for slide in made]
    assert titles == ["02 Small", "One Part", "One Part"]
    assert made[1].column and "<small>One</small>" in made[1].title


def test_where_hints_are_is_not_said_on_slides():
    page = everything(deck(text('Repair it. `hint("02.a")` helps, three times. Then run it.')))
    assert "hint" not in page and "helps" not in page
    assert "Repair it." in page and "Then run it." in page


# Cuts -------------------------------------------------------------------------------------------

LESSON = new.new_notebook(
    cells=[
        new.new_markdown_cell("# 02 Small\n\nA promise."),
        text("## One\n\nFirst.\n\n**Prediction.** Which?"),
        vote("02.p1", "a", "b"),
        text("It is b.\n\n### Exercise 2.1: count\n\nCount it."),
        code('answer = None\ncheck("02.a", answer)', exercise="02.a"),
        text("<details>42</details>", solution="02.a"),
        text("Goes on.\n\n### More\n\nDeep."),
        text("## Two\n\nSecond.\n\n### Last\n\nOnly this."),
        text("## Three\n\nThird.\n\n## At home\n\nRead."),
    ]
)
SECTIONS = """| section | 45 | 90 | what to do |
|---|---|---|---|
| the picture | 5 | 10 | which? |
| *One* | 30 | 40 | vote p1; 90: Exercise 2.1, then *More* |
| *Two* | 10 | 20 | 45: only the picture, *Last*; 90: all |
| *Three* | – | 20 | read |
"""
ANSWERS = """| where | likely wrong answer | what to say |
|---|---|---|
| `02.p1` | it is a | a is `small` |
| Exercise 2.1 `02.a` | 41 | one more |
| the picture | too red | no |
"""


@pytest.fixture
def page_with(tmp_path, monkeypatch):
    """Writes the teacher's page of LESSON with these tables; returns it as read."""
    (tmp_path / "teaching").mkdir()
    monkeypatch.setattr(teaching, "NOTEBOOKS", tmp_path)

    def write(sections: str = SECTIONS, answers: str = ANSWERS) -> teaching.Page:
        page = tmp_path / "teaching" / "02.md"
        page.write_text(f"# 02 Small\n\n{sections}\nAsk: What?\n\n{answers}", encoding="utf-8")
        return teaching.Page("02", LESSON)

    return write


def cut_deck(page: teaching.Page, cut: str | None) -> list[slides.Slide]:
    return slides.slides_of(page.taught(LESSON, cut)[0])


def test_what_a_cut_leaves_out_is_not_in_the_deck(page_with):
    page = page_with()
    short = everything(cut_deck(page, "45"))
    for there in ("A promise.", "First.", "Which?", "It is b.", "Goes on.", "Only this."):
        assert there in short
    for away in ("Count it.", "Deep.", "Second.", "Third.", "Read."):
        assert away not in short
    long = everything(cut_deck(page, "90"))
    for there in ("Count it.", "Deep.", "Second.", "Only this.", "Third."):
        assert there in long
    assert "Read." not in long and "Read." in everything(cut_deck(page, None))
    dropped = ["Exercise 2.1: count", "More", "Two", "Three", "At home"]
    assert page.taught(LESSON, "45")[1] == dropped and page.taught(LESSON, None)[1] == []


def test_a_vote_for_90_minutes_alone_goes_with_its_answer(page_with):
    page = page_with(SECTIONS.replace("vote p1; 90:", "90: vote p1,"))
    made = everything(cut_deck(page, "45"))
    assert "First." in made and "Which?" not in made and "It is b." not in made


def test_notes_stand_where_the_question_stands(page_with):
    made = cut_deck(page_with(SECTIONS.replace("90: Exercise 2.1", "Exercise 2.1")), "45")
    notes = {
        name: re.sub("<.*?>", "", "|".join(slide.notes))
        for slide in made
        for name in ("A promise.", "Which?", "It is b.", "Count it.")
        if name in shown(slide)
    }
    assert notes["A promise."] == "the picture: 5 minutes, 0 to 5 of 45|which?"
    assert notes["Which?"] == (
        "One: 30 minutes, 5 to 35 of 45|vote p1; Exercise 2.1, then More|Prediction. Which?"
        "|Likely wrong: it is a|What to say: a is small"
    )
    assert notes["It is b."] == "One: 30 minutes, 5 to 35 of 45"
    assert "Exercise 2.1: count|Likely wrong: 41|What to say: one more" in notes["Count it."]


def test_without_a_cut_notes_have_the_minutes_of_both(page_with):
    made = cut_deck(page_with(), None)
    assert "5 of 45 or 10 of 90 minutes" in "".join(made[0].notes)
    assert any("</strong>: 20 of 90 minutes" in "".join(slide.notes) for slide in made)


def test_the_deck_of_a_cut_begins_with_its_plan(page_with):
    page, _ = slides.page_of(LESSON, page_with(), "45")
    first = re.sub("<.*?>", " ", page.split("<section>")[2]).split()
    assert " ".join(first) == (
        "02 Small: 45 minutes from section minutes 0 the picture 5 5 One 30 35 Two 10"
    )


@pytest.mark.parametrize(
    "old, new_text, said",
    [
        ("| 30 |", "| half |", 'row "*One*": "half" in column 45'),
        ("| *Three* | – |", "| *Three* |", 'row "*Three*": it has 3 cells, and its table has 4'),
        ("*Three*", "*Thre*", 'row "*Thre*": the notebook has no heading "Thre"'),
        ("*More*", "*Moer*", 'the notebook has no heading "Moer"'),
        ("| section |", "| part |", "has no table that begins with | section | 45 | 90 |"),
        ("`02.p1`", "`02.p9`", 'row "`02.p9`": this is no prediction or exercise'),
        ("| the picture | too", "| the photo | too", 'row "the photo": this is no prediction'),
    ],
)
def test_a_page_that_cannot_be_read_is_one_sentence_with_file_and_row(
    page_with, old, new_text, said
):
    with pytest.raises(CourseError) as error:
        page_with(SECTIONS.replace(old, new_text), ANSWERS.replace(old, new_text))
    assert str(error.value).startswith("notebooks/teaching/02.md") and said in str(error.value)


@pytest.mark.parametrize("cut", teaching.CUTS)
@pytest.mark.parametrize("path", notebooks.find_notebooks(), ids=lambda path: path.stem[:2])
def test_every_answer_of_a_lesson_is_on_some_slide_of_its_cut(path, cut):
    notebook = notebooks.read(path)
    page = teaching.Page(path.stem[:2], notebook)
    cells, dropped = page.taught(notebook, cut)
    asked = [cell["metadata"]["asks"] for cell in cells]
    said = "".join("".join(slide.notes) for slide in slides.slides_of(cells))
    every = {cell["metadata"]["asks"] for cell in teaching.pieces(notebook)}
    expected = [name for name in page.answers if name in asked or name not in every]
    assert expected and said.count("What to say:") == len(expected)
    shown_titles = {cell["metadata"]["title"] for cell in cells}
    assert {section.title for section, _ in page.plan(cut)} <= {*shown_titles, *dropped, ""}


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
    page, _ = slides.page_of(notebooks.read(path))
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
    monkeypatch.setattr(slides.make_slides, "__defaults__", (tmp_path / "slides", None))
    assert cli.main(["slides", "00"]) == 0
    (page,) = (tmp_path / "slides").glob("0*.html")
    needed = re.findall(r'(?:src|href)="(?!data:|https?:)([^"]+)"', page.read_text())
    assert sorted(needed) == [
        f"reveal/{name}" for name in ("deck.css", "deck.js", "notes.js", "reveal.css", "reveal.js")
    ]
    assert all((page.parent / name).is_file() for name in needed)
    assert (page.parent / "reveal" / "LICENSE").is_file()
    assert f'href="{page.name}">00 ' in (page.parent / "index.html").read_text()
    assert "index.html" in capsys.readouterr().out
    assert cli.main(["slides", "00", "--cut", "45"]) == 0
    index = (page.parent / "index.html").read_text()
    assert f'href="{page.name}"' in index and f'href="{page.stem}_45.html"' in index
    assert "Not in 00_start_here_45.html: Words you will meet" in capsys.readouterr().out


def test_a_cut_needs_the_teachers_page_and_slides_do_not(tmp_path, monkeypatch):
    monkeypatch.setattr(teaching, "NOTEBOOKS", tmp_path)
    paths = notebooks.find_notebooks(["00"])
    assert len(slides.make_slides(paths, tmp_path)) == 1
    with pytest.raises(CourseError, match=r"no notebooks/teaching/00.md.*leave out --cut"):
        slides.make_slides(paths, tmp_path, "90")

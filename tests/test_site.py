"""The site, at unit size: verdicts without answers, folds, explorers' states; one lesson built.

What needs a browser is in tests/browser/test_site_in_browser.py.
"""

import errno
import importlib
import importlib.util
import json
import re

import nbformat
import pytest

from gnet_utils.base import CourseError
from gnet_utils.course import site
from gnet_utils.course.notebooks import as_rendered, find_notebooks
from gnet_utils.course.site import answers, frames, pages
from gnet_utils.exercises import exercises_of, number, predictions_of
from gnet_utils.plotting import pixels_of

LESSONS = {path.stem[:2]: path for path in find_notebooks()}
SPHINX = all(map(importlib.util.find_spec, ("sphinx", "myst_nb", "furo", "sphinx_copybutton")))


def opened(key: str, sealed: str) -> str:
    """What was sealed, read with the key: sealing twice gives the text back."""
    import base64

    content = base64.b64decode(sealed)
    stream = (answers.hashed(f"{key}|{place}") >> 11 & 255 for place in range(len(content)))
    return bytes(map(int.__xor__, content, stream)).decode()


# Answers ------------------------------------------------------------------------------------------


def test_a_sealed_text_opens_with_its_key_and_with_no_other():
    sealed = answers.seal("02.budget|3|28000", "Right: größer")
    assert opened("02.budget|3|28000", sealed) == "Right: größer"
    assert b"Right" not in sealed.encode()
    with pytest.raises(UnicodeDecodeError):
        print(opened("02.budget|3|29000", sealed))


def test_a_number_opens_its_verdict_and_the_table_says_no_number():
    exercise = number(28, mistakes={29: "that is rounded up."}, hints=["a"], right="it is 28.")
    table = answers.number_table("99.x", exercise)

    def verdict(value: float) -> str | None:
        key = f"99.x|3|{round(value * 1000)}"
        if (sealed := table["verdicts"].get(answers.name_of(key))) is None:
            return None
        place, lock = opened(key, sealed).split(" ")
        return opened(lock, table["texts"][int(place)])

    assert [verdict(v) for v in (28, 29, 30)] == ["Right: it is 28.", "that is rounded up.", None]
    assert "28" not in re.findall(r"\b\d+\b", json.dumps(table).replace(str(table["level"]), ""))


def test_the_scale_tells_smaller_from_larger_on_both_sides_of_zero():
    numbers = [-300, -3, -1e-9, 2e-3, 0.0094, 3.6, 28, 16_777_216]
    levels = [answers.level(value) for value in numbers]
    assert levels == sorted(set(levels))


# Pages --------------------------------------------------------------------------------------------


def notebook(*cells: tuple[str, str]) -> dict:
    kinds = {"text": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    return nbformat.v4.new_notebook(cells=[kinds[kind](source) for kind, source in cells])


def sources(*cells: tuple[str, str]) -> list[str]:
    divided = list(pages.divided(notebook(*cells)["cells"]))
    return [cell["source"] for cell in pages.fold_answers(divided)]


def test_the_fold_reaches_from_the_last_heading_to_the_answer():
    found = sources(
        ("code", 'predict("02.p1")'),
        ("text", "Not the answer.\n\n## Next\n\nA question."),
        ("code", "print(1)"),
        ("text", "It is (c), 42%.\n\n### After\n\nMore."),
    )
    fold = next(i for i, source in enumerate(found) if 'data-prediction="02.p1"' in source)
    end = next(i for i, source in enumerate(found) if "</div>" in source)
    assert found[fold - 1].startswith("## Next")
    assert found[fold + 1 : end] == ["print(1)", "It is (c), 42%.\n"]
    assert found[end + 1].startswith("### After")


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_prediction_of_a_lesson_has_its_fold(lesson):
    cells = as_rendered(LESSONS[lesson])["cells"]
    html = "\n".join(cell["source"] for cell in pages.fold_answers(list(pages.divided(cells))))
    assert re.findall(r'data-prediction="([\w.]+)"', html) == list(predictions_of(lesson))
    for fold in re.findall(r'data-prediction="[\w.]+">(.*?)</div>', html, re.DOTALL):
        assert not re.search(r"^#+ ", fold, re.MULTILINE), "a heading would end the fold"


@pytest.mark.parametrize("name", [n for lesson in LESSONS for n in exercises_of(lesson)])
def test_an_exercise_stands_on_its_page_without_its_texts(name):
    exercise = exercises_of(name[:2])[name]
    html = pages.field(name) if exercise.value is not None else pages.in_notebook(name)
    for text in (exercise.right, *exercise.hints, *exercise.mistakes.values()):
        assert text not in html and json.dumps(text)[1:-1] not in html


def test_a_prediction_stands_on_its_page_without_its_answer():
    html = pages.prediction("02.p1")
    assert all(option in html for option in predictions_of("02")["02.p1"].options)
    assert predictions_of("02")["02.p1"].because not in html


def test_links_of_the_map_lead_to_pages(tmp_path):
    cells = [cell for cell in as_rendered(LESSONS["00"])["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in cells for output in cell["outputs"]]
    (shown,) = [o for o in outputs if "<li style" in o.get("data", {}).get("text/html", "")]
    pages._page_output(shown, tmp_path)
    links = re.findall(r'href="\d\d_\w+\.(\w+)"', shown["data"]["text/html"])
    assert links == ["html"] * 14


def test_links_between_lessons_lead_to_pages():
    text = "See [**MACs**](00_start_here.ipynb#mac), [x](https://x.org/a.ipynb)."
    assert pages.LESSON.sub(pages.link, text) == (
        'See <a href="00_start_here.html#mac">**MACs**</a>, [x](https://x.org/a.ipynb).'
    )


def test_the_first_use_of_a_word_leads_to_the_glossary_and_code_stays_as_it_is():
    words = pages.glossary(as_rendered(LESSONS["00"]))
    assert len(words) >= 16 and words["feature map"] == "map"
    link = '<a href="00_start_here.html#stride">{}</a>'.format
    cells = notebook(
        ("text", "## A stride\n\nUse `stride` and $stride$, [stride](x), **strides**. A stride."),
        ("code", "stride = 2"),
        ("text", "One more stride; see [MACs](00_start_here.ipynb#mac) and the MAC."),
        ("text", "Heads branch off."),
    )["cells"]
    pages.link_words(cells, {"stride": "stride", "MAC": "mac", "branch": "branch"})
    assert [cell["source"] for cell in cells] == [
        f"## A stride\n\nUse `stride` and $stride$, [stride](x), **{link('strides')}**. A stride.",
        "stride = 2",
        "One more stride; see [MACs](00_start_here.ipynb#mac) and the MAC.",
        "Heads branch off.",
    ]


def test_a_badge_becomes_a_link_and_no_picture_of_another_host():
    badge = "[![Open in Colab](https://colab.x/badge.svg)](https://colab.x/github/a/b)"
    made = notebook(("text", f"# 02 Title\n\n{badge}\n\n**About.**"))
    page = pages.page_of(made, "02_x", None, (), {})
    text = page["cells"][0]["source"]
    assert "badge.svg" not in text and '<a href="https://colab.x/github/a/b">' in text
    assert pages.title_of(made) == ("02 Title", "About.")


# Explorers ----------------------------------------------------------------------------------------


def test_every_explorer_of_the_course_is_drawn_ahead():
    explored = {
        lesson
        for lesson, path in LESSONS.items()
        if any(frames.EXPLORES.search(cell["source"]) for cell in as_rendered(path)["cells"])
    }
    assert explored == set(frames.GRIDS)


@pytest.mark.parametrize("lesson", ["01", "02", "03", "07", "08"])  # the others read the data set
def test_at_most_500_pictures_hold_all_choices_and_the_start(lesson):
    states = [s for block in frames.blocks_of(lesson) for s in frames.states_of(block)]
    drawn = {repr(frames.GRIDS[lesson].alike(state)) for state in states}
    assert len(drawn) <= 500
    explorer = frames.explorer_of(lesson)
    for name, control in explorer.controls.items():
        seen = {repr(state[name]) for state in states}
        start = control.value if frames.kind_of(control) else None
        assert repr(start) in seen
        options = {"choice": frames.texts_of(control), "switch": (True, False)}
        assert {repr(v) for v in options.get(frames.kind_of(control), ())} <= seen


def test_states_drawn_as_one_look_the_same():
    state = frames.start_of("03")
    state |= {"use_5x5": False, "reduce_5x5": 64}
    draw, alike = frames.explorer_of("03").draw, frames.GRIDS["03"].alike
    assert alike(state) != state
    assert (pixels_of(draw(**state)) == pixels_of(draw(**alike(state)))).all()
    wider = state | {"use_5x5": True}
    assert alike(wider) == wider


def test_a_state_is_drawn_to_the_same_bytes_twice_and_a_refusal_is_its_sentence(
    tmp_path, monkeypatch
):
    state = frames.start_of("03")
    switches = {name: False for name in state if name.startswith("use_")}
    found = []
    for place in (tmp_path / "one", tmp_path / "two"):
        monkeypatch.setattr(frames, "cache_folder", lambda place=place: place)
        frames.draw("03", [state, state | switches])
        found.append(frames.kept("03", state))
        refusal = frames.kept("03", state | switches)
    assert found[0] == found[1] and found[0][4:12] == b"ftypavif"
    assert refusal == frames.REFUSED + b"a block needs a branch, got none: switch one on"


@pytest.fixture
def build(monkeypatch):
    """The module that makes the site, without the page of the network: that has its own tests."""
    if not SPHINX:
        pytest.skip("`python -m gnet_utils site` installs what this needs")
    module = importlib.import_module("gnet_utils.course.site.build")
    monkeypatch.setattr(module, "_write_network", lambda source, html: False)
    return module


# The whole ----------------------------------------------------------------------------------------


def test_a_site_of_one_lesson_is_built_and_takes_the_place_of_the_old_one(build, tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "searchindex.js").touch()  # of an older one
    (folder / "old.html").touch()
    index = build.make_site(folder, ["10"])
    assert index == folder / "index.html"
    page = (folder / "10_after_inception.html").read_text(encoding="utf-8")
    assert page.count('class="held"') == 4 and "<math" in page
    assert not (folder / "old.html").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_folder_that_is_no_site_stays_as_it_is(build, tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(CourseError, match="is no site of this course"):
        build.make_site(tmp_path, ["11"])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_full_disk_leaves_the_old_site_and_nothing_half_written(build, tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "searchindex.js").write_text("old")

    def fill(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(build, "_run_sphinx", fill)
    with pytest.raises(OSError, match="No space"):
        build.make_site(folder, ["11"])
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    assert (folder / "searchindex.js").read_text() == "old"


def test_a_lesson_that_was_never_executed_is_one_sentence(build, tmp_path, monkeypatch):
    empty = notebook(("text", "# 11 Title"), ("code", "print(1)"))
    monkeypatch.setattr(build, "as_rendered", lambda path: empty)
    with pytest.raises(CourseError, match="has no outputs: python -m gnet_utils render 11"):
        build.make_site(tmp_path / "site", ["11"])
    assert list(tmp_path.iterdir()) == []


def test_the_workflow_is_written_once_and_never_over_another_one(tmp_path, monkeypatch):
    monkeypatch.setattr(site, "ROOT", tmp_path)
    assert "deploy-pages" in site.workflow().read_text(encoding="utf-8")
    with pytest.raises(CourseError, match=r"site\.yml exists"):
        site.workflow()

"""The shell of every explorer: controls move, the picture follows, bad input is said inside it."""

import datetime
import gc
import io
import threading
import time
import weakref

import ipywidgets
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from gnet_utils import memory, widgets
from gnet_utils.exercises import Prediction


@pytest.fixture
def shown(monkeypatch):
    """What was displayed: a list of (bundle, metadata)."""
    seen = []
    monkeypatch.setattr(
        widgets, "display", lambda bundle, raw, metadata: seen.append((bundle, metadata))
    )
    return seen


def bar(height: float, file=None) -> Figure:
    if height > 9:
        raise ValueError("height must be at most 9, got <ten>: lower it")
    figure = Figure(figsize=(2, 1))
    figure.subplots().bar([0], [height if file is None else file.mean()])
    return figure


def box_of(shown) -> ipywidgets.VBox:
    """The controls displayed last; the line for a page without a kernel comes after them."""
    model = shown[-2][0]["application/vnd.jupyter.widget-view+json"]["model_id"]
    return widgets_by_id()[model]


def widgets_by_id() -> dict:
    registry = getattr(ipywidgets.widgets.widget, "_instances", None)
    return registry if registry is not None else ipywidgets.Widget.widgets


def part(box, kind):
    return next(child for child in box.children if isinstance(child, kind))


def test_the_picture_follows_a_control_and_the_page_gets_a_still_picture(shown):
    height = widgets.slider("height", 3, 0, 20)
    widgets.explore(bar, "a bar", {"height": height})
    bundle, metadata = shown[0]
    assert bundle["text/plain"] == "a bar" and metadata["image/png"]["alt"] == "a bar"
    assert bundle["image/png"].startswith("iVBOR")
    assert "Run this cell again" in shown[1][0]["text/html"]
    picture = part(box_of(shown), ipywidgets.Image)
    before = picture.value
    height.value = 5
    assert picture.value != before and bytes(picture.value).startswith(b"\x89PNG")


def test_a_figure_is_freed_at_once_and_the_search_for_garbage_is_left_as_it_was(shown):
    made = []

    def draw(height: float) -> Figure:
        figure = bar(height)
        made.append((weakref.ref(figure), gc.isenabled()))
        return figure

    height = widgets.slider("height", 2, 1, 10)
    widgets.explore(draw, "a bar", {"height": height})
    for automatic in (gc.disable, gc.enable):
        automatic()
        before = gc.isenabled()
        height.value += 1
        assert gc.isenabled() == before
    assert [figure() for figure, _ in made] == [None] * 3
    assert not any(searched for _, searched in made)


def test_what_one_explorer_has_put_aside_is_found_as_garbage_by_the_next(shown):
    class Ring:
        def __init__(self):
            self.own = self

    ring = Ring()
    gone = weakref.ref(ring)
    widgets.explore(bar, "a bar", {"height": widgets.slider("height", 2, 1, 10)})
    del ring
    widgets.explore(bar, "a bar", {"height": widgets.slider("height", 2, 1, 10)})
    assert gone() is None


def test_a_bad_value_is_said_in_place_of_the_picture_which_belonged_to_another(shown):
    height = widgets.slider("height", 3, 0, 20)
    widgets.explore(bar, "a bar", {"height": height})
    picture, message = part(box_of(shown), ipywidgets.Image), part(box_of(shown), ipywidgets.HTML)
    before = picture.value
    height.value = 10
    assert "at most 9, got &lt;ten&gt;" in message.value and picture.layout.visibility == "hidden"
    height.value = 4
    assert message.value == "" and picture.layout.visibility == "visible"
    assert picture.value != before


def test_a_preset_sets_all_its_controls_and_draws_once(shown):
    drawn = []

    def draw(a, b):
        drawn.append((a, b))
        return bar(a)

    controls = {"a": widgets.slider("a", 1, 0, 9), "b": widgets.slider("b", 1, 0, 9)}
    widgets.explore(draw, "two", controls, presets={"large": {"a": 8, "b": 9}})
    button = box_of(shown).children[0].children[0]
    button.click()
    assert drawn == [(1, 1), (8, 9)]


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "value",
    [
        lambda name, content: ({"name": name, "content": memoryview(content)},),
        lambda name, content: {name: {"metadata": {"name": name}, "content": content}},
    ],
    ids=["ipywidgets 8", "ipywidgets 7"],
)
def test_uploads_of_both_widget_generations_arrive_as_rgb(value):
    red = np.zeros((4, 5, 3), np.uint8)
    red[..., 0] = 200

    class Upload(ipywidgets.FileUpload):
        value = None

    control = Upload()
    control.value = value("red.png", png(red))
    assert np.array_equal(widgets._uploaded(control), red)


def given(name: str, content: bytes) -> tuple:
    """What the browser puts into an upload control."""
    file = {"name": name, "type": "image/png", "size": len(content), "content": content}
    return ({**file, "last_modified": datetime.datetime(2026, 1, 1)},)


def test_an_own_picture_is_taken_once_and_can_be_put_back(shown, monkeypatch):
    decoded = []
    decode = widgets.decode_picture
    monkeypatch.setattr(
        widgets, "decode_picture", lambda *a, **k: decoded.append(1) or decode(*a, **k)
    )
    file, height = widgets.upload(), widgets.slider("height", 3, 0, 20)
    widgets.explore(bar, "a bar", {"height": height, "file": file})
    picture = part(box_of(shown), ipywidgets.Image)
    built_in = picture.value
    file.value = given("gray.png", png(np.full((4, 5, 3), 7, np.uint8)))
    own = picture.value
    assert own != built_in and len(file.value) == 1, "the button counts it: Own picture (1)"
    assert file.value[0]["content"] == b"", "its content would be saved with the notebook"
    height.value = 5
    assert picture.value == own and len(decoded) == 1
    box_of(shown).children[0].children[-1].click()
    height.value = 3
    assert picture.value == built_in and file.value == ()


def test_controls_that_an_own_picture_replaces_rest_and_a_line_says_so(shown):
    file, number = widgets.upload(), widgets.slider("test picture", 3, 0, 20)
    controls = {"height": number, "file": file}
    widgets.explore(bar, "a bar", controls, replaced=["height"])
    message, back = part(box_of(shown), ipywidgets.HTML), box_of(shown).children[0].children[-1]
    assert back.disabled and not number.disabled and message.value == ""
    file.value = given("gray.png", png(np.full((4, 5, 3), 7, np.uint8)))
    assert not back.disabled and number.disabled
    assert "Your own picture" in message.value and '"test picture" can be chosen' in message.value
    back.click()
    assert back.disabled and not number.disabled and message.value == ""


def test_what_is_drawn_takes_the_place_of_an_own_picture(shown):
    file, sheet, drawn = widgets.upload(), widgets.choice("sheet", ["", "a shoe"]), []

    def draw(file, sheet):
        drawn.append("a file" if file is not None else sheet)
        return bar(3)

    widgets.explore(draw, "a bar", {"file": file, "sheet": sheet}, instead=["sheet"])
    for _ in range(2):
        sheet.value = "a shoe"
        file.value = given("gray.png", png(np.full((4, 5, 3), 99, np.uint8)))
        sheet.value = ""  # an empty sheet has nothing to show
    again, back = box_of(shown).children[0].children
    assert drawn == ["", "a shoe", "a file", "a file", "a shoe", "a file", "a file"]
    assert not back.disabled
    again.click()
    assert drawn[7:] == [""] and back.disabled


def test_the_result_for_another_picture_does_not_stay_under_a_refused_one(shown):
    file, height = widgets.upload(), widgets.slider("height", 3, 0, 20)

    def draw(height, file):
        if file is not None and file.mean() == 0:
            raise ValueError("nothing stands out")
        return bar(height)

    code = "a line of code: {height}, {file}".format
    widgets.explore(draw, "a bar", {"height": height, "file": file}, code=code)
    picture, message = part(box_of(shown), ipywidgets.Image), part(box_of(shown), ipywidgets.HTML)
    line = box_of(shown).children[-1]
    black = given("black.png", png(np.zeros((4, 5, 3), np.uint8)))
    for refused in (given("no.png", b"not a picture"), black):
        file.value = refused
        assert message.value.startswith("<b") and picture.layout.visibility == "hidden"
        assert line.value == "" and file.value == ()
        height.value += 1  # the course's own picture
        assert message.value == "" and picture.layout.visibility == "visible"
        assert "a line of code" in line.value


def test_reset_brings_the_picture_back_that_a_refused_file_has_hidden(shown):
    file, height = widgets.upload(), widgets.slider("height", 3, 0, 20)
    widgets.explore(bar, "a bar", {"height": height, "file": file})
    picture, message = part(box_of(shown), ipywidgets.Image), part(box_of(shown), ipywidgets.HTML)
    for button in box_of(shown).children[0].children:  # reset, without own picture
        file.value = given("no.png", b"not a picture")
        assert picture.layout.visibility == "hidden"
        button.click()
        assert picture.layout.visibility == "visible" and message.value == ""


def test_reset_draws_once_also_where_a_picture_can_be_uploaded(shown):
    file, height = widgets.upload(), widgets.slider("height", 3, 0, 20)
    drawn = []

    def draw(height, file):
        drawn.append((height, file is None))
        return bar(height)

    widgets.explore(draw, "a bar", {"height": height, "file": file})
    file.value, height.value = given("gray.png", png(np.full((4, 5, 3), 99, np.uint8))), 5
    del drawn[:]
    again, _ = box_of(shown).children[0].children
    again.click()
    assert drawn == [(3, True)]


def test_a_preset_stays_exact_when_the_page_sends_back_what_it_has_rounded(shown):
    weight, drawn = widgets.slider("weight", 1.0, -1.0, 2.0, 0.01), []

    def draw(weight):
        drawn.append(weight)
        return bar(weight)

    widgets.explore(draw, "a bar", {"weight": weight}, presets={"luma": {"weight": 0.2989}})
    preset, again = box_of(shown).children[0].children
    preset.click()
    weight.value = 0.3  # as JupyterLab does for a slider that follows the hand
    again.click()
    weight.value = 0.9999999999999998
    assert drawn == [1.0, 0.2989, 1.0]
    weight.value = 0.99  # by hand
    weight.value = 1.0
    assert drawn[3:] == [0.99, 1.0]
    weight.value = 0.3
    assert drawn[5:] == [0.3]


def test_two_controls_that_speak_at_once_draw_one_after_the_other(shown):
    names, inside, most = ("left", "right"), [], []

    def draw(left, right):
        inside.append((left, right))
        most.append(len(inside))
        time.sleep(0.05)
        inside.pop()
        return bar(left + right)

    controls = {name: widgets.slider(name, 0, 0, 9) for name in names}
    widgets.explore(draw, "a bar", controls)

    def move(name):
        for value in (1, 2, 3):
            controls[name].value = value

    threads = [threading.Thread(target=move, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert part(box_of(shown), ipywidgets.Image).value == widgets.to_png(bar(6))


def test_a_broken_upload_is_said_inside_the_widget_which_goes_on(shown):
    file, height = widgets.upload(), widgets.slider("height", 3, 0, 20)
    widgets.explore(bar, "a bar", {"height": height, "file": file})
    picture, message = part(box_of(shown), ipywidgets.Image), part(box_of(shown), ipywidgets.HTML)
    before = picture.value
    file.value = given("no.png", b"not a picture")
    assert "no.png" in message.value and file.value == ()
    height.value = 5
    assert message.value == "" and picture.value != before


def test_an_explorer_that_cannot_draw_at_all_fails_its_cell(shown):
    height = widgets.slider("height", 10, 0, 20)
    with pytest.raises(ValueError, match="height must be at most 9, got"):
        widgets.explore(bar, "a bar", {"height": height})
    assert shown == []


def test_the_line_of_code_under_the_picture_follows_the_controls(shown):
    height = widgets.slider("height", 3, 0, 20)
    widgets.explore(bar, "a bar", {"height": height}, code=lambda height: f"nn.Bar({height}) < 1")
    line = box_of(shown).children[-1]
    assert line.value == "<code>nn.Bar(3) &lt; 1</code>"
    height.value = 4
    assert "nn.Bar(4)" in line.value


@pytest.fixture
def one_prediction(monkeypatch):
    prediction = Prediction(("less", "more"), 1, "It grows.")
    monkeypatch.setattr(widgets, "predictions_of", lambda notebook: {"00.p": prediction})
    monkeypatch.setattr(memory, "_known", None)
    monkeypatch.setattr(memory, "_kept", True)


def test_predictions_are_noted_and_scored_at_the_end(one_prediction, shown, capsys):
    widgets.score("00")
    assert "No prediction made yet, of 1" in capsys.readouterr().out
    widgets.predict("00.p")
    radio, reply = box_of(shown).children
    radio.value = 0
    assert "Noted" in reply.value
    widgets.score("00")
    assert capsys.readouterr().out.splitlines() == [
        "You were right in 0 of 1.",
        "00.p: you said 'less'. It grows.",
    ]
    radio.value = 1
    widgets.score("00")
    assert "right in 1 of 1" in capsys.readouterr().out


def test_a_record_that_cannot_be_written_is_said_beside_the_prediction(
    one_prediction, shown, monkeypatch, tmp_path
):
    """What a callback prints is lost."""
    monkeypatch.setenv("GNET_REMEMBER", "1")
    (tmp_path / "file").touch()
    monkeypatch.setenv("GNET_CACHE_DIR", str(tmp_path / "file" / "folder"))
    widgets.predict("00.p")
    radio, reply = box_of(shown).children
    radio.value = 0
    assert "Noted. Read on" in reply.value and "kept until this kernel ends" in reply.value
    radio.value = 1
    assert "kept until" not in reply.value, "once is enough"


def test_wrong_predictions_are_explained_in_the_order_of_the_notebook(monkeypatch, capsys):
    asked = {f"00.p{n}": Prediction(("less", "more"), 1, f"Reason {n}.") for n in range(9)}
    monkeypatch.setattr(widgets, "predictions_of", lambda notebook: asked)
    said = dict.fromkeys(reversed(asked), "less")
    monkeypatch.setattr(memory, "_known", {"predictions": said, "exercises": {}})
    monkeypatch.setattr(memory, "_kept", False)
    widgets.score("00")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "You were right in 0 of 9."
    assert [line[-2] for line in lines[1:]] == list("012345678")


def test_an_unknown_prediction_is_an_error_so_that_its_cell_fails():
    with pytest.raises(ValueError, match=r"no prediction '00\.unknown'\. Known here: 00\.budget"):
        widgets.predict("00.unknown")
    with pytest.raises(ValueError, match="no predictions in notebook '99'"):
        widgets.score("99")


def test_predictions_not_made_are_not_passed_over(monkeypatch, capsys):
    asked = {f"00.p{n}": Prediction(("less", "more"), 1, "It grows.") for n in range(6)}
    monkeypatch.setattr(widgets, "predictions_of", lambda notebook: asked)
    said = {"00.p0": "more", "00.p1": "more", "00.p2": "less", "00.p3": "less", "00.p4": "gone"}
    monkeypatch.setattr(memory, "_known", {"predictions": said, "exercises": {}})
    monkeypatch.setattr(memory, "_kept", False)
    widgets.score("00")
    said = capsys.readouterr().out.splitlines()[0]
    assert said == "You were right in 2 of 4. 2 of 6 predictions not made yet."

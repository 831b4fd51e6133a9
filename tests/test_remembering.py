"""Predictions and solved exercises survive a restart of the kernel; trouble loses no lesson."""

import json

import pytest

from gnet_utils import memory
from gnet_utils.exercises import check
from gnet_utils.widgets import progress


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own, and what is read and written as in a lesson."""
    monkeypatch.setenv("GNET_REMEMBER", "1")
    monkeypatch.setenv("GNET_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("LOGNAME", "ada")
    restart(monkeypatch)
    return tmp_path


def restart(monkeypatch) -> None:
    monkeypatch.setattr(memory, "_known", None)
    monkeypatch.setattr(memory, "_kept", True)


def test_what_was_noted_is_there_after_a_restart_until_it_is_forgotten(cache, monkeypatch, capsys):
    memory.remember("predictions", "02.p1", "more")
    restart(monkeypatch)
    assert memory.remembered("predictions") == {"02.p1": "more"}
    assert [file.name for file in cache.iterdir()] == ["answers-ada.json"]
    memory.forget()
    assert memory.remembered("predictions") == {} and list(cache.iterdir()) == []
    assert "Forgotten" in capsys.readouterr().out


def note_elsewhere(cache, **kinds: dict) -> None:
    """What the kernel of another notebook writes."""
    record = {"version": memory.VERSION, "predictions": {}, "exercises": {}} | kinds
    (cache / "answers-ada.json").write_text(json.dumps(record))


def test_two_notebooks_at_once_keep_each_others_answers(cache):
    memory.remember("exercises", "03.block", "Not yet")
    note_elsewhere(cache, predictions={"03.p1": "a"}, exercises={"03.block": "right"})
    assert memory.remembered("exercises") == {"03.block": "right"}
    memory.remember("predictions", "02.p1", "b")
    assert memory.remembered("predictions") == {"02.p1": "b", "03.p1": "a"}
    assert memory.remembered("exercises") == {"03.block": "right"}


def test_what_another_notebook_has_forgotten_does_not_come_back(cache):
    memory.remember("exercises", "03.block", "right")
    (cache / "answers-ada.json").unlink()
    memory.remember("predictions", "02.p1", "b")
    assert memory.remembered("exercises") == {}


def test_another_home_folder_is_the_same_learner(cache, monkeypatch):
    memory.remember("predictions", "02.p1", "b")
    monkeypatch.setenv("HOME", str(cache / "gnet-home-x7"))
    assert memory.remembered("predictions") == {"02.p1": "b"}


@pytest.mark.parametrize("content", ['{"version": 99}', "no JSON", "[]", '{"version": 1}'])
def test_a_record_that_cannot_be_used_is_said_once_and_left_alone(cache, content, capsys):
    (cache / "answers-ada.json").write_text(content)
    memory.remember("predictions", "02.p1", "b")
    memory.remember("predictions", "02.p2", "c")
    assert memory.remembered("predictions") == {"02.p1": "b", "02.p2": "c"}
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "answers-ada.json" in said and "forget()" in said
    assert (cache / "answers-ada.json").read_text() == content
    memory.forget()
    memory.remember("predictions", "02.p1", "b")
    assert json.loads((cache / "answers-ada.json").read_text())["predictions"] == {"02.p1": "b"}


def test_a_cache_that_cannot_be_written_is_said_once(cache, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(memory, "written_aside", full)
    memory.remember("exercises", "02.pays", "right")
    memory.remember("exercises", "02.bottleneck", "right")
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "No space left on device" in said
    assert len(memory.remembered("exercises")) == 2


def test_tests_and_render_leave_no_trace(cache, monkeypatch):
    monkeypatch.setenv("GNET_REMEMBER", "0")
    memory.remember("predictions", "02.p1", "more")
    assert list(cache.iterdir()) == []


def test_progress_shows_what_is_right_tried_and_open(cache, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(
        "gnet_utils.widgets.display", lambda bundle, raw, metadata: shown.append(bundle)
    )
    check("00.pixels", 56)
    progress("00")
    check("00.pixels", 784)
    progress("00")
    restart(monkeypatch)
    capsys.readouterr()
    check("00.pixels", None)
    assert "solved it before" in capsys.readouterr().out
    check("00.pixels", 55)  # what was right once stays right
    progress("00")
    assert [each["text/plain"] for each in shown] == ["00: tried", "00: right", "00: right"]
    assert "✓" in shown[1]["text/html"] and "✓" not in shown[0]["text/html"]


def test_a_record_that_cannot_be_deleted_is_one_sentence(cache, monkeypatch, capsys):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(memory.Path, "unlink", refuse)
    memory.forget()
    said = capsys.readouterr().out
    assert "cannot be deleted (Permission denied): delete it by hand" in said
    assert "Forgotten" not in said

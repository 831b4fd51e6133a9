"""Every check of every notebook: known mistakes get their own message, nothing raises or tells."""

import re

import numpy as np
import pytest
import torch

from gnet_utils import exercises
from gnet_utils.exercises import Exercise, as_number, check, exercises_of, hint, number

ALL = {
    name: exercise
    for notebook in range(11)
    for name, exercise in exercises_of(f"{notebook:02}").items()
}
NONSENSE = [
    *("", "text", b"bytes", -1e300, 10**400, float("nan"), True, [], {}, (1, 2, 3), object()),
    *(np.zeros(3), torch.zeros(2, 2), torch.nn.Identity(), print, lambda *a: 1 / 0),
]
every_exercise = pytest.mark.parametrize("name", ALL)


def said(capsys, function, *arguments) -> str:
    function(*arguments)
    return capsys.readouterr().out.strip()


def test_as_many_as_promised():
    counts = [len(exercises_of(f"{notebook:02}")) for notebook in range(1, 11)]
    assert all(3 <= count <= 6 for count in counts), counts
    assert sum(counts) >= 45, counts


@every_exercise
def test_an_unanswered_exercise_says_so(name, capsys):
    assert said(capsys, check, name, None).startswith("Not answered yet")
    assert said(capsys, check, name, ...).startswith("Not answered yet")


@every_exercise
def test_each_known_mistake_gets_its_own_message(name, capsys):
    exercise = ALL[name]
    assert len(exercise.wrong) >= 3, "name at least three typical mistakes"
    messages = []
    for answer, words in exercise.wrong:
        message = said(capsys, check, name, answer)
        assert message.startswith("Not yet"), f"{answer!r} was taken as right"
        assert words in message, f"{answer!r} was told {message!r}"
        messages.append(re.sub(r"^Not yet: [-\d,.e+]*:? ?", "", message))
    assert len(set(messages)) == len(messages), "two mistakes get the same message"


@every_exercise
@pytest.mark.parametrize("answer", NONSENSE, ids=lambda answer: type(answer).__name__)
def test_no_answer_raises_or_passes_by_accident(name, answer, capsys):
    verdict = said(capsys, check, name, answer).splitlines()[-1]  # the answer itself may print
    assert verdict.startswith("Not yet")


@every_exercise
def test_one_to_three_hints_that_differ(name):
    hints = ALL[name].hints
    assert 1 <= len(hints) <= 3 and len(set(hints)) == len(hints)


def test_unknown_names_are_answered_with_the_known_ones(capsys):
    assert "There is no exercise '99.none'" in said(capsys, check, "99.none", 1)
    assert "There is no exercise" in said(capsys, hint, "nonsense")


toy = number(
    12,
    mistakes={7: "added instead of multiplied.", 3: "forgot the 4.", 4: "forgot the 3."},
    hints=["Multiply.", "3 x 4."],
    right="three rows of four.",
)


@pytest.fixture
def toy_course(monkeypatch):
    monkeypatch.setattr(exercises, "exercises_of", lambda notebook: {"00.toy": toy})


@pytest.mark.parametrize(
    "answer", [12, 12.0, "12", "1_2", np.int64(12), torch.tensor(12), torch.tensor([[12.0]]), (12,)]
)
def test_numbers_are_taken_in_every_reasonable_form(answer, toy_course, capsys):
    assert said(capsys, check, "00.toy", answer) == "Right: three rows of four."


def test_wrong_numbers_are_named_or_told_the_direction(toy_course, capsys):
    assert said(capsys, check, "00.toy", 7) == "Not yet: 7: added instead of multiplied."
    assert said(capsys, check, "00.toy", 11.5) == "Not yet: 11.5 is too small."
    assert said(capsys, check, "00.toy", 1000) == "Not yet: 1,000 is too large."


def test_a_forgotten_rounding_is_called_so(toy_course, monkeypatch, capsys):
    assert "12.4: a whole number is asked for" in said(capsys, check, "00.toy", 12.4)
    rough = number(-3, mistakes={}, hints=[], right="", tolerance=0.1)
    monkeypatch.setattr(exercises, "exercises_of", lambda notebook: {"00.rough": rough})
    assert said(capsys, check, "00.rough", -3.4) == "Not yet: -3.4 is too small."


def test_a_mistake_is_known_unrounded_too(toy_course, capsys):
    assert said(capsys, check, "00.toy", 7.4) == "Not yet: 7.4: added instead of multiplied."


def test_a_small_mistake_does_not_catch_its_neighbours(monkeypatch, capsys):
    fine = number(0.35, mistakes={0.002: "the product."}, hints=[], right="", tolerance=0.01)
    monkeypatch.setattr(exercises, "exercises_of", lambda notebook: {"00.fine": fine})
    assert said(capsys, check, "00.fine", 0.00205) == "Not yet: 0.00205: the product."
    assert said(capsys, check, "00.fine", 0.01) == "Not yet: 0.01 is too small."
    assert said(capsys, check, "00.fine", 0.345).startswith("Right")


def test_the_right_number_in_another_unit_is_called_so(monkeypatch, capsys):
    macs = number(44_255_232, mistakes={}, hints=[], right="")
    monkeypatch.setattr(exercises, "exercises_of", lambda notebook: {"00.macs": macs})
    for answer, word in ((44.3, "millions"), (44_255, "thousands")):
        assert f"right in {word}; give the whole number" in said(capsys, check, "00.macs", answer)
    assert "too small" in said(capsys, check, "00.macs", 45)


def test_hints_come_one_at_a_time_and_start_again(toy_course, capsys):
    exercises._hints_given.clear()
    texts = [said(capsys, hint, "00.toy") for _ in range(3)]
    assert texts == ["Hint 1 of 2: Multiply.", "Hint 2 of 2: 3 x 4.", "Hint 1 of 2: Multiply."]


def test_an_answer_that_fails_inside_the_judge_is_reported_in_one_line(monkeypatch, capsys):
    broken = Exercise(lambda answer: answer(1), "fine", ["h"], [])
    monkeypatch.setattr(exercises, "exercises_of", lambda notebook: {"00.broken": broken})
    message = said(capsys, check, "00.broken", lambda x: x / 0)
    assert message == (
        "Not yet: trying your answer stopped with ZeroDivisionError: division by zero"
    )


class Mute(Exception):
    """It cannot be printed."""

    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (GeneratorExit(), "GeneratorExit: no message"),
        (SystemExit(), "SystemExit: no message"),
        (Mute(), "Mute: no message"),
    ],
)
def test_an_answer_that_raises_what_is_rarely_caught_is_reported_too(
    error, words, monkeypatch, capsys
):
    def answer():
        raise error

    broken = Exercise(lambda answer: answer(), "fine", ["h"], [])
    monkeypatch.setattr(exercises, "exercises_of", lambda notebook: {"00.broken": broken})
    message = said(capsys, check, "00.broken", answer)
    assert message == f"Not yet: trying your answer stopped with {words}"


def test_a_percent_sign_is_read_over():
    assert as_number("47.7%") == as_number(" 47.7 % ") == 47.7


def test_what_is_not_one_number_is_named():
    assert "shape (2, 2)" in as_number(np.zeros((2, 2)))
    assert "True or False" in as_number(True)
    assert "a dict" in as_number({})
    assert "this is text" in as_number("many")
    assert "this is nothing" in as_number(None)
    assert exercises.kind_of(1) == "an int"
    assert "the class Linear" in exercises.kind_of(torch.nn.Linear)


def test_a_check_leaves_the_random_numbers_of_later_cells_alone(monkeypatch, capsys):
    greedy = Exercise(lambda answer: None if torch.randn(3).numel() else "", "fine", ["h"], [])
    monkeypatch.setattr(exercises, "exercises_of", lambda notebook: {"00.greedy": greedy})
    torch.manual_seed(0)
    expected = torch.randn(2)
    torch.manual_seed(0)
    check("00.greedy", 1)
    assert torch.equal(torch.randn(2), expected)

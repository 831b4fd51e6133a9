"""Every exercise takes right answers of any form, and tells a wrong one its slip."""

import pytest
from answers import RIGHT, WRONG

from gnet_utils.exercises import check, exercises_of, mistake_in

ASKED = {
    name: exercise
    for number in range(11)
    for name, exercise in exercises_of(f"{number:02}").items()
}


def every(table: dict) -> pytest.MarkDecorator:
    """One test for each answer of a table, called by the exercise and the answer's place."""
    places = [(name, index) for name in table for index in range(len(table[name]))]
    return pytest.mark.parametrize(("name", "index"), places)


def test_every_exercise_has_three_right_answers_of_different_form_and_three_wrong_ones():
    assert set(RIGHT) == set(ASKED)
    assert all(len(answers) >= 3 for answers in RIGHT.values())
    wrong = {name: [*exercise.mistakes, *WRONG.get(name, [])] for name, exercise in ASKED.items()}
    assert all(len(answers) >= 3 for answers in wrong.values())


@every(RIGHT)
def test_right_answers_of_every_form_are_right(name, index):
    assert mistake_in(name, RIGHT[name][index]) is None


@every(WRONG)
def test_wrong_answers_are_told_their_slip(name, index, capsys):
    answer, words = WRONG[name][index]
    check(name, answer)
    told = capsys.readouterr().out
    assert told.startswith("Not yet: ") and words in told

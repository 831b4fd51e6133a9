"""Every exercise takes right answers of any form, and tells a wrong one its slip.

The tables stand in right_answers_00_05.py and right_answers_06_10.py.
"""

import pytest
import right_answers_00_05 as first
import right_answers_06_10 as second

from gnet_utils.exercises import check, exercises_of, mistake_in

RIGHT, WRONG = {**first.RIGHT, **second.RIGHT}, {**first.WRONG, **second.WRONG}
ASKED = [name for number in range(11) for name in exercises_of(f"{number:02}")]


def every(table: dict) -> pytest.MarkDecorator:
    """One test for each answer of a table, called by the exercise and the answer's place."""
    places = [(name, index) for name in table for index in range(len(table[name]))]
    return pytest.mark.parametrize(("name", "index"), places)


def test_every_exercise_has_three_right_answers_of_different_form():
    assert set(RIGHT) == set(ASKED)
    assert all(len(answers) >= 3 for answers in RIGHT.values())


@every(RIGHT)
def test_right_answers_of_every_form_are_right(name, index):
    assert mistake_in(name, RIGHT[name][index]) is None


@every(WRONG)
def test_wrong_answers_are_told_their_slip(name, index, capsys):
    answer, words = WRONG[name][index]
    check(name, answer)
    told = capsys.readouterr().out
    assert told.startswith("Not yet: ") and words in told

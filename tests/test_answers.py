"""Every exercise takes right answers of any form, and tells a wrong one its slip."""

import pytest
from answers import RIGHT, WRONG

from gnet_utils.course.notebooks import find_notebooks
from gnet_utils.exercises import exercises_of, mistake_in

ASKED = {
    name: exercise
    for path in find_notebooks()
    for name, exercise in exercises_of(path.stem[:2]).items()
}


def test_every_exercise_has_three_right_answers_of_different_form_and_names_three_mistakes():
    assert set(RIGHT) == set(ASKED)
    assert all(len(answers) >= 3 for answers in RIGHT.values())
    for name, exercise in ASKED.items():
        told = {*exercise.mistakes.values(), *(words for _, words in WRONG.get(name, []))}
        assert len(told) >= 3, f"name at least three typical mistakes of {name}"


@pytest.mark.parametrize("name", RIGHT)
def test_right_answers_of_every_form_are_right(name):
    told = [mistake_in(name, answer) for answer in RIGHT[name]]
    assert told == [None] * len(told)


@pytest.mark.parametrize("name", WRONG)
def test_each_wrong_answer_is_told_its_slip(name):
    told = [(words, str(mistake_in(name, answer) or "")) for answer, words in WRONG[name]]
    assert [(words, mistake) for words, mistake in told if words not in mistake] == []

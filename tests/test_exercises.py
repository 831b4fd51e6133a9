"""Every check of every notebook: known mistakes get their own message, nothing raises or tells."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lesson_minutes import is_written

from gnet_utils import exercises
from gnet_utils.course.notebooks import find_notebooks, read, solutions, write
from gnet_utils.exercises import Exercise, as_number, check, exercises_of, hint, number
from gnet_utils.models import GOOGLENET_BLOCKS, Inception, NaiveInception

ALL = {
    name: exercise
    for path in find_notebooks()
    for name, exercise in exercises_of(path.stem[:2]).items()
}
NONSENSE = [
    *("", "text", -1e300, float("nan"), True, [], {}, (1, 2, 3)),
    *(np.zeros(3), torch.zeros(2, 2), torch.nn.Identity(), print, lambda *a: 1 / 0),
]
every_exercise = pytest.mark.parametrize("name", ALL)


def said(capsys, function, *arguments) -> str:
    function(*arguments)
    return capsys.readouterr().out.strip()


@pytest.mark.authors
def test_three_to_six_exercises_a_lesson():
    counts = [len(exercises_of(path.stem[:2])) for path in find_notebooks()[1:]]
    assert all(3 <= count <= 6 for count in counts), counts


@every_exercise
def test_an_unanswered_exercise_says_so(name, capsys):
    assert said(capsys, check, name, None).startswith("Not answered yet")


@every_exercise
def test_each_number_that_is_named_as_a_mistake_gets_its_own_message(name, capsys):
    for answer, message in ALL[name].mistakes.items():
        told = said(capsys, check, name, answer)
        assert told.startswith("Not yet: ") and told.endswith(f": {message}")
    messages = ALL[name].mistakes.values()
    assert len(set(messages)) == len(messages), "two mistakes get the same message"


@every_exercise
def test_no_answer_raises_or_passes_by_accident(name, capsys):
    for answer in NONSENSE:  # the answer itself may print
        lines = said(capsys, check, name, answer).splitlines()
        told = [line for line in lines if not line.startswith("In use from here on: the course")]
        assert told[-1].startswith("Not yet"), answer


@pytest.mark.authors
def test_at_least_a_third_of_the_exercises_is_written():
    written = [is_written(code) for path in find_notebooks() for *_, code in solutions(read(path))]
    assert len(written) == len(ALL) and sum(written) >= len(written) / 3


@pytest.mark.authors
@every_exercise
def test_one_to_three_hints_that_differ(name):
    hints = ALL[name].hints
    assert 1 <= len(hints) <= 3 and len(set(hints)) == len(hints)


@pytest.mark.parametrize(
    ("value", "change", "said"),
    [
        ("36", {}, "value of an exercise: a number was expected, got '36'"),
        (36, {"mistakes": {"13": "why"}}, "mistakes of an exercise: .* got '13'"),
        (36, {"mistakes": ["why"]}, r"mistakes of an exercise: .* got \['why'\]"),
        (36, {"hints": "look"}, "hints of an exercise: a list was expected, got 'look'"),
    ],
)
def test_a_slip_in_the_table_is_not_blamed_on_the_reader(value, change, said):
    """It stops the import of the table, and so names file and line."""
    entry = {"mistakes": {13: "why"}, "hints": ["look"], "right": "so"} | change
    with pytest.raises(TypeError, match=said):
        number(value, **entry)


@pytest.mark.parametrize("function", [check, hint])
@pytest.mark.parametrize("name", ["99.none", "02.mine", "nonsense", 2, None])
def test_an_unknown_exercise_is_an_error_so_that_its_cell_fails(function, name):
    with pytest.raises(ValueError, match=f"There is no exercise '{name}'. Known here: "):
        function(name)


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"Known here: 00\.pixels\."):
        check("00.mine", 1)


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


@pytest.fixture
def cell(toy_course, monkeypatch):
    """Calls of check and hint in cells with the numbers that the test gives."""
    monkeypatch.setattr(exercises, "_tried", {})
    monkeypatch.setattr(exercises, "_hinted", {})

    def enter(number: int | None) -> None:
        monkeypatch.setattr(exercises, "_cell", lambda: number)

    return enter


def test_hints_come_one_at_a_time_and_start_again(cell, capsys):
    texts = []
    for running in (1, 1, 2):  # in one cell or in several
        cell(running)
        texts.append(said(capsys, hint, "00.toy"))
    assert texts == ["Hint 1 of 2: Multiply.", "Hint 2 of 2: 3 x 4.", "Hint 1 of 2: Multiply."]


def run_cell(capsys, cell, number, answer) -> str:
    """What a cell prints that calls check and then hint: the line of the hint."""
    cell(number)
    check("00.toy", answer)
    return said(capsys, hint, "00.toy").splitlines()[-1]


def test_running_all_cells_again_spends_no_hint(cell, capsys):
    told = [run_cell(capsys, cell, number, None) for number in (1, 2, 3)]
    assert told == ["The first hint comes with your first answer, or in a cell of its own."] * 3
    told = [run_cell(capsys, cell, number, 7) for number in (4, 5)]
    assert told == ["Hint 1 of 2: Multiply."] * 2
    assert run_cell(capsys, cell, 6, 3) == "Hint 2 of 2: 3 x 4."


def test_a_hint_in_a_cell_of_its_own_comes_at_each_call(cell, capsys):
    cell(1)
    check("00.toy", None)
    texts = []
    for running in (2, 3):
        cell(running)
        texts.append(said(capsys, hint, "00.toy").splitlines()[-1])
    assert texts == ["Hint 1 of 2: Multiply.", "Hint 2 of 2: 3 x 4."]


def test_no_hint_follows_a_right_answer(cell, capsys):
    assert run_cell(capsys, cell, 1, 12) == "No hint is needed: your answer is right."
    cell(2)
    assert said(capsys, hint, "00.toy") == "No hint is needed: your answer is right."
    assert run_cell(capsys, cell, 3, 7) == "Hint 1 of 2: Multiply."


def test_the_cell_is_that_of_the_running_notebook(monkeypatch):
    shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace(execution_count=5))
    monkeypatch.setitem(sys.modules, "IPython", shell)
    assert exercises._cell() == 5
    monkeypatch.delitem(sys.modules, "IPython")
    assert exercises._cell() is None


@pytest.mark.parametrize(
    ("error", "words"),
    [(SystemExit(), "SystemExit: no message"), (ValueError("\none\ntwo"), "ValueError: one")],
)
def test_the_error_of_an_answer_is_reported_in_one_line(error, words, monkeypatch, capsys):
    def answer():
        raise error

    broken = Exercise(lambda answer: answer(), "fine", ["h"])
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


def state() -> dict:
    """What later cells see of the process."""
    return {
        "torch": torch.random.get_rng_state().tolist(),
        "numpy": [str(part) for part in np.random.get_state()],  # noqa: NPY002
        "device": torch.get_default_device(),
        "grad": torch.is_grad_enabled(),
    }


def greedy(answer=None) -> None:
    """A reader's function, or a judge, that disturbs whatever it can."""
    torch.randn(3)
    np.random.rand()  # noqa: NPY002
    torch.manual_seed(5)
    torch.set_grad_enabled(not torch.is_grad_enabled())


@pytest.mark.parametrize("fails", [False, True])
def test_a_check_leaves_the_state_of_later_cells_alone(fails, monkeypatch, capsys):
    def judge(answer):
        greedy()
        return 1 / 0 if fails else None

    monkeypatch.setattr(
        exercises, "exercises_of", lambda notebook: {"00.x": Exercise(judge, "fine", ["h"])}
    )
    before = state()
    check("00.x", 1)
    assert state() == before


def test_a_judge_works_with_gradients_whatever_the_notebook_has_set(monkeypatch):
    seen = []
    judge = Exercise(lambda answer: seen.append(torch.is_grad_enabled()), "", ["h"])
    monkeypatch.setattr(exercises, "exercises_of", lambda notebook: {"00.x": judge})
    with torch.no_grad():
        check("00.x", 1)
        assert not torch.is_grad_enabled()
    assert seen == [True]


class Keeper(torch.nn.Sequential):
    """Keeps its last maps, with gradients, as networks do that are looked into."""

    def forward(self, x):
        self.last = super().forward(x)
        return self.last


def test_a_check_leaves_the_module_of_the_reader_alone(monkeypatch, capsys):
    def judge(net):
        net.train()(torch.ones(4, 3)).sum().backward()  # moves the statistics, makes gradients
        with torch.no_grad():
            net[0].weight.zero_()
        net.eval().requires_grad_(False)

    monkeypatch.setattr(
        exercises, "exercises_of", lambda notebook: {"00.x": Exercise(judge, "fine", ["h"])}
    )
    net = Keeper(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).double().train()
    net(torch.rand(4, 3).double()).sum().backward()
    kept = {name: value.clone() for name, value in net.state_dict().items()}
    grads = [p.grad.clone() for p in net.parameters()]
    assert said(capsys, check, "00.x", net) == "Right: fine"
    assert all(torch.equal(value, kept[name]) for name, value in net.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), grads, strict=True))
    assert net.training and net[0].weight.dtype == torch.float64
    assert all(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize("answer", [(17, 6), (1, 784)])
def test_a_comma_in_a_number_is_named(answer, toy_course, capsys):
    assert "without a comma" in said(capsys, check, "00.toy", answer)


def test_a_number_rounded_too_far_is_not_called_too_large(monkeypatch, capsys):
    share = number(0.9077, mistakes={}, hints=[], right="", tolerance=0.001)
    monkeypatch.setattr(exercises, "exercises_of", lambda notebook: {"00.share": share})
    assert "0.91: right, but rounded too far" in said(capsys, check, "00.share", 0.91)
    assert said(capsys, check, "00.share", 0.92) == "Not yet: 0.92 is too large."
    assert said(capsys, check, "00.share", "0.908").startswith("Right")


def test_the_last_digit_of_a_float_does_not_count(toy_course, capsys):
    assert said(capsys, check, "00.toy", 0.1 * 3 * 40).startswith("Right")
    assert said(capsys, check, "00.toy", 12.001).startswith("Not yet")


def test_a_right_answer_is_what_later_cells_use_else_the_courses_own(capsys):
    class Own(Inception):
        pass

    assert check("03.block", Own) is Own
    assert capsys.readouterr().out.endswith("In use from here on: yours.\n")
    for other in (None, NaiveInception, 3):
        assert check("03.block", other) is Inception
        assert "the course's own, until yours is right" in capsys.readouterr().out
    assert check("03.naive", 1_089_536) is None


# Answers that go from lesson to lesson ------------------------------------------------------------


BY_FUNCTIONS = """
class FourBranches(nn.Module):
    def __init__(self, channels, a, r3, b, r5, c, d):
        super().__init__()
        self.one, self.last = nn.Conv2d(channels, a, 1), nn.Conv2d(channels, d, 1)
        self.r3, self.c3 = nn.Conv2d(channels, r3, 1), nn.Conv2d(r3, b, 3, padding=1)
        self.r5, self.c5 = nn.Conv2d(channels, r5, 1), nn.Conv2d(r5, c, 5, padding=2)

    def forward(self, x):
        three = self.c3(F.relu(self.r3(x)))
        five = self.c5(F.relu(self.r5(x)))
        pooled = self.last(F.max_pool2d(x, 3, 1, 1))
        return F.relu(torch.cat([self.one(x), three, five, pooled], dim=1))


Block = check("03.block", FourBranches)
print(Block)  # what stands below the check is not run
"""


@pytest.fixture
def saved_in_03(tmp_path, monkeypatch):
    """Puts code into the cell of 03.block, in a copy of lesson 03 that was saved."""
    monkeypatch.setattr(exercises, "ROOT", tmp_path)
    (path,) = find_notebooks(["03"])
    lesson = read(path)
    (cell,) = (c for c in lesson["cells"] if c["metadata"].get("exercise") == "03.block")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / f"{path.stem}-Copy1.ipynb").write_text("not looked at")

    def save(code: str) -> None:
        cell["source"] = code
        write(lesson, tmp_path / "notebooks" / path.name)

    save(cell["source"])  # the stub
    return save


def solution_of_03() -> str:
    (path,) = find_notebooks(["03"])
    solved = {name: code for _, name, code in solutions(read(path))}
    return solved["03.block"]


@pytest.mark.parametrize("code", [solution_of_03(), BY_FUNCTIONS])
def test_a_right_block_of_lesson_03_comes_into_the_next_lessons(code, saved_in_03, capsys):
    saved_in_03(code)
    block = exercises.from_lesson("03.block")
    assert block.__name__ in code
    assert capsys.readouterr().out == "In use from here on: what you wrote in lesson 03.\n"
    assert block(192, *GOOGLENET_BLOCKS["3a"])(torch.zeros(1, 192, 4, 4)).shape == (1, 256, 4, 4)


@pytest.mark.parametrize(
    "change",
    [
        None,  # the stub
        ("padding=2", "padding=1"),
        ("return torch.cat", "retrn torch.cat"),
        ("class InceptionBlock", "raise SystemExit\nclass InceptionBlock"),
        ('check("03.block", InceptionBlock)', "InceptionBlock"),
    ],
)
def test_in_place_of_a_block_that_is_not_right_comes_the_courses(change, saved_in_03, capsys):
    if change:
        saved_in_03(solution_of_03().replace(*change))
    assert exercises.from_lesson("03.block") is Inception
    said = "the course's own, until yours is right in lesson 03 and saved there."
    assert capsys.readouterr().out == f"In use from here on: {said}\n"


def test_without_the_notebook_comes_the_courses(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(exercises, "ROOT", tmp_path)
    assert exercises.from_lesson("03.block") is Inception

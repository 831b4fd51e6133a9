"""Exercises that answer back: `check("02.bottleneck", answer)` and `hint("02.bottleneck")`.

The exercises of notebook 02 are in `n02.py`, a dictionary EXERCISES from the part after the dot
to an `Exercise`, and its predictions in a dictionary PREDICTIONS. Most exercises ask for a number:

    EXERCISES = {
        "bottleneck": number(
            129_024,
            mistakes={221_184: "that is the 3x3 without the reduction before it."},
            hints=["Count the 1x1 first."],
            right="the 1x1 costs 18,432 weights, the 3x3 110,592.",
        ),
    }

Others bring a `judge`; `trials.py` helps it to run the reader's modules and functions. Right and
wrong answers to every exercise stand in `tests/answers`. `from_lesson("03.block")` brings what was
written in one lesson into another.
"""

import copy
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from math import isclose, isfinite, prod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gnet_utils.base import ROOT
from gnet_utils.memory import remember, remembered


@dataclass(frozen=True)
class Exercise:
    """How one exercise is judged: `judge(answer)` says what is wrong, or returns None.

    It may also raise `Mistake`, and change a module: it gets a copy, on the CPU, in float32.
    """

    judge: Callable[[Any], str | None]
    right: str  # printed after "Right:", says why
    hints: Sequence[str]  # one to three, from vague to nearly there
    mistakes: dict[float, str] = field(default_factory=dict)  # of a number: what led to it
    course: Callable[[], Any] | None = None  # gives the course's own, where later cells use it
    value: float | None = None  # of a number: the right one, and how far it may be off
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        """Raise TypeError for a slip in the table, which would look like one of the reader."""
        numbers = [*self.mistakes] if isinstance(self.mistakes, Mapping) else [self.mistakes]
        for name, value in [("mistakes", n) for n in numbers] + [("value", self.value or 0)]:
            if not isinstance(value, int | float):
                raise TypeError(f"{name} of an exercise: a number was expected, got {value!r}")
        if isinstance(self.hints, str):
            raise TypeError(f"hints of an exercise: a list was expected, got {self.hints!r}")


class Mistake(Exception):
    """What is wrong with an answer, found while it runs; its text is the whole message."""


class Blank(Mistake):
    """Nothing is wrong yet: the places, by name, that are still to be filled in."""


def check(name: str, answer: Any = None) -> Any:
    """Print whether `answer` is right, or which mistake was made; it never tells the answer.

    Where later cells use the answer, it is returned when it is right, else the course's own:
    `Block = check("03.block", InceptionBlock)`. Of other exercises None is returned.
    Raises ValueError for an exercise that does not exist, never for an answer.
    """
    exercise = _find(name)
    if answer is None:
        verdict = f'Not answered yet. Put your answer in place of None; hint("{name}") helps.'
        if re.search(r"^answer = (?!None)", _source(), re.MULTILINE):
            verdict = f'Not answered yet: what you call returns nothing. hint("{name}") helps.'
    else:
        mistake = mistake_in(name, answer)
        verdict = f"Right: {exercise.right}" if mistake is None else f"Not yet: {mistake}"
        if isinstance(mistake, Blank):
            verdict = f'Not answered yet. Fill in {mistake}; hint("{name}") helps.'
    before = remembered("exercises").get(name)
    if verdict.startswith("Not answered") and before == "right":
        verdict += " (You have solved it before.)"
    elif not verdict.startswith("Not answered") and before != "right":
        remember("exercises", name, "right" if verdict.startswith("Right") else verdict)
    _tried[name] = _cell(), verdict
    print(verdict)
    if exercise.course is None:
        return None
    own = verdict.startswith("Right")
    print("In use from here on:", "yours." if own else "the course's own, until yours is right.")
    return answer if own else exercise.course()


def from_lesson(name: str) -> Any:
    """What the reader has written for an exercise of another lesson, when it is right.

    It is read from that lesson's notebook as it was last saved, and judged again; of its cell that
    runs which stands before the check. Where nothing right is found there, the course's own is
    returned; one line says which it is. Raises ValueError for an exercise that does not exist.
    """
    exercise, lesson = _find(name), name.partition(".")[0]
    try:
        answer = _written(name)
        own = mistake_in(name, answer) is None
    except (Exception, SystemExit):  # no notebook there, or a cell that does not run
        own = False
    where = f"what you wrote in lesson {lesson}."
    if not own:
        where = f"the course's own, until yours is right in lesson {lesson} and saved there."
    print("In use from here on:", where)
    return answer if own else exercise.course()


def _written(name: str) -> Any:
    """What the cell of an exercise hands to its check, in the saved notebook."""
    found = (ROOT / "notebooks").glob(f"{name[:2]}_*.ipynb")
    (path,) = (path for path in found if "-Copy" not in path.stem)
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = {c["metadata"].get("exercise"): "".join(c["source"]) for c in cells}
    code, _, rest = sources[name].partition(f'check("{name}", ')
    names = {"torch": torch, "nn": nn, "F": F, "__name__": "__main__"}
    exec(code[: code.rfind("\n") + 1], names)
    return names[rest.partition(")")[0]]


def mistake_in(name: str, answer: Any) -> str | Blank | None:
    """What is wrong with `answer`, or None; it and the state of the notebook stay as they were."""
    judge = _find(name).judge
    try:
        with _undisturbed():
            return judge(_copy(answer) if isinstance(answer, nn.Module) else answer)
    except Blank as blank:
        return blank
    except Mistake as mistake:
        return str(mistake)
    except (Exception, SystemExit) as error:  # the reader's own code runs in here
        return f"trying your answer stopped with {first_line(error)}"


def first_line(error: BaseException) -> str:
    """An error in one line: its type and the first line of its message."""
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[0]}"


_tried: dict[str, tuple[int | None, str]] = {}  # cell and verdict of the last check
_hinted: dict[str, tuple[int, str | None]] = {}  # hints given, and the verdict before the last


def hint(name: str) -> None:
    """Print the next hint of an exercise; after the last one they start again.

    In the cell of its check the next hint comes with the next answer, so that running all cells
    again spends none; after a right answer none comes. Raises ValueError for an unknown name.
    """
    exercise = _find(name)
    cell, verdict = _tried.get(name, (None, ""))
    given, hinted_at = _hinted.get(name, (0, None))
    same_cell = cell is not None and cell == _cell()
    if verdict.startswith("Right"):
        print("No hint is needed: your answer is right.")
        return
    if same_cell and verdict.startswith("Not answered"):
        print("The first hint comes with your first answer, or in a cell of its own.")
        return
    if not (same_cell and verdict == hinted_at):
        given += 1
    _hinted[name] = given, verdict
    index = (given - 1) % len(exercise.hints)
    print(f"Hint {index + 1} of {len(exercise.hints)}: {exercise.hints[index]}")


def _cell() -> int | None:
    """The number of the cell that runs, None outside of notebooks."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell.execution_count if shell else None


def _source() -> str:
    """The text of the cell that runs, "" outside of notebooks."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell.user_ns["In"][-1] if shell else ""


@dataclass(frozen=True)
class Prediction:
    """What the reader guesses before a cell that measures it."""

    options: Sequence[str]
    right: int  # index of the right option
    because: str  # one sentence for those who guessed otherwise
    held: Sequence[int] = (1, 2)  # the cells below that tell the answer: so many further down


def exercises_of(notebook: str) -> dict[str, Exercise]:
    """The exercises of notebook "02" by their full names; empty when there are none."""
    return _table(notebook, "EXERCISES")


def predictions_of(notebook: str) -> dict[str, Prediction]:
    """The predictions of notebook "02" by their full names; empty when there are none."""
    return _table(notebook, "PREDICTIONS")


def _table(notebook: str, table: str) -> dict[str, Any]:
    module = f"{__name__}.n{notebook}"
    if not re.fullmatch("[0-9][0-9]", str(notebook)) or find_spec(module) is None:
        return {}
    entries = getattr(import_module(module), table)
    return {f"{notebook}.{key}": entry for key, entry in entries.items()}


def _find(name: str) -> Exercise:
    """The exercise of that name; ValueError, so that the cell fails, when there is none."""
    name = str(name)
    known = exercises_of(name.partition(".")[0])
    if name not in known:
        names = ", ".join(known) or "none with that number"
        raise ValueError(f"There is no exercise {name!r}. Known here: {names}.")
    return known[name]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Judge on the CPU, with gradients; later cells draw the random numbers that they did."""
    numpy = np.random.get_state()  # noqa: NPY002 - what the reader's cells may draw from
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices=gpus), torch.enable_grad(), torch.device("cpu"):
            yield
    finally:
        np.random.set_state(numpy)  # noqa: NPY002


def _copy(module: nn.Module) -> nn.Module:
    """A copy of the reader's module; the module itself where it holds what cannot be copied."""
    attributes = [value for m in module.modules() for value in vars(m).values()]
    kept_maps = [v for v in attributes if isinstance(v, torch.Tensor) and not v.is_leaf]
    try:
        return copy.deepcopy(module, {id(v): v.detach() for v in kept_maps}).float().cpu()
    except Exception:
        return module


# Kinds of answers ---------------------------------------------------------------------------------


def number(
    right_value: float,
    *,
    mistakes: dict[float, str],
    hints: Sequence[str],
    right: str,
    tolerance: float = 0.0,
) -> Exercise:
    """An exercise whose answer is one number, right within `tolerance` (absolute).

    `mistakes` maps wrong numbers to what led to them; any other number is told whether it is too
    small or too large, or that the rounding is missing.
    """

    def judge(answer: Any) -> str | None:
        value = as_number(answer)
        if isinstance(value, str):
            return value
        if isclose(value, right_value, rel_tol=1e-12, abs_tol=tolerance):
            return None
        for wrong_value, message in mistakes.items():
            size, whole = abs(wrong_value), float(wrong_value).is_integer()
            rounding = 0.0 if whole else 0.0005 * size
            # A small mistake must not catch its neighbours: a twentieth of it is near enough.
            near = abs(value - wrong_value) <= max(rounding, min(tolerance, size / 20))
            if near or (whole and not tolerance and int(value) == wrong_value):  # / in place of //
                return f"{_plain(value)}: {message}"
        for unit, word in ((1_000, "thousands"), (1_000_000, "millions")):
            if right_value > unit and isclose(value * unit, right_value, rel_tol=0.005):
                return f"{_plain(value)}: right in {word}; give the whole number."
        if not tolerance and value != int(value) and int(value) == right_value:
            return f"{_plain(value)}: a whole number is asked for; which way must you round?"
        rough = tolerance or abs(right_value) >= 10_000
        if rough and value in (float(f"{right_value:.{digits}g}") for digits in (2, 3)):
            return f"{_plain(value)}: right, but rounded too far; give one digit more."
        return f"{_plain(value)} is too {'small' if value < right_value else 'large'}."

    known = {"value": right_value, "tolerance": tolerance}
    return Exercise(judge, right, hints, mistakes, **known)


def as_number(answer: Any) -> float | str:
    """One finite number out of an int, float, array or tensor of one element; else what is wrong.

    Text such as "129,024" counts too.
    """
    if isinstance(answer, str):
        answer = re.sub("[,_ ]", "", answer).removesuffix("%")
    elif isinstance(answer, tuple) and len(answer) > 1:  # 1,5 or 1,000
        return "one number is asked for, this is a tuple: write 1.5 or 1000, without a comma."
    elif isinstance(answer, Sequence) and len(answer) == 1:
        answer = answer[0]
    elif isinstance(getattr(answer, "shape", None), tuple) and prod(answer.shape) != 1:
        return f"one number is asked for, this has the shape {tuple(answer.shape)}."
    elif hasattr(answer, "item"):
        answer = answer.item()  # of an array or tensor with one element
    if isinstance(answer, bool):
        return "one number is asked for, this is True or False."
    try:
        value = float(answer)
    except (TypeError, ValueError, RuntimeError):
        return f"one number is asked for, this is {kind_of(answer)}."
    return value if isfinite(value) else f"one finite number is asked for, this is {value}."


def kind_of(answer: Any) -> str:
    """What an answer is, in a message: "a list", "an int", "text", "the class Linear"."""
    if isinstance(answer, type):
        return f"the class {answer.__name__}, not an object made from it"
    name = type(answer).__name__
    if name in (special := {"NoneType": "nothing", "str": "text"}):
        return special[name]
    return f"an {name}" if name.lower().startswith(tuple("aeiou")) else f"a {name}"


def _plain(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:,.6g}"

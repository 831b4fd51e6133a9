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

Others bring a `judge`, a function from the answer to what is wrong with it, or None when it is
right. `wrong` lists known wrong answers, each with words that its message must contain; a test
runs them all.
"""

import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isclose, isfinite, prod
from typing import Any


@dataclass(frozen=True)
class Exercise:
    """How one exercise is judged: `judge(answer)` says what is wrong, or returns None."""

    judge: Callable[[Any], str | None]
    right: str  # printed after "Right:", says why
    hints: Sequence[str]  # one to three, from vague to nearly there
    wrong: Sequence[tuple[Any, str]] = field(repr=False)  # (answer, words of its message)


def check(name: str, answer: Any = None) -> None:
    """Print whether `answer` is right, or which mistake was made. Never raises, never tells."""
    exercise = _find(name)
    if exercise is None:
        return
    if answer is None or answer is ...:
        print(f'Not answered yet. Put your answer in place of None; hint("{name}") helps.')
        return
    try:
        with _same_random_numbers():
            mistake = exercise.judge(answer)
    except (Exception, SystemExit, GeneratorExit) as error:  # the reader's own code runs in here
        try:
            reason = str(error).strip().splitlines() or ["no message"]
        except Exception:
            reason = ["no message"]
        mistake = f"trying your answer stopped with {type(error).__name__}: {reason[0]}"
    print(f"Right: {exercise.right}" if mistake is None else f"Not yet: {mistake}")


_hints_given: dict[str, int] = {}


def hint(name: str) -> None:
    """Print the next hint of an exercise; after the last one they start again."""
    exercise = _find(name)
    if exercise is None:
        return
    index = _hints_given.get(name, 0) % len(exercise.hints)
    _hints_given[name] = index + 1
    print(f"Hint {index + 1} of {len(exercise.hints)}: {exercise.hints[index]}")


@dataclass(frozen=True)
class Prediction:
    """What the reader guesses before a cell that measures it."""

    options: Sequence[str]
    right: int  # index of the right option
    because: str  # one sentence for those who guessed otherwise


def exercises_of(notebook: str) -> dict[str, Exercise]:
    """The exercises of notebook "02" by their full names; empty when there are none."""
    return _table(notebook, "EXERCISES")


def predictions_of(notebook: str) -> dict[str, Prediction]:
    """The predictions of notebook "02" by their full names; empty when there are none."""
    return _table(notebook, "PREDICTIONS")


def _table(notebook: str, table: str) -> dict[str, Any]:
    if not re.fullmatch("[0-9][0-9]", str(notebook)):
        return {}  # whatever the reader typed: it does not become the name of a module
    try:
        with _same_random_numbers():
            module = importlib.import_module(f"gnet_utils.exercises.n{notebook}")
    except ModuleNotFoundError as error:
        if error.name != f"gnet_utils.exercises.n{notebook}":
            raise
        return {}
    return {f"{notebook}.{key}": entry for key, entry in getattr(module, table, {}).items()}


def _same_random_numbers():
    """A check that builds networks must not change the random numbers of the cells after it."""
    from torch.random import fork_rng

    return fork_rng(devices=[])


def _find(name: str) -> Exercise | None:
    name = str(name)
    known = exercises_of(name.partition(".")[0])
    if name not in known:
        names = ", ".join(known) or "none with that number"
        print(f"There is no exercise {name!r}. Known here: {names}.")
    return known.get(name)


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
        if abs(value - right_value) <= tolerance:
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
        return f"{_plain(value)} is too {'small' if value < right_value else 'large'}."

    return Exercise(judge, right, hints, list(mistakes.items()))


def as_number(answer: Any) -> float | str:
    """One finite number out of an int, float, array or tensor of one element; else what is wrong.

    Text such as "129,024" counts too.
    """
    if isinstance(answer, str):
        answer = answer.strip().removesuffix("%")
        answer = answer.replace(",", "").replace("_", "").replace(" ", "")
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
    except OverflowError:
        return "one number is asked for, this one is far too large."
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

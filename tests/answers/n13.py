"""Right answers of many forms to notebook 13, and wrong ones with words of what they are told."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from answers.forms import forms
from gnet_utils import muon
from gnet_utils.base import Timer
from gnet_utils.explorers import n13


def stopwatch(
    middle: Callable = statistics.median,
    result: Callable = lambda pictures, seconds: pictures / seconds,
    warm: int = 1,
    timed_warm: bool = False,
) -> Callable:
    """The function that exercise 13.1 asks for, some of its parts made otherwise."""

    def rate(step, pictures, repeats=5):
        for _ in range(0 if timed_warm else warm):
            step()
        seconds = []
        for _ in range(repeats + (warm if timed_warm else 0)):
            began = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - began)
        return result(pictures, middle(seconds))

    return rate


def with_timer(step, pictures, repeats=5):
    step()
    seconds = []
    for _ in range(repeats):
        with Timer() as timer:
            step()
        seconds.append(timer.seconds)
    return pictures / torch.tensor(seconds, dtype=torch.float64).median()


def rate_as_it_is(step, pictures, repeats=5):
    ...
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()  # noqa: F841 - as in the notebook
        step()
        seconds.append(...)
    return ...


def one_round(update: Tensor, gram: Tensor, a: float, b: float, c: float) -> Tensor:
    return a * update + (b * gram + c * gram @ gram) @ update


def iterated(
    start: Callable = lambda matrix: matrix / matrix.norm(),
    turn: Callable = one_round,
    early: bool = False,
) -> Callable:
    """The function that exercise 13.3 asks for, some of its parts made otherwise."""

    def orthogonalised(matrix: Tensor, steps: int = 3) -> Tensor:
        a, b, c = muon.NEWTON_SCHULZ
        update = start(matrix)
        for _ in range(steps):
            gram = update @ update.T
            update = turn(update, gram, a, b, c)
            if early:
                return update
        return update

    return orthogonalised


def orthogonal_as_it_is(matrix, steps=3):
    update = ...
    for _ in range(steps):
        gram = update @ update.T  # noqa: F841 - as in the notebook
        update = ...
    return update


RIGHT = {
    "13.rate": [n13.pictures_per_second, stopwatch(), stopwatch(statistics.median_low), with_timer],
    "13.work": [*forms(11.9), 11.902561781878788],
    "13.orthogonal": [
        muon.orthogonalised,
        iterated(),
        iterated(start=lambda matrix: matrix / matrix.square().sum().sqrt()),
        iterated(start=lambda matrix: matrix / torch.linalg.svdvals(matrix)[0]),
        iterated(turn=lambda u, g, a, b, c: a * u + b * g @ u + c * g @ g @ u),
    ],
}

WRONG = {
    "13.rate": [
        (rate_as_it_is, "the three places"),
        (stopwatch(result=lambda *_: ...), "what is returned"),
        (stopwatch(warm=0), "no step to warm up"),
        (stopwatch(warm=2), "it makes 7 steps"),
        (stopwatch(timed_warm=True), "timed too"),
        (stopwatch(statistics.mean), "that is by the mean"),
        (stopwatch(min), "by the fastest"),
        (stopwatch(sum), "by the sum"),
        (stopwatch(result=lambda pictures, seconds: seconds / pictures), "turn it round"),
        (stopwatch(result=lambda pictures, seconds: 1 / seconds), "steps in a second"),
        (stopwatch(result=lambda pictures, seconds: pictures * seconds), "divide"),
        (stopwatch(max), "make 320 pictures a second"),
        (stopwatch(lambda seconds: ...), "still to fill in"),
        (stopwatch(result=lambda *_: None), "does it end with return"),
        (lambda step, pictures, repeats: pictures, "it never calls step()"),
        (lambda step, pictures, repeats: [step() for _ in range(6)], "never looks at the clock"),
        (1963, "a function is asked for"),
    ],
    "13.work": [
        (11.755, "ratio of the pixels"),
        (13.98, "ratio of the parameters"),
        (1 / 11.9, "turn it round"),
        (12, "rounded too far"),
    ],
    "13.orthogonal": [
        (orthogonal_as_it_is, "the places marked ..."),
        (iterated(turn=lambda *_: ...), "the line inside the loop"),
        (iterated(turn=lambda *_: ..., early=True), "the line inside the loop"),
        (iterated(start=lambda matrix: matrix), "is the matrix divided by its norm?"),
        (iterated(early=True), "inside the loop"),
        (
            iterated(turn=lambda u, g, a, b, c: a * u + (c * g + b * g @ g) @ u),
            "b and c are exchanged",
        ),
        (iterated(turn=lambda u, g, a, b, c: a * u + b * g @ u), "the part with c is missing"),
        (iterated(turn=lambda u, g, a, b, c: (b * g + c * g @ g) @ u), "the part with a"),
        (
            iterated(turn=lambda u, g, a, b, c: a * u + (b * g + c * g * g) @ u),
            "entry by entry",
        ),
        (iterated(turn=lambda u, g, a, b, c: u), "between 0.68 and 1.20"),
        (iterated(turn=lambda u, g, a, b, c: u.roll(1, 0)), "singular vectors change"),
        (lambda matrix, steps: matrix.norm(), "should keep its shape"),
        (lambda matrix, steps: 1.0, "a matrix is asked for"),
        (1.0, "a function is asked for"),
    ],
}

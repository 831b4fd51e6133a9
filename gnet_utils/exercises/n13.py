"""Exercises and predictions of notebook 13, three hundred times faster."""

import math
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from gnet_utils import muon
from gnet_utils.exercises import Blank, Exercise, Mistake, Prediction, as_number, kind_of, number
from gnet_utils.exercises.trials import call, filled, named
from gnet_utils.explorers import n13

# 13.rate ------------------------------------------------------------------------------------------

SECONDS = (9.0, 0.1, 0.1, 0.5, 0.2, 0.4)  # of each step on the judge's clock; the first is slow
PICTURES, REPEATS = 64, 5


def judge_rate(answer: Any) -> str | None:
    """Whether a function warms up, repeats and takes the median, seen by a clock of our own."""
    now, calls, looks = 0.0, 0, 0

    def step() -> None:
        nonlocal now, calls
        now += SECONDS[min(calls, REPEATS)]
        calls += 1

    def clock() -> float:
        nonlocal looks
        looks += 1
        return now

    try:
        with patch.multiple(time, perf_counter=clock, time=clock, process_time=clock):
            got = call(answer, step, PICTURES, REPEATS)
    except TypeError as error:
        if "ellipsis" not in str(error):
            raise
        return "still to fill in: the seconds that one step took."
    if got is ...:
        if calls == REPEATS and looks == REPEATS:  # the stub as it is
            raise Blank("the three places marked ...")
        return "still to fill in: what is returned."
    if calls == 0:
        return "it never calls step()."
    if looks < 2:
        return "it never looks at the clock: time.perf_counter() before and after each step."
    if calls == REPEATS:
        return "no step to warm up: the first one is slow, and here it is timed."
    if calls != REPEATS + 1:
        return f"with repeats={REPEATS} it makes {calls} steps: one to warm up, then {REPEATS}."
    rate = as_number(got)
    if isinstance(rate, str):
        return rate
    if math.isclose(rate, PICTURES / 0.2, rel_tol=1e-6):
        return None
    slips = {
        "the step to warm up is timed too: call it outside the loop.": PICTURES / 0.3,
        "that is by the mean: one slow step moves it, the median stays.": PICTURES / 0.26,
        "that is by the fastest step: take the median of `seconds`.": PICTURES / 0.1,
        "that is by the sum of all steps: take their median.": PICTURES / 1.3,
        "that is seconds for one picture: turn it round.": 0.2 / PICTURES,
        "that is steps in a second: each trains on `pictures` pictures.": 1 / 0.2,
        "that is pictures times seconds: divide.": PICTURES * 0.2,
    }
    said = named(slips, lambda wrong: math.isclose(rate, wrong, rel_tol=1e-6))
    return said or (
        f"steps of 0.1, 0.1, 0.5, 0.2 and 0.4 s with {PICTURES} pictures each make "
        f"{PICTURES / 0.2:.0f} pictures a second by the median; it returns {rate:.4g}."
    )


# 13.orthogonal ------------------------------------------------------------------------------------


def judge_orthogonal(answer: Any) -> str | None:
    """Whether a function brings singular values near 1 and leaves the singular vectors alone."""
    matrix = 3 * torch.randn(6, 20, generator=torch.Generator().manual_seed(0))
    if call(answer, matrix.clone(), 0) is ...:  # the stub as it is, or its second half
        raise Blank("the places marked ...")
    left = "still to fill in: the line inside the loop."
    with filled(Mistake(left)):
        got = call(answer, matrix.clone(), 3)
    if got is ...:
        return left
    if not isinstance(got, Tensor):
        return f"a matrix is asked for, a tensor; it returns {kind_of(got)}."
    if got.shape != matrix.shape:
        return f"a matrix {tuple(matrix.shape)} should keep its shape; got {tuple(got.shape)}."
    if not got.isfinite().all():
        return "the numbers grow without end: is the matrix divided by its norm?"
    slips = {
        "one round only: does `return` stand inside the loop?": _run(matrix, steps=1),
        "b and c are exchanged: b goes with gram, c with gram @ gram.": _run(matrix, swapped=True),
        "the part with c is missing.": _run(matrix, c=0.0),
        "gram * gram multiplies entry by entry: a matrix product is gram @ gram.": _run(
            matrix, square=lambda gram: gram * gram
        ),
        "the part with a is missing.": _run(matrix, a=0.0),
    }
    if said := named(slips, lambda wrong: torch.allclose(got, wrong, rtol=1e-3)):
        return said
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    inside = left.T @ got @ right.T  # diagonal where the singular vectors are the same
    values = inside.diagonal()
    if (inside - values.diag()).abs().max() > 0.02:
        return "the singular vectors change: only products of the matrix with its gram may come in."
    if values.min() < 0.6 or values.max() > 1.3:
        return (
            "after three rounds the singular values should lie between 0.68 and 1.20, they lie "
            f"between {values.min():.2f} and {values.max():.2f}."
        )
    return None


def _run(
    matrix: Tensor,
    *,
    steps: int = 3,
    swapped: bool = False,
    square: Callable[[Tensor], Tensor] = lambda gram: gram @ gram,
    **others: float,
) -> Tensor:
    """The iteration with a slip."""
    factors = dict(zip("abc", muon.NEWTON_SCHULZ, strict=True)) | others
    a, b, c = (factors[name] for name in ("acb" if swapped else "abc"))
    update = matrix / matrix.norm()
    for _ in range(steps):
        gram = update @ update.T
        update = a * update + (b * gram + c * square(gram)) @ update
    return update


# The table ----------------------------------------------------------------------------------------

EXERCISES = {
    "rate": Exercise(
        judge_rate,
        right="one step to warm up, then the median of the repeats.",
        hints=[
            "The comments say what belongs into each place; the first is a call.",
            "`began` is the clock before the step: what is the clock after it minus that?",
            "A reader of books: median of [2, 3, 9] hours a book is statistics.median(...) = 3, "
            "and 300 pages / 3 hours is 100 pages an hour.",
        ],
        course=lambda: n13.pictures_per_second,
    ),
    "work": number(
        11.9,
        tolerance=0.05,
        mistakes={
            11.755: "that is the ratio of the pixels; stem and widths differ too.",
            13.98: "that is the ratio of the parameters; count multiply-adds.",
            0.084: "turn it round: the tutorials' network does more.",
            68.2: "that is with pictures of 224x224; the tutorials take 96x96.",
        },
        hints=[
            "`count_macs(net, shape)` counts one picture; both nets read one gray channel.",
            "Each network reads pictures of its own recipe's size: `picture_size`.",
            "For 3x3 layers on 8x8 maps: count_macs(nn.Conv2d(1, 4, 3, padding=1), (1, 1, 8, 8)) "
            "gives 2,304, with 2 output channels 1,152: a ratio of 2.",
        ],
        right="276.1 million against 23.2 million multiply-adds for one picture.",
    ),
    "orthogonal": Exercise(
        judge_orthogonal,
        right="singular values near 1, singular vectors as they were.",
        hints=[
            "First line: `matrix.norm()` is the root of the sum of all squares.",
            "In the loop: three terms, each a matrix of the same shape. @ is the matrix product.",
            "For 2u - 3 (u u^T) u one writes: gram = u @ u.T, then u = 2 * u - 3 * gram @ u.",
        ],
        course=lambda: muon.orthogonalised,
    ),
}

PREDICTIONS = {
    "p1": Prediction(
        [
            "fewer multiply-adds for a picture",
            "more multiply-adds in a second",
            "fewer pictures",
        ],
        right=2,
        because="600,000 pictures against 30,000: a factor of 20, the others are 11.9 and 1.4.",
        held=(13, 14),
    ),
    "p2": Prediction(
        [
            "bfloat16",
            "maps half as high and wide",
            "channels last in memory",
            "merged 1x1 convolutions",
        ],
        right=1,
        because="A map with a quarter of the pixels needs about a quarter of the work.",
        held=(1, 2, 3),
    ),
    "p3": Prediction(
        [
            "SGD in place of Muon",
            "float32 in place of bfloat16",
            "pooling before projection",
            "a constant learning rate",
        ],
        right=3,
        because="The last steps must be small; SGD comes second, the others change little.",
        held=(1, 2, 3),
    ),
}

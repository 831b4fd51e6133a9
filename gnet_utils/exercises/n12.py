"""Exercises and predictions of lesson 12, how sure an accuracy is."""

from typing import Any

import torch
from torch import Tensor

from gnet_utils.exercises import Blank, Exercise, Prediction, number
from gnet_utils.exercises.trials import check_function, filled, named

# 12.error -----------------------------------------------------------------------------------------


def mean_and_error(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of `values` (N,), one for each picture, and its standard error, both in points."""
    mean = 100 * values.mean()
    error = 100 * values.std() / len(values) ** 0.5
    return mean, error


def judge_error(answer: Any) -> str | None:
    """Whether a function gives mean and standard error of zeros and ones, and of differences."""
    check_function(answer)
    hits = torch.arange(400.0).remainder(5).ne(0).double()  # 80% of 400
    got = answer(hits)
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        return "it should return two things: return mean, error."
    blanks = [name for name, part in zip(("mean", "error"), got, strict=True) if part is ...]
    if len(blanks) == 2:
        raise Blank("the two places marked ...")
    if blanks:
        return f"still to fill in: {blanks[0]}."
    mean, error = (float(part) for part in got)
    if _near(mean, 0.8):
        return "the mean is a share; give it in points, from 0 to 100."
    if not _near(mean, 80):
        return (
            f"of 400 values 320 are 1 and 80 are 0: the mean is 80 points, it returns {mean:.4g}."
        )
    spread = float(hits.std())
    slips = {
        "the error is a share; give it in points too.": spread / 20,
        "that is the spread of one value; the mean of many is known better.": 100 * spread,
        "that is the spread of one value, and as a share.": spread,
        "divide by the root of their number, not by their number.": 100 * spread / 400,
        "that is made of the variance: take the spread, values.std().": 100 * spread**2 / 20,
        "that is the variance of the mean: its root is the error.": 100 * spread**2 / 400,
        "100 stands under the root: multiply by it outside.": 10 * spread / 20,
    }
    if slip := named(slips, lambda wrong: _near(error, wrong)):
        return slip
    if not _near(error, 2):
        return f"for 320 ones and 80 zeros the error is 2.0 points, it returns {error:.4g}."
    change = torch.zeros(400, dtype=torch.float64)
    change[:30], change[30:50] = 1, -1
    mean, error = (float(part) for part in answer(change))
    if not _near(mean, 2.5) or not _near(error, 100 * float(change.std()) / 20):
        return (
            "for zeros and ones it is right. Values may also be -1: use their spread, "
            "values.std(), not the share p."
        )
    return None


def _near(value: float, wanted: float) -> bool:
    return abs(value - wanted) < 0.004 * abs(wanted)  # std with N or with N - 1: both are right


# 12.bins ------------------------------------------------------------------------------------------


def calibration_table(confidence: Tensor, hits: Tensor, bins: int = 10) -> list[tuple]:
    """A row for each bin that is not empty: its pictures, their mean confidence, the share right.

    confidence, hits: (N,), probabilities of the answers, and 1 where the answer is right.
    """
    rows = []
    for k in range(bins):
        inside = (confidence > k / bins) & (confidence <= (k + 1) / bins)
        if not inside.any():
            continue
        rows.append((inside.sum(), confidence[inside].mean(), hits[inside].mean()))
    return rows


def judge_bins(answer: Any) -> str | None:
    """Whether a function sorts pictures into bins of confidence, and says what is in each."""
    check_function(answer)
    confidence = torch.tensor([0.32, 0.38, 0.55, 0.93, 0.94, 0.96, 0.97, 1.0])
    hits = torch.tensor([0.0, 1, 1, 1, 1, 0, 1, 1])
    try:
        with filled(Blank("the three places marked ...")):
            got = answer(confidence, hits)
    except RuntimeError as error:
        if "ambiguous" in str(error):
            return "`and` and a < b <= c do not work for tensors: join two comparisons with &."
        if "bitwise_and" in str(error):
            return "& binds before > and <=: put each comparison in brackets."
        raise
    if not isinstance(got, (list, tuple)):
        return "it should return the list of rows."
    if not got:
        return "all bins are empty: a picture is inside when both comparisons hold."
    for name, place in (("mean confidence", 1), ("share of right answers", 2)):
        if any(row[place] is ... for row in got):
            return f"still to fill in: the {name}."
    rows = [tuple(float(part) for part in row) for row in got]
    counted = [int(row[0]) for row in rows]
    if counted == [2, 1, 4]:
        return "a confidence of exactly 1 is in no bin: let the upper edge belong to the bin."
    if sum(counted) > len(hits):
        return "some pictures are in several bins: a bin has a lower edge and an upper edge."
    if len(answer(confidence, hits, 5)) != 3 or len(answer(confidence, hits, 1)) != 1:
        return "it is not right for another number of bins: the edges are k / bins, (k + 1) / bins."
    if counted != [2, 1, 5]:
        return (
            "of eight pictures 2 lie between 0.3 and 0.4, 1 between 0.5 and 0.6, 5 above 0.9; "
            f"its bins hold {', '.join(map(str, counted))}."
        )
    right = [(0.35, 0.5), (0.55, 1.0), (0.96, 0.8)]
    turned = [(hit, mean) for mean, hit in right]
    if all(map(_near, [v for row in rows for v in row[1:]], [v for row in turned for v in row])):
        return "confidence and share of right answers have changed places."
    for place, name, whole in (
        (1, "confidence", confidence),
        (2, "share of right answers", hits),
    ):
        found = [row[place] for row in rows]
        wanted = [row[place - 1] for row in right]
        if all(map(_near, found, wanted)):
            continue
        if all(_near(value, float(whole.mean())) for value in found):
            return f"the {name} is that of all pictures: take those inside the bin, [inside]."
        sums = [mean * count for mean, count in zip(wanted, counted, strict=True)]
        if all(map(_near, found, sums)):
            return f"the {name} is a sum: the mean is asked for."
        return f"the {name} of the last bin should be {wanted[2]:.2f}, it is {found[2]:.2f}."
    return None


# The table ----------------------------------------------------------------------------------------

EXERCISES = {
    "error": Exercise(
        judge_error,
        right="the spread of one value, divided by the root of their number; for -1, 0 and 1 too.",
        hints=[
            "Both blanks are one line. The text above says what the error of a mean is.",
            "values.std() is the spread of one value, len(values) their number. Shares become "
            "points by a factor of 100.",
            "The mean height of 25 people whose heights spread by 10 cm is known to "
            "10 / 25**0.5 = 2 cm.",
        ],
        course=lambda: mean_and_error,
    ),
    "sides": number(
        2.49,
        mistakes={
            60: "that is how many pictures B gains: turn it to points, then divide by the error.",
            0.6: "that is the difference in points: how many of its errors is that?",
            0.006: "that is the difference as a share: how many of its errors is that?",
            0.24: "that is the error of the difference: how often does it go into the difference?",
            0.0024: "that is the error, as a share: how often does it go into the difference?",
            1.45: "that is the error of two networks asked about different pictures.",
            2.07: "you divided by the error of one accuracy; take that of the difference.",
            0.1034: "divide by the root of the number of pictures that change sides.",
            3.35: "320 alone is not all: pictures that B loses change sides too.",
            3.72: "260 alone is not all: pictures that B wins change sides too.",
        },
        hints=[
            "Which pictures move the difference? Both kinds count for its error.",
            "The difference is (won - lost) / n, its error is the root of (won + lost), over n.",
            "40 won and 24 lost of 1,000: a difference of 1.6 points, an error of "
            "64**0.5 / 1000 = 0.8 points, so 2 errors.",
        ],
        right="0.60 points with an error of 0.24: more than two errors, so chance alone is "
        "unlikely.",
        tolerance=0.025,
    ),
    "bins": Exercise(
        judge_bins,
        right="each picture is in one bin, and each bin says what it promises and what it keeps.",
        hints=[
            "`inside` is True or False for each picture; the other two are means of a part.",
            "Two comparisons, joined with &, each in brackets. Then use `inside` as an index, as "
            "in the row's first entry, and take means.",
            "Ages from 20 to 29: inside = (age > 19) & (age <= 29); income[inside].mean().",
        ],
        course=lambda: calibration_table,
    ),
}

PREDICTIONS = {
    "lot": Prediction(
        options=("about a tenth", "about a half", "all, or nearly all"),
        right=2,
        because="A network of this size can store 128 labels, whatever they mean.",
    ),
    "twenty": Prediction(
        options=("by nothing", "by about 0.1 points", "by about 0.6 points", "by about 2 points"),
        right=2,
        because="The best of twenty lies almost two standard errors of 0.3 points above the mean.",
        held=(1, 2, 3),
    ),
    "paired": Prediction(
        options=("about 0.6, the sum", "about 0.4, the root of the squares' sum", "about 0.2"),
        right=2,
        because="Both answer the same pictures, and on most of them they are right together.",
    ),
    "confident": Prediction(
        options=("about 87%", "about 93.5%", "about 99%"),
        right=0,
        because="It was trained with softened targets, of 91%: it says less than it knows.",
        held=(5, 6, 7),
    ),
}

"""Exercises and predictions of notebook 05, training on Fashion-MNIST."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from gnet_utils.data import load_fashion_mnist, to_float
from gnet_utils.exercises import Exercise, Prediction, kind_of, number
from gnet_utils.exercises.trials import call, run

# 05.overfit ---------------------------------------------------------------------------------------


def judge_overfit(answer: Any) -> str | None:
    """Whether a network knows the first ten training pictures by heart, in eval mode."""
    images, labels = load_fashion_mnist("train")
    batch, labels = to_float(images[:10]), labels[:10]
    logits, _ = run(answer, batch)
    if logits.shape != (10, 10):
        shape = tuple(logits.shape)
        return f"ten pictures should give ten logits each, (10, 10), they give {shape}."
    if not torch.isfinite(logits).all():
        return "its logits are not finite: the learning rate was too large."
    right = int((logits.argmax(1) == labels).sum())
    if right < 10:
        with torch.no_grad():
            practised = answer.train()(batch)
        if torch.equal(practised.argmax(1), labels):
            return (
                f"in train() mode it knows all ten, in eval() mode {right}: the running averages "
                "of batch norm lag behind; take some more steps."
            )
        return f"it knows {right} of the ten: take more steps, always on the same ten pictures."
    loss = F.cross_entropy(logits, labels).item()
    if loss > 0.1:
        return f"all ten are right, but not surely: the loss is {loss:.2f}; go on until below 0.1."
    return None


# 05.range -----------------------------------------------------------------------------------------


def judge_range(answer: Any) -> str | None:
    """Whether a function steps -> learning rates grows from 0.001 to 10 by one factor."""
    if not callable(answer):
        return f"a function is asked for, this is {kind_of(answer)}: answer = rates."
    for steps in (5, 41):
        got = call(answer, steps)
        if not isinstance(got, (Sequence, torch.Tensor)) and not hasattr(got, "__array__"):
            return f"it should return a list or a tensor of rates, it returns {got!r}."
        got = np.array([float(rate) for rate in got])
        if len(got) != steps:
            return f"for {steps} steps it returns {len(got)} learning rates."
        exponents, first, last = np.linspace(-3, 1, steps), 0.001, 10
        if _near(got, 10**exponents):
            continue
        if _near(got, 10 ** exponents[::-1]):
            return "it falls: begin with the smallest rate, or the first step ends the test."
        if _near(got, exponents):
            return "these are the exponents, -3 to 1: raise 10 to them."
        if _near(got, np.exp(exponents)):
            return "you raised e to the exponents -3 to 1: raise 10 to them."
        if _near(got, 10 ** np.linspace(first, last, steps)):
            return "0.001 and 10 were taken as exponents of 10: logspace wants -3 and 1."
        if _near(got, np.linspace(first, last, steps)):
            return "it grows by adding: half of all steps would have a rate above 5; multiply."
        if _near(got, first * 10 ** (4 * np.arange(steps) / steps)):
            gaps = f"between {steps} rates lie {steps - 1} gaps"
            return f"it ends at {got[-1]:.3g}, not at 10: {gaps}."
        return f"for {steps} steps it begins {got[0]:.4g}, {got[1]:.4g} and ends {got[-1]:.4g}."
    return None


def _near(got: np.ndarray, wanted: np.ndarray) -> bool:
    return np.allclose(got, wanted, rtol=1e-3, atol=1e-6)


# The table ----------------------------------------------------------------------------------------

EXERCISES = {
    "mean": number(
        472 / 520,
        mistakes={
            (230 / 256 + 240 / 256 + 2 / 8) / 3: (
                "the mean of three means: the eight pictures of the last batch count as much as "
                "256 others."
            ),
            470 / 512: "the last batch is missing.",
            472 / 768: "the last batch is not full: it has 8 pictures.",
            472: "that is the number of right answers: divide by the number of pictures.",
            100 * 472 / 520: "right, in percent: give it as a fraction.",
        },
        hints=[
            "How many pictures are there, and how many were right?",
            "An Accumulator adds up right answers and pictures; it divides once, at the end.",
            "(230 + 240 + 2) / (256 + 256 + 8)",
        ],
        right="472 of 520. The mean of the three means would say 0.695.",
        tolerance=0.001,
    ),
    "error": number(
        0.6,
        mistakes={
            0.006: "that is the fraction: one point is 0.01.",
            0.000036: "that is the variance: take the root, then turn to points.",
            0.0036: "that is 100 times the variance: take the root before you turn to points.",
            0.09: "that is p (1 - p): divide by the number of pictures, then take the root.",
            0.3: "that is the root of p (1 - p), or for 10,000 pictures: here there are 2,500.",
            30: "that is the spread of one picture: divide by the root of the number of pictures.",
            1.8974: "the factor 1 - p is missing.",
            0.6325: "the factor p is missing.",
        },
        hints=[
            "One picture is right (1) or wrong (0); its variance is p (1 - p).",
            "The variance of a mean of n independent ones is n times smaller.",
            "100 * (0.9 * 0.1 / 2_500) ** 0.5",
        ],
        right="other 2,500 pictures would give a figure that differs by about that much.",
        tolerance=0.0002,
    ),
    "overfit": Exercise(
        judge=judge_overfit,
        right="it knows all ten by heart, so the loop, the labels and the gradients work.",
        hints=[
            "Take the loop from above, and the same ten pictures at every step.",
            "net.train() before the steps; check with net.eval(), as the world will use it.",
            "60 steps with learning rate 0.05 and momentum 0.9 are enough for width 0.125.",
        ],
    ),
    "time": number(
        17.6,
        mistakes={
            281.25: "you took the 2.4 s for one batch: they are for all 16.",
            9000: "you took the time of one batch for that of one picture.",
            7.32: "that is how many times 16 batches fit into the epoch: multiply by 2.4 s.",
            144_000: "you took the 2.4 s for one picture.",
            0.29: "that is minutes; give seconds.",
            0.15: "that is the time of one batch.",
            283.2: "those are 118 batches at 2.4 s: the 2.4 s are for all 16.",
            3413: "that is pictures a second: how long do 60,000 take?",
        },
        hints=[
            "How many pictures were timed?",
            "16 batches of 512 are 8,192 pictures in 2.4 s.",
            "60_000 / (16 * 512 / 2.4)",
        ],
        right="8,192 pictures in 2.4 s are 3,413 a second, and 60,000 of them take 17.6 s.",
        tolerance=0.125,
    ),
    "range": Exercise(
        judge=judge_range,
        right="every step multiplies by the same factor, so each power of ten gets its share.",
        hints=[
            "Equal steps on a logarithmic axis: each rate is the one before times a constant.",
            "The exponent goes from -3 to 1 in equal steps.",
            "torch.logspace counts in exponents.",
        ],
    ),
    "width": number(
        4,
        mistakes={
            2: "channels in and channels out are both halved.",
            16: "width 0.25 is half of 0.5, not a quarter, and the map keeps its height and width.",
            0.25: "turn the ratio round: how many times fewer.",
            0.5: "that is the ratio of the widths, not of the work.",
            25: "that is the share that is left, in percent: how many times fewer?",
            8: "the map keeps its size; only channels in and channels out are halved.",
        },
        hints=[
            "A convolution costs k * k * in * out for each pixel of its map.",
            "Halve in, halve out.",
        ],
        right="half the channels in times half the channels out is a quarter of the work.",
        tolerance=0.15,
    ),
}

PREDICTIONS = {
    "people": Prediction(
        options=("about 67%", "about 83%", "about 93%", "about 99%"),
        right=1,
        because="83.5%. About 67 people voting on each picture, in another test: 82.2%.",
    ),
    "twenty": Prediction(
        options=("90.0%", "about 90.2%", "about 90.6%", "about 92%"),
        right=2,
        because="The best of twenty lies almost two standard errors of 0.3 points above the mean.",
    ),
    "first_loss": Prediction(
        options=("0", "about 0.1", "about 0.9", "about 2.3"),
        right=3,
        because="Who gives each of ten classes a tenth has the loss ln 10, about 2.303.",
    ),
    "start": Prediction(
        options=(
            "a warm-up of the learning rate",
            "batch norm",
            "another initialisation",
            "only all three together",
        ),
        right=1,
        because="Batch norm makes pictures differ at every stage, whatever the weights are.",
    ),
    "hardest": Prediction(
        options=("Shirt", "Sandal", "Bag", "Ankle boot"),
        right=0,
        because="Shirts look like T-shirts, pullovers and coats; shoes and bags look like nothing "
        "else.",
    ),
}

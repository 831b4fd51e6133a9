"""Exercises and predictions of notebook 08, many views."""

from itertools import product
from typing import Any

import torch
from torch import Tensor

from gnet_utils.augment import ten_crops
from gnet_utils.exercises import Blank, Exercise, Mistake, Prediction, kind_of, number
from gnet_utils.exercises.trials import call, filled, named


def _filled(answer: Any, *arguments: Any, places: str, how: str) -> Tensor:
    """The tensor that a function gives; Blank for the stub, Mistake for one filled in by half."""
    with filled(Mistake("a place with ... is still to be filled in.")):
        got = call(answer, *arguments, how=how)
    if got is ...:
        raise Blank(places)
    if isinstance(got, (list, tuple)) and got and isinstance(got[0], Tensor):
        raise Mistake("it returns a list: torch.stack makes one tensor of it.")
    if not isinstance(got, Tensor):
        raise Mistake(f"it should return a tensor, it returns {kind_of(got)}.")
    return got


# 08.views -----------------------------------------------------------------------------------------


def judge_views(answer: Any) -> str | None:
    """Whether a function (images, size) makes the ten crops, in any order."""
    for shape, size in (((2, 3, 32, 32), 28), ((3, 1, 40, 52), 24), ((2, 3, 31, 45), 24)):
        images = torch.arange(torch.Size(shape).numel(), dtype=torch.float32).reshape(shape)
        how = f"for a batch {shape} and size {size}"
        try:
            places = "the places marked ... in ten_crops"
            got = _filled(answer, images.clone(), size, places=places, how=how)
        except Mistake as mistake:
            if any(words in str(mistake) for words in ("equal size", "must match")):
                return (
                    f"{how} crops of several sizes come out: a crop that begins in row "
                    "3 ends in row 3 + size, inside the picture."
                )
            raise
        if mistake := _compare(got, images, size):
            return f"{how}: {mistake}"
    return None


def _compare(got: Tensor, images: Tensor, size: int) -> str | None:
    expected = ten_crops(images, size)
    corners = expected[:4]
    rests = [side - size for side in images.shape[2:]]
    middles = [  # the larger half of an odd rest may lie on either side
        images[None, :, :, y : y + size, x : x + size]
        for y, x in product(*({rest // 2, (rest + 1) // 2} for rest in rests))
    ]
    if got.shape == expected[:5].shape:
        return "five crops come out: each of them is also mirrored."
    if got.shape == expected.transpose(0, 1).shape:
        return "the views belong on the first axis, the pictures on the second."
    if got.shape == expected.flatten(0, 1).shape:
        return "torch.cat lays the crops on the axis of the pictures: torch.stack makes a new one."
    if got.shape != expected.shape:
        return f"{tuple(expected.shape)} should come out, got {tuple(got.shape)}."
    if not any(_has(got, middle) for middle in middles):
        if _has(got, corners):
            return "the corners are right, the middle is not: half of the rest lies on each side."
        return "the crop of the middle is missing."
    if not _has(got, corners):
        if len({tuple(crop.flatten().tolist()) for crop in got}) < 10:
            return "some crops come out twice: four different corners are needed."
        return "a corner is missing: the crops must touch the edges of the picture."
    if _has(got, corners.flip(-2)):
        return "these are turned upside down: mirror left to right, the last axis."
    if not _has(got, corners.flip(-1)) or not any(_has(got, one.flip(-1)) for one in middles):
        return "the five crops are there, their mirror images are not."
    return None


def _has(got: Tensor, wanted: Tensor) -> bool:
    """Whether each crop of `wanted` is among those of `got`."""
    return all(any(torch.equal(crop, one) for one in got.to(wanted)) for crop in wanted)


# 08.average ---------------------------------------------------------------------------------------


def average_of_views(logits: Tensor) -> Tensor:
    """Logits (views, N, classes) to probabilities (N, classes): the mean over the views."""
    return logits.softmax(-1).mean(0)


def judge_average(answer: Any) -> str | None:
    """Whether a function averages the probabilities of the views."""
    logits = 3 * torch.randn(4, 5, 7, generator=torch.Generator().manual_seed(8))
    how = "for logits (4, 5, 7)"
    places = "the places marked ... in average_of_views"
    got = _filled(answer, logits.clone(), places=places, how=how).to(logits)
    right, of_each = average_of_views(logits), logits.softmax(-1)
    if got.shape == of_each.shape:
        return "one answer for each view comes out: the mean over the views is missing."
    if got.shape == right.shape[:1]:
        return "these are classes, one for each picture: give the probabilities of all classes."
    if got.shape != right.shape:
        axis = "the mean is over the views, the first axis"
        return f"{how} (5, 7) should come out, got {tuple(got.shape)}: {axis}."

    def same(other: Tensor) -> bool:
        return torch.allclose(got, other, atol=1e-5)

    slips = {
        "that is the softmax of the mean logits: the softmax of each view comes first.": (
            logits.mean(0).softmax(-1)
        ),
        "these are mean logits: no softmax makes probabilities of them.": logits.mean(0),
        "that is the sum: the probabilities of a picture add up to the number of views.": (
            of_each.sum(0)
        ),
        "that is the largest answer of any view, not the mean.": of_each.amax(0),
        "the softmax runs over the views: it should run over the classes, the last axis.": (
            logits.softmax(0).mean(0)
        ),
        "the softmax runs over the pictures: it should run over the classes, the last axis.": (
            logits.softmax(1).mean(0)
        ),
        "that is the mean of the logarithms: use softmax, not log_softmax.": (
            logits.log_softmax(-1).mean(0)
        ),
        "a second softmax follows the mean: the mean of probabilities is already one.": (
            right.softmax(-1)
        ),
    }
    if same(right):
        return None
    return named(slips, same) or "right shape, wrong numbers: softmax of each view, then the mean."


EXERCISES = {
    "views": Exercise(
        judge_views,
        right="four corners, the middle, and their mirror images, of every picture.",
        hints=[
            "How many pixels are left over in height and in width? A crop may begin at 0, at half "
            "of them, or at all of them.",
            "Collect five crops, make one tensor of them, then put its mirror image behind it.",
            "The two halves of a batch of 28x28 pictures, and the same upside down: "
            "two = torch.stack([images[:, :, :, 0:14], images[:, :, :, 14:28]]), then "
            "torch.cat([two, two.flip(-2)]).",
        ],
        course=lambda: ten_crops,
    ),
    "differ": number(
        48,
        mistakes={
            144: "that is all of them: how far apart are the three squares of a square photo?",
            24: "the mirror images are missing.",
            12: "that is one scale; there are four.",
            36: "that is one scale with three squares; here the three are the same.",
            40: "that leaves out the whole square, resized.",
            96: "that is how many are repeats.",
            42: "the whole square is resized from another scale each time: its pixels differ.",
            432: "a square photo has fewer, not more.",
        },
        hints=[
            "Where do the left, the middle and the right square lie when the photo is square?",
            "Count one scale first: its different squares, the crops in each, their mirror images.",
            "A photo twice as wide as high, with two squares, left and right, of 5 crops at each "
            "of 3 scales, not mirrored, has 3 * 2 * 5 = 30.",
        ],
        right="the three squares are one, so every crop is made three times.",
    ),
    "gain": number(
        0.0094,
        tolerance=0.00006,
        mistakes={
            -0.0094: "the size is right; the question asks how much is *saved*, a positive number.",
            1.26 / 144: "that divides by all 144 passes: 10 of them were paid before.",
            0.92 / 9: "that is the gain of the step before, from 1 crop to 10.",
            2.18 / 143: "that is the mean over the whole way, from 1 crop to 144.",
            2.18 / 144: "that is the whole gain by all passes; the question begins at 10 crops.",
            2.18 / 134: "2.18 is the gain since 1 crop; the question begins at 10.",
            0.01: "that is rounded too far: give two digits that are not zero.",
            0.009: "that is rounded too far: one digit more.",
            0.92: "that is what the first nine passes save together.",
            2.18: "that is what all passes save together, from 1 crop to 144.",
            1.26: "that is the gain of all these passes together.",
            106.35: "that is passes for each point; turn the ratio round.",
        },
        hints=[
            "Which two rows of the table does the question compare?",
            "Divide the points that the error falls by the passes that are added.",
            "Seven networks, from 1 crop to 10: (8.09 - 7.62) / (70 - 7) = 0.0075 for each pass.",
        ],
        right="a hundredth of a point for each pass; the first nine brought a tenth each.",
    ),
    "average": Exercise(
        judge_average,
        right="the softmax of each view over its classes, then the mean over the views.",
        hints=[
            "Read the shape (views, N, classes): over which axis do probabilities add up to one?",
            "Two steps: each view gets its softmax first; then the first axis goes.",
            "The mean over the classes of exponentials, scores of shape (views, N, classes): "
            "scores.exp().mean(dim=2). Here another function, and another axis.",
        ],
        course=lambda: average_of_views,
    ),
}

PREDICTIONS = {
    "mirror": Prediction(
        options=(
            "it rises by about one point, as ten crops did in the paper",
            "it stays the same within the error",
            "it falls",
        ),
        right=2,
        because="This network has never seen a mirrored picture: all its shoes point to the left.",
        held=(2, 3, 4),
    ),
    "crops": Prediction(
        options=("they lose several points", "nothing that shows", "two or three points"),
        right=2,
        because="Parts of garments, enlarged, are what these networks have learned from.",
    ),
    "seven": Prediction(
        options=("less than a twentieth", "about a quarter", "more than a half"),
        right=2,
        because="Networks that learned from the same pictures err on the same pictures.",
    ),
}

"""Exercises and predictions of notebook 08, many views."""

from math import comb
from typing import Any

import torch
from torch import Tensor

from gnet_utils.exercises import Exercise, Mistake, Prediction, kind_of, number
from gnet_utils.exercises.trials import call

# 08.ten -------------------------------------------------------------------------------------------


def cut_ten(image: Tensor, size: int, round_up: tuple[int, int] = (0, 0)) -> Tensor:
    """The ten crops of image (C, H, W): corners and centre, then the same mirrored.

    The centre of an odd rest begins a half pixel too early, too late where `round_up` is 1.
    """
    height, width = image.shape[1:]
    down, right = height - size, width - size
    centre = ((down + round_up[0]) // 2, (right + round_up[1]) // 2)
    corners = [(0, 0), (0, right), (down, 0), (down, right), centre]
    five = torch.stack([image[:, y : y + size, x : x + size] for y, x in corners])
    return torch.cat([five, five.flip(3)])


def judge_ten(answer: Any) -> str | None:
    """Whether a function (image, size) makes the ten crops, in any order."""
    for shape, size in (((3, 32, 32), 28), ((1, 40, 52), 24), ((3, 31, 45), 24)):
        image = torch.arange(torch.Size(shape).numel(), dtype=torch.float32).reshape(shape)
        how = f"for a picture {shape} and size {size}"
        try:
            got = call(answer, image.clone(), size, how=how)
        except Mistake as mistake:
            if any(words in str(mistake) for words in ("equal size", "must match")):
                return f"{how} crops of several sizes come out: does each lie in the picture?"
            raise
        if isinstance(got, (list, tuple)) and got and isinstance(got[0], Tensor):
            return "it returns a list: torch.stack makes one tensor of it."
        if not isinstance(got, Tensor):
            return f"it should return a tensor, it returns {kind_of(got)}."
        if mistake := _compare(got, image, size):
            return f"{how}: {mistake}"
    return None


def _compare(got: Tensor, image: Tensor, size: int) -> str | None:
    channels, expected = len(image), cut_ten(image, size)
    corners = expected[:4]
    # The larger half of an odd rest may lie on either side.
    centres = [cut_ten(image, size, up)[4:5] for up in ((0, 0), (0, 1), (1, 0), (1, 1))]
    if got.shape == (5, channels, size, size):
        return "five crops come out: each of them is also mirrored."
    if got.shape != expected.shape:
        return f"{tuple(expected.shape)} should come out, got {tuple(got.shape)}."
    if not any(_has(got, centre) for centre in centres):
        if _has(got, corners):
            return "the corners are right, the centre is not: half of the rest lies on each side."
        return "the crop of the centre is missing."
    if not _has(got, corners):
        if len({tuple(crop.flatten().tolist()) for crop in got}) < 10:
            return "some crops come out twice: four different corners are needed."
        return "a corner is missing: the crops must touch the edges of the picture."
    if _has(got, corners.flip(2)):
        return "these are turned upside down: mirror left to right, the last axis."
    if not _has(got, corners.flip(3)) or not any(_has(got, one.flip(3)) for one in centres):
        return "the five crops are there, their mirror images are not."
    return None


def _has(got: Tensor, wanted: Tensor) -> bool:
    """Whether each crop of `wanted` is among those of `got`."""
    return all(any(torch.equal(crop, one) for one in got.to(wanted)) for crop in wanted)


# 08.majority --------------------------------------------------------------------------------------


def outvoted(wrong: float, nets: int = 7) -> float:
    """Probability that most of `nets` independent networks are wrong, each with `wrong`."""
    return sum(
        comb(nets, k) * wrong**k * (1 - wrong) ** (nets - k) for k in range(nets // 2 + 1, nets + 1)
    )


MAJORITY = 100 * outvoted(0.1)  # 0.27%

EXERCISES = {
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
            "One square for each scale, six crops in it, each also mirrored.",
            "4 * 1 * 6 * 2",
        ],
        right="the three squares are one, so every crop is made three times.",
    ),
    "ten": Exercise(
        judge_ten,
        right="corners, centre and their mirror images: the ten crops of Table 3.",
        hints=[
            "How many pixels are left over in height and in width? A crop may begin at 0, at half "
            "of them, or at all of them.",
            "image[:, y : y + size, x : x + size] cuts one; collect five and torch.stack them.",
            "torch.cat([five, five.flip(3)]) adds the mirror images.",
        ],
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
            "How many points does the error fall from 10 to 144 crops?",
            "How many passes are added?",
            "(9.15 - 7.89) / (144 - 10)",
        ],
        right="a hundredth of a point for each pass; the first nine brought a tenth each.",
    ),
    "geometric": number(
        0.3526,
        tolerance=0.003,  # 0.35 is right
        mistakes={
            0.5367: "that is the mean of the probabilities.",
            0.1857: "that is the geometric mean; the two classes do not add up to 1 yet.",
            0.8: "that is the middle one of the three.",
            0.647: "that is the other class.",
            0.0064: "that is the product: take the cube root, then divide by the sum.",
            0.01: "that is the third view's own answer; it weighs much, but does not decide alone.",
            -0.6075: "that is the mean of the logits; make a probability of it.",
            0.1391: "you compared the products; take the cube root of each first.",
        },
        hints=[
            "The mean of logarithms is the logarithm of the geometric mean.",
            "(0.8 * 0.8 * 0.01) ** (1 / 3) for one class, (0.2 * 0.2 * 0.99) ** (1 / 3) for the "
            "other.",
            "Divide the first by the sum of both.",
        ],
        right="one view that is sure of the opposite outvotes two that are only fairly sure.",
    ),
    "majority": number(
        0.2715,  # with the tolerance 0.27 and 0.273 are right, and no two mistakes overlap
        tolerance=0.0026,
        mistakes={
            0.00001: "that is all seven wrong; four of them are enough.",
            10.0: "that is one network alone.",
            100
            * 35
            * 0.1**4
            * 0.9**3: "that is exactly four wrong; five, six and seven count too.",
            100 * 0.1**4 * 0.9**3: "that is one way to choose the four; there are 35.",
            0.35: "the other three must be right in that case: each brings a factor of 0.9.",
            0.0025515: "that is exactly four wrong, and as a fraction.",
            0.01: "that is four given networks all wrong; any majority of the seven will do.",
            0.002728: "that is the fraction; percent are asked for.",
            100 - MAJORITY: "that is the probability that the majority is right.",
            2.569: "three of seven are no majority.",
            0.3: "that is rounded too far: one digit more.",
        },
        hints=[
            "The majority is wrong when 4, 5, 6 or 7 networks are.",
            "math.comb(7, k) ways to choose which k are wrong, 0.1**k * 0.9**(7 - k) for each.",
            "100 * sum(math.comb(7, k) * 0.1**k * 0.9**(7 - k) for k in range(4, 8))",
        ],
        right="about a 37th of 10%, if they erred independently. They do not, as you see below.",
    ),
}

PREDICTIONS = {
    "photo": Prediction(
        options=("the middle of the photo", "its corners", "all pixels equally"),
        right=0,
        because="Every square and nearly every crop in it contains the middle.",
    ),
    "views": Prediction(
        options=(
            "it rises by about one point, as in the paper",
            "it stays the same within the error",
            "it falls",
        ),
        right=2,
        because="This network has never seen a mirrored picture: all its shoes point to the left.",
    ),
    "seven": Prediction(
        options=("less than a twentieth", "about a quarter", "more than a half"),
        right=2,
        because="Networks that learned from the same pictures err on the same pictures.",
    ),
    "train": Prediction(
        options=("none", "mirror", "shift", "erase", "crop"),
        right=4,
        because="A crop may show a twelfth of a shoe: that is harder, and the run is short.",
    ),
}

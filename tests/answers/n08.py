"""Right answers of many forms to notebook 08, and wrong ones with words of what they are told."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial

import numpy as np
import torch
from torch import Tensor

from answers.forms import AsModule, Calling, forms
from gnet_utils.augment import ten_crops
from gnet_utils.exercises.n08 import average_of_views


def mirrored_first(images: Tensor, size: int) -> Tensor:
    def five(pictures):
        down, right = pictures.shape[-2] - size, pictures.shape[-1] - size
        return [
            pictures[..., :size, :size],
            pictures[..., -size:, :size],
            pictures[..., :size, -size:],
            pictures[..., -size:, -size:],
            pictures[..., round(down / 2) :, round(right / 2) :][..., :size, :size],
        ]

    return torch.stack(five(images.flip(-1)) + five(images))


def in_pairs(images: Tensor, size: int) -> Tensor:
    ten = ten_crops(images, size)
    return ten[[0, 5, 1, 6, 2, 7, 3, 8, 4, 9]]


def in_numpy(images: Tensor, size: int) -> Tensor:
    pictures = images.numpy()
    down, right = (side - size for side in pictures.shape[2:])
    result = np.zeros((10, *pictures.shape[:2], size, size))
    starts = [(0, 0), (down, right), (0, right), (down, 0), (-(-down // 2), right // 2)]
    for n, (y, x) in enumerate(starts):
        result[n] = pictures[:, :, y : y + size, x : x + size]
        result[n + 5] = result[n][..., ::-1]
    return torch.from_numpy(result)


def off_middle(images: Tensor, size: int) -> Tensor:
    ten = ten_crops(images, size)
    return torch.cat([ten[:4], images[None, :, :, 1 : size + 1, 1 : size + 1], ten[5:]])


def rows_for_columns(images: Tensor, size: int) -> Tensor:
    down, right = images.shape[2] - size, images.shape[3] - size
    starts = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    five = torch.stack([images[:, :, x : x + size, y : y + size] for y, x in starts])
    return torch.cat([five, five.flip(4)])


def even_only(images: Tensor, size: int) -> Tensor:
    ten, (down, right) = ten_crops(images, size), ((n - size) // 2 for n in images.shape[2:])
    middle = images[None, :, :, down:-down, right:-right]
    return torch.cat([ten[:4], middle, ten[5:9], middle.flip(4)])


def of_ten(change: Callable[[Tensor], Tensor]) -> Callable[[Tensor, int], Tensor]:
    """A function that spoils the right ten crops."""
    return lambda images, size: change(ten_crops(images, size))


RIGHT = {
    "08.views": [
        ten_crops,
        mirrored_first,
        in_pairs,
        in_numpy,
        partial(ten_crops),
        Calling(mirrored_first),
        AsModule(ten_crops),
        of_ten(lambda ten: ten.flip(0).double().requires_grad_()),
    ],
    "08.differ": [*forms(48), 4 * 1 * 6 * 2, len(set(range(48)))],
    "08.gain": [
        0.0094,
        "0.0094",
        (9.15 - 7.89) / 134,
        np.float32(1.26) / 134,
        Fraction(126, 13400),
    ],
    "08.average": [
        average_of_views,
        Calling(average_of_views),
        AsModule(average_of_views),
        lambda logits: torch.softmax(logits, dim=-1).sum(0) / len(logits),
        lambda logits: torch.stack([view.softmax(1) for view in logits]).mean(dim=0).double(),
        lambda logits: (logits.exp() / logits.exp().sum(2, keepdim=True)).mean(0),
    ],
}

WRONG = {
    "08.views": [
        (10, "a function is asked for"),
        (lambda images, size: ..., "the places marked ..."),
        (lambda images, size: (...).flip(4), "still to be filled in"),
        (lambda images, size: torch.stack(...), "still to be filled in"),
        (of_ten(lambda ten: ten[:5]), "each of them is also mirrored"),
        (of_ten(lambda ten: torch.cat([ten[:5], ten[:5].flip(3)])), "upside down"),
        (of_ten(list), "torch.stack"),
        (of_ten(tuple), "torch.stack"),
        (of_ten(lambda ten: ten.transpose(0, 1)), "the views belong on the first axis"),
        (of_ten(lambda ten: ten[[0, 0, 0, 0, 4, 5, 5, 5, 5, 9]]), "come out twice"),
        (of_ten(lambda ten: torch.cat([ten[:5], torch.rand_like(ten[:5])])), "images are not"),
        (of_ten(lambda ten: torch.cat([ten[:5], ten[:5]])), "their mirror images are not"),
        (of_ten(lambda ten: ten / 255), "the crop of the middle is missing"),
        (of_ten(lambda ten: ten[:, 0]), "should come out"),
        (of_ten(lambda ten: ten.flatten(0, 1)), "torch.stack makes a new one"),
        (off_middle, "the middle is not"),
        (rows_for_columns, "for a batch (3, 1, 40, 52) and size 24 crops of several sizes"),
        (even_only, "for a batch (2, 3, 31, 45) and size 24 crops of several sizes"),
        (lambda images, size: images.expand(10, -1, -1, -1, -1), "should come out"),
        (lambda images, size: ten_crops(images[:, :, :32, :32], size), "(3, 1, 40, 52) and size"),
    ],
    "08.gain": [(0.009, "rounded too far"), (0.92, "first nine passes")],
    "08.average": [
        (0.5, "a function is asked for"),
        (lambda logits: ..., "the places marked ..."),
        (lambda logits: (...).mean(0), "still to be filled in"),
        (lambda logits: logits.softmax(2), "the mean over the views is missing"),
        (lambda logits: logits.mean(0).softmax(1), "softmax of the mean logits"),
        (lambda logits: logits.mean(0), "no softmax"),
        (lambda logits: logits.softmax(2).sum(0), "that is the sum"),
        (lambda logits: logits.softmax(2).amax(0), "the largest answer"),
        (lambda logits: logits.softmax(0).mean(0), "runs over the views"),
        (lambda logits: logits.softmax(1).mean(0), "runs over the pictures"),
        (lambda logits: logits.log_softmax(2).mean(0), "mean of the logarithms"),
        (lambda logits: logits.softmax(2).mean(0).softmax(1), "a second softmax"),
        (lambda logits: logits.softmax(2).mean(0).argmax(1), "these are classes"),
        (lambda logits: logits.softmax(2).mean(1), "the mean is over the views"),
        (lambda logits: logits.softmax(2).mean(), "the mean is over the views"),
        (lambda logits: logits.sigmoid().mean(0), "right shape, wrong numbers"),
        (lambda logits: logits.softmax(2).tolist(), "it returns a list"),
    ],
}

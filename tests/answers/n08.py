"""Right answers of many forms to notebook 08, and wrong ones with words of what they are told."""

import math
from fractions import Fraction
from functools import partial

import numpy as np
import torch
from torch import Tensor

from answers.forms import AsModule, Calling, forms
from gnet_utils.exercises.n08 import cut_ten


def mirrored_first(image, size):
    def five(picture):
        down, right = picture.shape[1] - size, picture.shape[2] - size
        return [
            picture[:, :size, :size],
            picture[:, -size:, :size],
            picture[:, :size, -size:],
            picture[:, -size:, -size:],
            picture[:, round(down / 2) :, round(right / 2) :][:, :size, :size],
        ]

    return torch.stack(five(image) + five(image.flip(-1)))


def in_pairs(image, size):
    crops = cut_ten(image, size)
    return torch.stack([crop for pair in zip(crops[:5], crops[5:], strict=True) for crop in pair])


def in_numpy(image, size):
    picture = image.numpy()
    down, right = (side - size for side in picture.shape[1:])
    result = np.zeros((10, len(picture), size, size))
    for n, (y, x) in enumerate(
        [(0, 0), (down, right), (0, right), (down, 0), (-(-down // 2), right // 2)]
    ):
        result[n] = picture[:, y : y + size, x : x + size]
        result[n + 5] = result[n][:, :, ::-1]
    return torch.from_numpy(result)


def five_only(image: Tensor, size: int) -> Tensor:
    return cut_ten(image, size)[:5]


def upside_down(image: Tensor, size: int) -> Tensor:
    five = five_only(image, size)
    return torch.cat([five, five.flip(2)])


def as_a_list(image: Tensor, size: int) -> list[Tensor]:
    return list(cut_ten(image, size))


def off_centre(image: Tensor, size: int) -> Tensor:
    ten = cut_ten(image, size)
    moved = image[:, 1 : size + 1, 1 : size + 1]
    return torch.cat([ten[:4], moved[None], ten[5:]])


def one_corner(image: Tensor, size: int) -> Tensor:
    ten = cut_ten(image, size)
    return ten[[0, 0, 0, 0, 4, 5, 5, 5, 5, 9]]


def twice(image: Tensor, size: int) -> Tensor:
    five = five_only(image, size)
    noise = torch.rand_like(five)
    return torch.cat([five, noise])


def whole(image: Tensor, size: int) -> Tensor:
    return image.expand(10, -1, -1, -1)


def rows_for_columns(image: Tensor, size: int) -> Tensor:
    down, right = image.shape[1] - size, image.shape[2] - size
    corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    five = torch.stack([image[:, x : x + size, y : y + size] for y, x in corners])
    return torch.cat([five, five.flip(3)])


def even_only(image: Tensor, size: int) -> Tensor:
    ten, (down, right) = cut_ten(image, size), ((side - size) // 2 for side in image.shape[1:])
    centre = image[None, :, down:-down, right:-right]
    return torch.cat([ten[:4], centre, ten[5:9], centre.flip(3)])


RIGHT = {
    "08.differ": [*forms(48), 4 * 1 * 6 * 2, len(set(range(48)))],
    "08.ten": [
        cut_ten,
        mirrored_first,
        in_pairs,
        in_numpy,
        partial(cut_ten),
        Calling(mirrored_first),
        AsModule(cut_ten),
        lambda image, size: cut_ten(image, size).flip(0).double().requires_grad_(),
        lambda image, size: cut_ten(image, size, round_up=(1, 0)),
    ],
    "08.gain": [
        0.0094,
        "0.0094",
        (9.15 - 7.89) / 134,
        np.float32(1.26) / 134,
        Fraction(126, 13400),
    ],
    "08.geometric": [
        0.35,
        "0.353",
        np.exp(np.log([0.8, 0.8, 0.01]).mean()) / 0.5267,
        torch.tensor([[0.8, 0.2], [0.8, 0.2], [0.01, 0.99]]).log().mean(0).softmax(0)[0],
    ],
    "08.majority": [
        0.27,
        "0.27%",
        "0.273",
        100 * sum(math.comb(7, k) * 0.1**k * 0.9 ** (7 - k) for k in range(4, 8)),
        100
        * (
            1
            - torch.distributions.Binomial(7, torch.tensor(0.1))
            .log_prob(torch.arange(4.0))
            .exp()
            .sum()
        ),
    ],
}

WRONG = {
    "08.ten": [
        (10, "a function is asked for"),
        (five_only, "each of them is also mirrored"),
        (upside_down, "upside down"),
        (as_a_list, "torch.stack"),
        (off_centre, "the centre is not"),
        (one_corner, "come out twice"),
        (twice, "their mirror images are not"),
        (whole, "should come out"),
        (rows_for_columns, "for a picture (1, 40, 52) and size 24 crops of several sizes"),
        (even_only, "for a picture (3, 31, 45) and size 24 crops of several sizes"),
        (lambda image, size: tuple(cut_ten(image, size)), "torch.stack"),
        (lambda image, size: cut_ten(image, size) / 255, "the centre is missing"),
        (lambda image, size: cut_ten(image[:, :32, :32], size), "(1, 40, 52) and size 24: "),
    ],
    "08.gain": [(0.009, "rounded too far"), (0.92, "first nine passes")],
    "08.majority": [(0.3, "rounded too far"), (0.002728, "percent are asked for")],
}

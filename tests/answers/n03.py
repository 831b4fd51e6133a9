"""Right answers of many forms to notebook 03, and wrong ones with words of what they are told."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from answers.forms import Running, forms, used
from gnet_utils.models import GOOGLENET_BLOCKS, BlockWidths, Inception, NaiveInception


def block(in_channels: int, row: BlockWidths, relu: Callable = F.relu, order="1357") -> nn.Module:
    """An Inception block with functional ReLUs and pooling, its layers made in another order."""

    def forward(layers, x):
        pool, large, middle, small, reduce_3x3, reduce_5x5 = layers
        branches = {
            "7": relu(pool(F.max_pool2d(x, 3, 1, 1))),
            "5": relu(large(relu(reduce_5x5(x)))),
            "3": relu(middle(relu(reduce_3x3(x)))),
            "1": relu(small(x)),
        }
        return torch.concat([branches[name] for name in order], 1)

    return Running(
        nn.Conv2d(in_channels, row.pool_proj, 1),
        nn.Conv2d(row.reduce_5x5, row.out_5x5, 5, padding="same"),
        nn.Conv2d(row.reduce_3x3, row.out_3x3, 3, padding=1),
        nn.Conv2d(in_channels, row.out_1x1, 1),
        nn.Conv2d(in_channels, row.reduce_3x3, 1),
        nn.Conv2d(in_channels, row.reduce_5x5, 1),
        forward=forward,
    )


def pooled(**arguments) -> nn.Module:
    made = Inception(192, *GOOGLENET_BLOCKS["3a"])
    made.branch_pool[0] = nn.MaxPool2d(3, padding=1, **arguments)
    return made


class Padding:
    def __call__(self, kernel_size, dilation=1):
        return dilation * (kernel_size // 2)


def repaired(**changes: Callable[[], nn.Module]) -> nn.Module:
    """Block 3a with some branches put in place of the right ones (wrong answers for the tests)."""
    block = Inception(192, *GOOGLENET_BLOCKS["3a"])
    for name, make in changes.items():
        setattr(block, name, make())
    return block


def torchvision_branch() -> nn.Module:
    conv, relu = nn.Conv2d, nn.ReLU
    return nn.Sequential(conv(192, 16, 1), relu(), conv(16, 32, 3, padding=1), relu())


def linear_branch() -> nn.Module:
    return nn.Sequential(nn.Conv2d(192, 96, 1), nn.Conv2d(96, 128, 3, padding=1), nn.ReLU())


def jumping_branch() -> nn.Module:
    return nn.Sequential(nn.MaxPool2d(3, padding=1), nn.Conv2d(192, 32, 1), nn.ReLU())


def bare_branch() -> nn.Module:
    return nn.Sequential(nn.Conv2d(192, 64, 1))


RIGHT = {
    "03.padding": [
        lambda kernel_size, dilation=1: dilation * (kernel_size - 1) // 2,
        lambda kernel_size, dilation=1: np.int64(dilation) * (kernel_size // 2),
        lambda k, d=1: torch.tensor(d * (k - 1)) // 2,
        lambda k, d=1: np.array(d * (k - 1) // 2),
        partial(lambda k, d=1, half=1: int(d * (k - 1) / half), half=2),
        Padding(),
        lambda kernel_size, dilation=1: round(dilation * (kernel_size - 1) / 2),
    ],
    "03.naive": forms(1_089_536),
    "03.row": [
        Inception(512, *GOOGLENET_BLOCKS["4d"]),
        Inception(
            in_channels=512,
            pool_proj=64,
            out_5x5=64,
            reduce_5x5=32,
            out_3x3=288,
            reduce_3x3=144,
            out_1x1=112,
        ),
        Inception(512, *GOOGLENET_BLOCKS["4d"], norm="batch").double(),
        used(Inception(512, *GOOGLENET_BLOCKS["4d"], norm="batch"), 512, 8, 8),
        block(512, GOOGLENET_BLOCKS["4d"]),
        nn.Sequential(Inception(512, 112, 144, 288, 32, 64, 64)),
    ],
    "03.window": forms(91),
    "03.repair": [
        Inception(192, *GOOGLENET_BLOCKS["3a"]),
        block(192, GOOGLENET_BLOCKS["3a"]),
        block(192, GOOGLENET_BLOCKS["3a"], relu=lambda x: x.clamp(min=0)).double(),
        block(192, GOOGLENET_BLOCKS["3a"], relu=nn.ReLU(inplace=True)),
        pooled(stride=[1, 1]),
    ],
    "03.two3x3": forms(29),
}

WRONG = {
    "03.padding": [
        (lambda kernel_size, dilation=1: kernel_size // 2, "forgets that dilation"),
        (lambda kernel_size, dilation=1: dilation * (kernel_size - 1), "both sides together"),
        (lambda kernel_size, dilation=1: dilation * (kernel_size - 1) / 2, "divide with //"),
        (lambda kernel_size, dilation=1: kernel_size, "does not keep its size"),
        (lambda kernel_size, dilation=1: None, "return"),
        (1, "a function is asked for"),
        (lambda kernel_size, dilation=1: np.float64(dilation * (kernel_size - 1) / 2), "with //"),
        (lambda kernel_size, dilation=1: "same", "wants a whole number."),
        (lambda kernel_size, dilation=1: (1, 1), "wants a whole number."),
        (lambda kernel_size, dilation: kernel_size // 2, "without dilation"),
    ],
    "03.row": [
        (Inception, "add brackets"),
        (528, "a module is asked for"),
        (Inception(192, *GOOGLENET_BLOCKS["4d"]), "reads 192 channels, 512 come"),
        (Inception(528, *GOOGLENET_BLOCKS["4d"]), "reads 528 channels, 512 come"),
        (Inception(512, 112, 288, 144, 64, 32, 64), "wider than what follows"),
        (Inception(512, *GOOGLENET_BLOCKS["4c"]), "one too many"),
        (Inception(512, 112, 144, 288, 32, 64, 32), "512 -> 32 is one too many"),
        (NaiveInception(512, 112, 288, 64), "the reductions are missing"),
        (nn.ReLU(), "no convolution"),
        (block(512, GOOGLENET_BLOCKS["4d"], order="1375"), "stacked in another order"),
        (block(512, GOOGLENET_BLOCKS["4d"], relu=lambda x: x), "negative"),
        (block(512, GOOGLENET_BLOCKS["4d"], order="111"), "become (2, 528, 8, 8)"),
        (nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), "on a batch (2, 512, 8, 8) it stops"),
    ],
    "03.repair": [
        (repaired(branch_pool=jumping_branch), "cannot be stacked"),
        (repaired(branch_5x5=torchvision_branch), "window of every convolution"),
        (repaired(branch_3x3=linear_branch), "also inside"),
        (repaired(branch_1x1=bare_branch), "negative"),
        (Inception(192, *GOOGLENET_BLOCKS["3b"]), "row in Table 1"),
        (Inception, "add brackets"),
        ("done", "a module is asked for"),
        (pooled(), "maps of 12x12, 12x12, 12x12, 4x4 cannot be stacked"),
        (block(192, GOOGLENET_BLOCKS["3a"], order="1357"[::-1]), "stacked in another order"),
        (Inception(192, *GOOGLENET_BLOCKS["3a"], norm="batch"), "has no bias"),
    ],
}

"""Right answers of many forms to notebook 03, and wrong ones with words of what they are told."""

from collections.abc import Callable
from functools import reduce

import torch
import torch.nn.functional as F
from torch import nn

from answers.forms import Running, forms
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


class OwnForm(nn.Module):
    """A block without the branches of the stub, whose 3x3 gets the input of the block."""

    def __init__(self, c_in, *row):
        super().__init__()
        self.layers = Inception(c_in, *row)

    def forward(self, x):
        branches = self.layers
        return torch.cat([branches.branch_1x1(x), branches.branch_3x3[1](x)], dim=1)


def pooled(**arguments) -> nn.Module:
    made = Inception(192, *GOOGLENET_BLOCKS["3a"])
    made.branch_pool[0] = nn.MaxPool2d(3, padding=1, **arguments)
    return made


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


def late_pool() -> nn.Module:
    return nn.Sequential(nn.Conv2d(192, 32, 1), nn.MaxPool2d(3, 1, 1), nn.ReLU())


def idle_pool() -> nn.Module:
    return nn.Sequential(nn.MaxPool2d(1), nn.Conv2d(192, 32, 1), nn.ReLU())


def bare_branch() -> nn.Module:
    return nn.Sequential(nn.Conv2d(192, 64, 1))


def written(**parts: Callable) -> type:
    """The class that exercise 3.2 asks for, some of its parts made otherwise."""

    class Block(nn.Module):
        def __init__(self, c_in, out_1x1, reduce_3x3, out_3x3, reduce_5x5, out_5x5, pool_proj):
            super().__init__()
            made = {**PARTS, **parts}
            self.branch_1x1 = made["small"](c_in, out_1x1)
            self.branch_3x3 = made["middle"](c_in, reduce_3x3, out_3x3)
            self.branch_5x5 = made["large"](c_in, reduce_5x5, out_5x5)
            self.branch_pool = made["pool"](c_in, pool_proj)

        def forward(self, x):
            stack = parts.get("stack", lambda *answers: torch.cat(answers, dim=1))
            if "forward" in parts:
                return parts["forward"](x, *self.children())
            if isinstance(self.branch_3x3, nn.Module):
                return stack(*(branch(x) for branch in self.children()))
            return ...

    return Block


def branch(c_in: int, *layers: tuple[int, int], bias=True) -> nn.Sequential:
    """Convolutions (channels, window) with padding, a ReLU after each."""
    made = []
    for channels, k in layers:
        made += [nn.Conv2d(c_in, channels, k, padding=k // 2, bias=bias), nn.ReLU()]
        c_in = channels
    return nn.Sequential(*made)


PARTS = {
    "small": lambda c_in, out: branch(c_in, (out, 1)),
    "middle": lambda c_in, reduce, out: branch(c_in, (reduce, 1), (out, 3)),
    "large": lambda c_in, reduce, out: branch(c_in, (reduce, 1), (out, 5)),
    "pool": lambda c_in, out: nn.Sequential(nn.MaxPool2d(3, 1, 1), *branch(c_in, (out, 1))),
}

RIGHT = {
    "03.naive": forms(1_089_536),
    "03.block": [
        Inception,
        written(),
        written(stack=lambda *answers: torch.concat(answers, 1).relu()),
        written(
            pool=lambda c_in, out: nn.Sequential(
                nn.MaxPool2d((3, 3), stride=1, padding=1), nn.Conv2d(c_in, out, 1), nn.ReLU()
            )
        ),
    ],
    "03.repair": [
        Inception(192, *GOOGLENET_BLOCKS["3a"]),
        block(192, GOOGLENET_BLOCKS["3a"]),
        block(192, GOOGLENET_BLOCKS["3a"], relu=lambda x: x.clamp(min=0)).double(),
        block(192, GOOGLENET_BLOCKS["3a"], relu=nn.ReLU(inplace=True)),
        pooled(stride=[1, 1]),
    ],
}

WRONG = {
    "03.block": [
        (written(middle=lambda *_: ...), "branch_3x3, forward"),
        (written(stack=lambda *_: ...), "forward"),
        (
            written(middle=lambda c, r, o: nn.Sequential(nn.Conv2d(c, r, 1), *branch(r, (o, 3)))),
            "after the convolution 1x1 192 -> 96 a ReLU is missing",
        ),
        (
            written(large=lambda c, r, o: branch(c, (r, 1), (o, 5))[:-1]),
            "after the convolution 5x5 16 -> 32 a ReLU is missing",
        ),
        (
            written(middle=lambda c, r, o: nn.Sequential(*branch(c, (r, 1)), nn.Conv2d(r, o, 3))),
            "maps of 28x28, 26x26, 28x28, 28x28 cannot be stacked",
        ),
        (
            written(large=PARTS["middle"]),
            "your 5x5 branch has a 3x3 16 -> 32 where a 5x5 16 -> 32 belongs",
        ),
        (
            written(middle=lambda c, r, o: branch(c, (o, 1), (r, 3))),
            "your 3x3 branch has a 1x1 192 -> 128 where a 1x1 192 -> 96 belongs",
        ),
        (  # reduce_3x3 in place of reduce_5x5: 96 is 6 * 16
            written(large=lambda c, r, o: branch(c, (6 * r, 1), (o, 5))),
            "your 5x5 branch has a 1x1 192 -> 96 where a 1x1 192 -> 16 belongs",
        ),
        (
            written(
                large=lambda c, r, o: nn.Sequential(*branch(c, (6 * r, 1)), *branch(r, (o, 5)))
            ),
            "your 5x5 branch has a 1x1 192 -> 96 where a 1x1 192 -> 16 belongs",
        ),
        (  # out_5x5 in place of pool_proj, which is the same in 3a
            written(pool=lambda c, o: PARTS["pool"](c, {32: 32, 64: 48}[o])),
            "row 4a your pool branch has a 1x1 480 -> 48 where a 1x1 480 -> 64 belongs",
        ),
        (
            written(middle=lambda c, r, o: nn.Sequential(*branch(c, (r, 1)), *branch(c, (o, 3)))),
            "your 3x3 branch has a 3x3 192 -> 128 where a 3x3 96 -> 128 belongs: it reads "
            "what the layer before it makes",
        ),
        (
            written(middle=lambda c, r, o: branch(c, (o, 3))),
            "your 3x3 branch has 1 convolution, it needs 2",
        ),
        (
            written(middle=lambda *_: branch(192, (96, 1), (128, 3))),
            "row 4a your 3x3 branch has a 1x1 192 -> 96 where a 1x1 480 -> 96 belongs",
        ),
        (written(small=lambda c, o: branch(c, (o, 1), bias=False)), "has no bias"),
        (written(stack=lambda a, b, c, d: torch.cat([a, c, b, d], 1)), "stacked in another order"),
        (written(stack=lambda a, b, c, d: torch.cat([a, b, c], 1)), "are all four answers"),
        (written(stack=lambda a, b, c, d: a + b + c + d), "the four answers are added"),
        (written(stack=lambda *answers: torch.cat(answers)), "unless you say dim=1"),
        (written(stack=lambda *answers: torch.cat(answers, dim=-1)), "along the wrong axis"),
        (written(stack=lambda *answers: torch.stack(answers, dim=1)), "makes a new axis"),
        (written(stack=lambda *answers: torch.cat(*answers, dim=1)), "in one list"),
        (
            written(forward=lambda x, *branches: torch.cat(branches, dim=1)),
            "call each branch with x",
        ),
        (
            written(forward=lambda x, *branches: reduce(lambda x, branch: branch(x), branches, x)),
            "a branch reads what another branch made",
        ),
        (
            written(forward=lambda x, a, b, c, d: torch.cat([a(x), b(x), b(x), d(x)], dim=1)),
            "1x1 192 -> 96 runs twice",
        ),
        (
            written(forward=lambda x, a, b, c, d: torch.cat([a(x), b(x), d(x)], dim=1)),
            "1x1 192 -> 16 does not run: is its branch in forward",
        ),
        (
            written(pool=lambda c, o: nn.Sequential(*branch(c, (o, 1)), nn.MaxPool2d(3, 1, 1))),
            "pool first, then mix",
        ),
        (
            written(pool=lambda c, o: nn.Sequential(nn.AvgPool2d(3, 1, 1), *branch(c, (o, 1)))),
            "a max pooling takes the largest value",
        ),
        (
            written(pool=lambda c, o: nn.Sequential(nn.MaxPool2d(3), *branch(c, (o, 1)))),
            "cannot be stacked",
        ),
        (
            written(
                pool=lambda c, o: nn.Sequential(
                    nn.MaxPool2d(3, 1, 1), nn.ReLU(), *branch(c, (o, 1))
                )
            ),
            "a ReLU stands between pooling and projection",
        ),
        (
            written(pool=lambda c, o: nn.Sequential(nn.MaxPool2d(1), *branch(c, (o, 1)))),
            "the pooling changes nothing",
        ),
        (
            written(
                middle=lambda *widths: tuple(PARTS["middle"](*widths)),
                forward=lambda x, *branches: torch.cat([branch(x) for branch in branches], dim=1),
            ),
            "branch_3x3 is several layers: nn.Sequential",
        ),
        (Inception(192, *GOOGLENET_BLOCKS["3a"]), "hand in the class itself"),
        (OwnForm, "convolution number 2 reads 96 channels, 192 come to it"),
        (NaiveInception, "trying your answer stopped with TypeError"),
        (128, "a class is asked for"),
    ],
    "03.repair": [
        (repaired(branch_pool=jumping_branch), "cannot be stacked"),
        (repaired(branch_5x5=torchvision_branch), "one silent bug is left"),
        (
            repaired(branch_5x5=torchvision_branch, branch_3x3=linear_branch),
            "two silent bugs are left",
        ),
        (repaired(branch_3x3=linear_branch), "also inside"),
        (repaired(branch_1x1=bare_branch), "negative"),
        (repaired(branch_pool=late_pool), "pool first, then mix"),
        (repaired(branch_pool=idle_pool), "the pooling changes nothing"),
        (Inception(192, *GOOGLENET_BLOCKS["3b"]), "row in Table 1"),
        (Inception, "add brackets"),
        ("done", "a module is asked for"),
        (pooled(), "maps of 28x28, 28x28, 28x28, 10x10 cannot be stacked"),
        (block(192, GOOGLENET_BLOCKS["3a"], order="1357"[::-1]), "stacked in another order"),
        (Inception(192, *GOOGLENET_BLOCKS["3a"], norm="batch"), "has no bias"),
    ],
}

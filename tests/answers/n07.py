"""Right answers of many forms to notebook 07, and wrong ones with words of what they are told."""

import math
import operator
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnet_utils.models import BasicBlock
from gnet_utils.models.residual import PadShortcut


def written(**parts: Callable) -> type:
    """The class that exercise 7.1 asks for, some parts of its forward made otherwise."""
    steps = {
        "inside": lambda self, x: F.relu(self.norm1(self.conv1(x))),
        "second": lambda self, x, inside: self.norm2(self.conv2(inside)),
        "added": lambda self, x, found: found + self.shortcut(x),
        "plain": lambda self, x, found: found,
        "last": lambda self, x, summed: F.relu(summed),
        **parts,
    }

    class Block(nn.Module):
        def __init__(self, in_channels, channels, stride=1, shortcut=None):
            super().__init__()
            self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
            self.norm1 = nn.BatchNorm2d(channels)
            self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            self.norm2 = nn.BatchNorm2d(channels)
            self.shortcut = shortcut

        def forward(self, x):
            found = steps["second"](self, x, steps["inside"](self, x))
            join = steps["plain" if self.shortcut is None else "added"]
            return steps["last"](self, x, join(self, x, found))

    return Block


def wider(cls, *sizes, **more):
    """Wrong: a block whose second convolution makes one channel too many."""
    block = BasicBlock(*sizes, **more)
    block.conv2 = BasicBlock(sizes[1], sizes[1] + 1, 1, None).conv2
    return block


class Wider(nn.Module):
    __new__ = staticmethod(wider)


class Sequenced(nn.Module):
    """The two convolutions in a Sequential, ReLU in place."""

    def __init__(self, in_channels, channels, stride=1, shortcut=None):
        super().__init__()
        self.found = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding="same", bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = shortcut

    def forward(self, x):
        found = self.found(x)
        return (found if self.shortcut is None else self.shortcut(x).add(found)).clamp(min=0)


def shortcut_class(function: Callable) -> type:
    """A class (new_channels, stride) that calls `function(x, channels that come out, stride)`."""

    class Shortcut(nn.Module):
        def __init__(self, new_channels, stride):
            super().__init__()
            self.new_channels, self.stride = new_channels, stride

        def forward(self, x):
            return function(x, x.shape[1] + self.new_channels, self.stride)

    return Shortcut


def by_padding(x, out_channels, stride):
    return F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, out_channels - x.shape[1]))


def by_stacking(x, out_channels, stride=2):
    kept = x[..., ::stride, ::stride]
    count, channels, *sides = kept.shape
    return torch.cat([kept, kept.new_zeros(count, out_channels - channels, *sides)], dim=1)


def by_filling(x, out_channels, stride):
    kept = F.max_pool2d(x, 1, stride)
    result = torch.zeros(len(x), out_channels, *kept.shape[2:], dtype=torch.float64)
    result[:, : x.shape[1]] = kept
    return result


def by_convolution(x, out_channels, stride):
    return F.conv2d(x, torch.eye(out_channels, x.shape[1])[:, :, None, None], stride=stride)


def even_only(x, out_channels, stride):
    count, channels, height, width = x.shape
    kept = x.reshape(count, channels, height // stride, stride, width // stride, stride)
    return F.pad(kept[:, :, :, 0, :, 0], (0, 0, 0, 0, 0, out_channels - channels))


def square_only(x, out_channels, stride):
    side = x.shape[2]
    return by_padding(x[:, :, :side, :side], out_channels, stride)


def one_lost(x, out_channels, stride):
    return by_padding(x, out_channels, stride).squeeze(0)


def second_pixels(x, out_channels, stride):
    return by_padding(x[:, :, stride - 1 :, stride - 1 :], out_channels, stride)


def without_stride(x: Tensor, out_channels: int, stride: int) -> Tensor:
    return F.pad(x, (0, 0, 0, 0, 0, out_channels - x.shape[1]))


def all_new(x: Tensor, out_channels: int, stride: int) -> Tensor:
    return F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, out_channels))


def pooled(x: Tensor, out_channels: int, stride: int) -> Tensor:
    smaller = F.avg_pool2d(x, stride, ceil_mode=True)
    return F.pad(smaller, (0, 0, 0, 0, 0, out_channels - x.shape[1]))


def zeros_first(x: Tensor, out_channels: int, stride: int) -> Tensor:
    return F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, out_channels - x.shape[1], 0))


def largest(x: Tensor, out_channels: int, stride: int) -> Tensor:
    smaller = F.max_pool2d(x, stride, ceil_mode=True)
    return F.pad(smaller, (0, 0, 0, 0, 0, out_channels - x.shape[1]))


def with_zeros(*axes: str, dim: int = 1) -> Callable:
    """Pixels with zeros behind them, of the axes "new" and of those of the pixels in "nhw"."""

    def stacked(x: Tensor, out_channels: int, stride: int) -> Tensor:
        kept = x[:, :, ::stride, ::stride]
        sizes = dict(zip("nchw", kept.shape, strict=True)) | {"1": 1}
        sizes["new"] = out_channels - x.shape[1]
        return torch.cat([kept, torch.zeros([sizes[axis] for axis in axes])], dim)

    return stacked


def repeated(x: Tensor, out_channels: int, stride: int) -> Tensor:
    smaller = x[:, :, ::stride, ::stride]
    return torch.cat([smaller, smaller], dim=1)[:, :out_channels]


RIGHT = {
    "07.block": [
        BasicBlock,
        written(),
        Sequenced,
        written(
            added=lambda self, x, found: torch.add(self.shortcut(x), found),
            last=lambda self, x, summed: summed.relu(),
        ),
    ],
    "07.shortcut": [
        PadShortcut,
        shortcut_class(by_padding),
        shortcut_class(by_stacking),
        shortcut_class(by_filling),
        shortcut_class(by_convolution),
    ],
    "07.chain": [9.3, 9.31, "9.3132", 1.25**10, math.prod([1.25] * 10), torch.tensor(1.25) ** 10],
}

WRONG = {
    "07.block": [
        (written(second=lambda *_: ..., added=lambda *_: ..., last=lambda *_: ...), "forward"),
        (written(second=lambda *_: ...), "still to be filled in"),
        (written(added=lambda *_: ...), "still to be filled in"),
        (written(last=lambda *_: None), "it gives nothing"),
        (BasicBlock(4, 4, 1, None), "without brackets"),
        (16, "a class is asked for"),
        (nn.Identity, "the layers are not those"),
        (Wider, "the layers are not those"),
        (written(added=lambda self, x, found: found), "the shortcut is missing"),
        (written(last=lambda self, x, summed: summed), "the ReLU after the sum is missing"),
        (
            written(second=lambda self, x, inside: F.relu(self.norm2(self.conv2(inside)))),
            "there is a ReLU right before the sum",
        ),
        (
            written(
                second=lambda self, x, inside: F.relu(self.norm2(self.conv2(inside))),
                last=lambda self, x, summed: summed,
            ),
            "the ReLU stands before the sum",
        ),
        (written(added=lambda self, x, found: found + x), "x itself is added"),
        (
            written(added=lambda self, x, found: found + self.shortcut(x) + x),
            "x is added once too often",
        ),
        (
            written(
                added=lambda self, x, found: (
                    found + (self.shortcut(x) if x.shape == found.shape else x)
                )
            ),
            "in a block with stride 2, on a batch (2, 4, 6, 6) it stops with RuntimeError",
        ),
        (
            written(added=lambda self, x, found: self.shortcut(found)),
            "and nothing is added: call it with what came in",
        ),
        (
            written(added=lambda self, x, found: found + self.shortcut(found)),
            "the shortcut reads what the convolutions gave",
        ),
        (
            written(added=lambda self, x, found: self.shortcut(x)),
            "F(x) is lost, only the shortcut comes out",
        ),
        (
            written(added=lambda self, x, found: F.relu(self.shortcut(x))),
            "F(x) is lost, only the shortcut comes out",
        ),
        (
            written(added=lambda self, x, found: found + F.relu(self.shortcut(x))),
            "the shortcut goes through a ReLU",
        ),
        *(
            (
                written(
                    added=lambda self, x, found, d=dim: torch.cat([found, self.shortcut(x)], d)
                ),
                "torch.cat stacks, as Inception does; ResNet adds",
            )
            for dim in (0, 1)
        ),
        *(
            (
                written(added=lambda self, x, found, add=add: add(found, self.shortcut)),
                "self.shortcut is a layer, not a map: call it",
            )
            for add in (operator.add, torch.add)
        ),
        (
            written(plain=lambda self, x, found: found + x),
            "in the plain block, shortcut=None, x is added once too often",
        ),
        (
            written(plain=lambda self, x, found: found + self.shortcut(x)),
            "There nothing is to be added",
        ),
        (
            written(second=lambda self, x, inside: self.conv2(inside)),
            "the norm of the second convolution is missing",
        ),
        (
            written(second=lambda self, x, inside: self.norm1(self.conv2(inside))),
            "the first norm runs twice",
        ),
        (
            written(inside=lambda self, x: self.norm1(self.conv1(x))),
            "the ReLU between the two convolutions is missing",
        ),
        (
            written(second=lambda self, x, inside: self.norm2(self.conv2(x))),
            "the second convolution reads x",
        ),
        (
            written(second=lambda self, x, inside: self.norm2(self.conv1(inside))),
            "the first convolution runs twice",
        ),
        (written(second=lambda self, x, inside: inside), "the second convolution is missing"),
        (
            written(second=lambda self, x, inside: self.conv2(self.norm2(inside))),
            "the second norm stands before its convolution",
        ),
        (
            written(
                added=lambda self, x, found: F.relu(found) + x, last=lambda self, x, summed: summed
            ),
            "x itself is added, and the ReLU stands before the sum",
        ),
        (written(added=lambda self, x, found: found - self.shortcut(x)), "from top to bottom"),
        (written(last=lambda self, x, summed: summed.relu()[:, 1:]), "should become (2, 4, 6, 6)"),
    ],
    "07.shortcut": [
        (16, "a class is asked for"),
        (PadShortcut(2, 2), "without brackets"),
        (shortcut_class(lambda *_: ...), "forward"),
        (shortcut_class(lambda *_: F.pad(..., (0, 0))), "still to be filled in"),
        (shortcut_class(without_stride), "should have 2x2 pixels, it has 4x4"),
        (
            shortcut_class(lambda x, out, stride: by_padding(x[::stride, ::stride], out, 1)),
            "the first two axes are pictures and channels",
        ),
        (
            shortcut_class(
                lambda x, out, stride: F.pad(x[..., ::stride, ::stride], (0, out - x.shape[1]))
            ),
            "F.pad counts from the last axis",
        ),
        (shortcut_class(all_new), "the shape should be (2, 4, 2, 2), it is (2, 6, 2, 2)"),
        (shortcut_class(pooled), "means of neighbours"),
        (shortcut_class(largest), "the largest of neighbours"),
        (shortcut_class(with_zeros("new")), "four axes, (N, new channels, H, W)"),
        (shortcut_class(with_zeros("new", "h", "w")), "four axes, (N, new channels, H, W)"),
        (
            shortcut_class(with_zeros("1", "new", "h", "w")),
            "as many pictures, rows and columns as the pixels",
        ),
        (shortcut_class(with_zeros("n", "new", "h", "w", dim=0)), "the zeros came as new pictures"),
        (
            shortcut_class(
                lambda x, out, stride: F.pad(
                    x[:, :, stride, stride], (0, 0, 0, 0, 0, out - x.shape[1])
                )
            ),
            "is one pixel",
        ),
        (
            shortcut_class(
                lambda x, out, stride: F.pad(x[:, :, stride, stride], (0, out - x.shape[1]))
            ),
            "is one pixel",
        ),
        (shortcut_class(zeros_first), "the zeros came first"),
        (shortcut_class(repeated), "should be zeros"),
        (shortcut_class(lambda x, out, stride: x.mean((2, 3))), "maps (N, C, H, W) should come"),
        (
            shortcut_class(even_only),
            "for maps (1, 3, 7, 10), 2 new channels and stride 2 it stops with",
        ),
        (
            shortcut_class(square_only),
            "(1, 3, 7, 10), 2 new channels and stride 2: the map should have 4x5 pixels",
        ),
        (shortcut_class(one_lost), "got the shape (5, 4, 5)"),
        (shortcut_class(second_pixels), "the right shape, but other pixels"),
        (
            shortcut_class(lambda x, out, stride: by_padding(x, out, 2)),
            "stride 3: the map should have 3x2 pixels, it has 5x3",
        ),
        (
            shortcut_class(lambda x, out, stride: by_padding(x, 2 * x.shape[1], stride)),
            "it adds as many channels as came in",
        ),
        (shortcut_class(lambda x: x), "2 new channels and stride 2 it stops with TypeError"),
        (shortcut_class(lambda *given: by_padding(*given).numpy()), "it returns a ndarray"),
    ],
}

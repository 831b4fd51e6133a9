"""Right answers of many forms to notebook 07, and wrong ones with words of what they are told."""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from answers.forms import AsModule, Calling, forms
from gnet_utils.models import BasicBlock, BottleneckBlock
from gnet_utils.models.residual import PadShortcut


def layers(block: nn.Module, kind: type) -> list:
    """The first and the last convolution, or batch norm, of a block."""
    return [layer for layer in block.modules() if isinstance(layer, kind)]


CONV_1, NORM_1, CONV_2, NORM_2 = (
    name
    for name, _ in BasicBlock(16, 16, 1, nn.Identity()).named_parameters()
    if name.endswith("weight")
)


def identity_block(shortcut: bool = True, last: float = 0.0) -> BasicBlock:
    """A block of 16 channels whose last batch norm has the factor `last`."""
    block = BasicBlock(16, 16, 1, nn.Identity() if shortcut else None)
    nn.init.constant_(layers(block, nn.BatchNorm2d)[-1].weight, last)
    return block


def changed(change: Callable[[nn.Module], object]) -> BasicBlock:
    block = identity_block(last=1.0)
    change(block)
    return block


def replace(block: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for parent in [*block.modules()]:
        for name, child in parent.named_children():
            if child is old:
                setattr(parent, name, new)


def factor_filled(block):
    layers(block, nn.BatchNorm2d)[-1].weight.data.fill_(0)


def factor_replaced(block):
    layers(block, nn.BatchNorm2d)[-1].weight = nn.Parameter(torch.zeros(16))


def norm_replaced(block):
    replace(block, layers(block, nn.BatchNorm2d)[-1], nn.BatchNorm2d(16))
    block.load_state_dict({**block.state_dict(), NORM_2: torch.zeros(16)})


class Basic(nn.Module):
    """The reader's own block, with other names, in another order."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm2 = nn.BatchNorm2d(channels)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1, self.conv2 = (
            nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2)
        )
        nn.init.constant_(self.norm2.weight, 0)

    def forward(self, x):
        hidden = torch.relu_(self.norm1(self.conv1(x)))
        return (x + self.norm2(self.conv2(hidden))).relu_()


class Passing(Basic):
    """Wrong: it has all layers and uses none."""

    def forward(self, x):
        return x


def no_last_norm(block):
    nn.init.zeros_(layers(block, nn.Conv2d)[-1].weight)
    replace(block, layers(block, nn.BatchNorm2d)[-1], nn.Identity())


def norm_without_numbers(block):
    nn.init.zeros_(layers(block, nn.Conv2d)[-1].weight)
    replace(block, layers(block, nn.BatchNorm2d)[-1], nn.BatchNorm2d(16, affine=False))


def small_enough(block):
    layers(block, nn.Conv2d)[-1].weight.data *= 1e-12


def silent_relu(block):
    nn.init.constant_(layers(block, nn.BatchNorm2d)[0].bias, -100)


def only_in_eval(block):
    layers(block, nn.BatchNorm2d)[-1].running_var.fill_(math.inf)


def frozen(block):
    factor_filled(block)
    block.requires_grad_(False)


def zeroed(*names: str) -> BasicBlock:
    """A block with zeros in these parameters, in all of them without a name."""
    block = identity_block(last=1.0)
    for name, parameter in block.named_parameters():
        if name in names or not names:
            nn.init.zeros_(parameter)
    return block


def conv_weights(block):
    return sum(layer.weight.numel() for layer in block.modules() if isinstance(layer, nn.Conv2d))


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


def by_the_course(x, out_channels, stride):
    return PadShortcut(out_channels - x.shape[1], stride)(x)


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


def repeated(x: Tensor, out_channels: int, stride: int) -> Tensor:
    smaller = x[:, :, ::stride, ::stride]
    return torch.cat([smaller, smaller], dim=1)[:, :out_channels]


RIGHT = {
    "07.identity": [
        identity_block(),
        changed(factor_filled),
        changed(factor_replaced),
        changed(norm_replaced),
        Basic(16),
        AsModule(Basic(16)),
        nn.Sequential(identity_block()),
        identity_block().eval().double(),
    ],
    "07.bottleneck": [
        *forms(278_528),
        512 * 128 + 9 * 128 * 128 + 128 * 512,
        conv_weights(BottleneckBlock(512, 128, 1, nn.Identity())),
        17 * 2**14,
    ],
    "07.shortcut": [
        by_padding,
        by_stacking,
        by_filling,
        by_convolution,
        by_the_course,
        partial(by_padding),
        Calling(by_stacking),
        AsModule(by_padding),
        lambda maps, new, step: F.pad(F.avg_pool2d(maps, 1, step), [0] * 5 + [new - maps.size(1)]),
    ],
    "07.chain": [9.3, 9.31, "9.3132", 1.25**10, math.prod([1.25] * 10), torch.tensor(1.25) ** 10],
    "07.layers": [*forms(200), 3 * sum((3, 24, 36, 3)) + 2],
}

WRONG = {
    "07.identity": [
        (BasicBlock, "not a module made of it"),
        (identity_block(last=1.0), "F(x) is not zero yet"),
        (identity_block(shortcut=False), "zeros for everything"),
        (zeroed(), f"zero are {CONV_1}, {NORM_1}, {CONV_2}"),
        (changed(no_last_norm), "the batch norm of each: change numbers, not layers"),
        (changed(norm_without_numbers), "the batch norm of each: change numbers, not layers"),
        (zeroed(CONV_2), "batch norm blows up what the last convolution gives"),
        (changed(small_enough), "batch norm blows up what the last convolution gives"),
        (zeroed(NORM_1), f"zero are {NORM_1}; only the last factor"),
        (zeroed(CONV_1), f"zero are {CONV_1}; only the last factor"),
        (zeroed(NORM_1, NORM_2), f"{NORM_1}, {NORM_2};"),
        (changed(silent_relu), "nothing goes through F"),
        (changed(only_in_eval), "in train() mode the output is off by"),
        (identity_block(last=0.0001), "F(x) is not zero yet"),
        (changed(frozen), "frozen"),
        (Passing(16), "nothing goes through F"),
        (BottleneckBlock(16, 4, 1, nn.Identity()), "its two 3x3 convolutions of 16 channels"),
    ],
    "07.bottleneck": [(69_632, "the table above"), (1_179_648, "the table above")],
    "07.shortcut": [
        (16, "a function is asked for"),
        (without_stride, "should have 2x2 pixels, it has 4x4"),
        (all_new, "only the missing ones"),
        (pooled, "means of neighbours"),
        (zeros_first, "the zeros came first"),
        (repeated, "should be zeros"),
        (lambda x, out_channels, stride: x.mean((2, 3)), "maps (N, C, H, W) should come back"),
        (even_only, "for maps (1, 3, 7, 10), 5 channels and stride 2 it stops with"),
        (square_only, "(1, 3, 7, 10), 5 channels and stride 2: the map should have 4x5 pixels"),
        (one_lost, "got the shape (5, 4, 5)"),
        (second_pixels, "the right shape, but other pixels"),
        (
            lambda x, out, stride: by_padding(x, out, 2),
            "stride 3: the map should have 3x2 pixels, it has 5x3",
        ),
        (lambda x, out, stride: by_padding(x, 2 * x.shape[1], stride), "shape should be (1, 5, "),
        (lambda x: x, "for maps (2, 2, 4, 4), 4 channels and stride 2 it stops with TypeError"),
        (PadShortcut(2, 2), "4 channels and stride 2 it stops with TypeError"),
        (lambda x, out, stride: by_padding(x, out, stride).numpy(), "it returns a ndarray"),
    ],
}

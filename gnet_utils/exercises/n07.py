"""Exercises and predictions of notebook 07, ResNet: deeper, and still trainable."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnet_utils.exercises import Exercise, Prediction, kind_of, number
from gnet_utils.exercises.trials import call, check_module
from gnet_utils.models import BasicBlock

# 07.identity --------------------------------------------------------------------------------------


def judge_identity(answer: Any) -> str | None:
    """Whether a basic block of 16 channels gives back what it gets, still able to learn."""
    check_module(answer)
    if _shapes(answer) != _shapes(identity_block()):
        return (
            "the block must keep its two 3x3 convolutions of 16 channels and the batch norm of "
            "each: change numbers, not layers."
        )
    maps = torch.rand(4, 16, 7, 7, generator=torch.Generator().manual_seed(7))
    got = answer.train()(maps.clone())  # a ReLU in place may write into its input
    if not isinstance(got, Tensor) or got.shape != maps.shape:
        return f"maps of the shape {tuple(maps.shape)} should keep it."
    if not got.any():
        return "it gives zeros for everything: F(x) is zero, and nothing is added to it."
    if torch.allclose(got, 2 * maps, atol=1e-3):
        return "it gives 2x: F(x) itself is the identity, and the shortcut adds x once more."
    if not torch.allclose(got, maps, atol=1e-5):
        return f"F(x) is not zero yet: in train() mode the output is off by {_gap(got, maps)}."
    return _learning_mistake(answer, maps, got)


def _shapes(block: nn.Module) -> list[tuple[int, ...]]:
    return sorted(tuple(numbers.shape) for numbers in block.state_dict().values())


def _learning_mistake(block: nn.Module, maps: Tensor, got: Tensor) -> str | None:
    """What keeps a block that gives its `maps` back from learning by small steps; None if it can.

    Changes the block.
    """
    if not all(p.requires_grad for p in block.parameters()):
        return "it gives x, but its numbers are frozen: it could never become anything else."
    weights = {name: p for name, p in block.named_parameters() if name.endswith("weight")}
    if got.requires_grad:
        (got * maps).sum().backward()
    if not any(p.grad is not None and p.grad.any() for p in weights.values()):
        zero = [name for name, p in weights.items() if got.requires_grad and not p.any()]
        cause = f"zero are {', '.join(zero)}" if zero else "nothing goes through F"
        return (
            f"it gives x, but no weight of F gets a gradient, so all that F could ever learn is a "
            f"bias: {cause}; only the last factor may be zero."
        )
    with torch.no_grad():
        for p in block.parameters():
            if p.grad is not None:
                p -= 1e-6 * p.grad
        after = block(maps.clone())
    if _gap(after, got) > 0.01:
        return (
            f"it gives x, but a step of a millionth of the gradient moves its output by "
            f"{_gap(after, got)}: batch norm blows up what the last convolution gives, however "
            "small; make the factor after it zero instead."
        )
    return None


def _gap(got: Tensor, wanted: Tensor) -> float:
    """The largest difference, to two digits."""
    return float(f"{(got - wanted).abs().max():.2g}")


def identity_block(shortcut: bool = True, last: float = 0.0) -> BasicBlock:
    """A block of 16 channels whose last batch norm has the factor `last`."""
    block = BasicBlock(16, 16, 1, nn.Identity() if shortcut else None)
    nn.init.constant_(block.conv2.norm.weight, last)
    return block


def zeroed(*names: str) -> BasicBlock:
    """Wrong answers: a block with zeros in these parameters, in all of them without a name."""
    block = identity_block(last=1.0)
    for name, parameter in block.named_parameters():
        if name in names or not names:
            nn.init.zeros_(parameter)
    return block


def without_last_norm() -> BasicBlock:
    """A wrong answer: the last batch norm is gone, and its convolution zero."""
    block = zeroed("conv2.conv.weight")
    block.conv2.norm = nn.Identity()
    return block


# 07.shortcut --------------------------------------------------------------------------------------


SHORTCUT_CASES = (  # maps (N, C, H, W), channels that come out, stride
    ((2, 2, 4, 4), 4, 2),
    ((1, 3, 7, 10), 5, 2),
    ((2, 2, 9, 6), 3, 3),
    ((2, 2, 4, 4), 3, 1),
    ((2, 3, 6, 6), 3, 2),
)


def judge_shortcut(answer: Any) -> str | None:
    """Whether a function (x, out_channels, stride) is the paper's option A."""
    random = torch.Generator().manual_seed(7)
    for shape, out, stride in SHORTCUT_CASES:
        maps = torch.rand(shape, generator=random) + 0.5
        how = f"for maps {shape}, {out} channels and stride {stride}"
        got = call(answer, maps.clone(), out, stride, how=how)
        if not isinstance(got, Tensor):
            return f"it should return a tensor, it returns {kind_of(got)}."
        if got.ndim != 4:
            return f"maps (N, C, H, W) should come back, got the shape {tuple(got.shape)}."
        wanted = F.pad(maps[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, out - maps.shape[1]))
        if got.shape != wanted.shape or not torch.equal(got.to(wanted), wanted):
            return f"{how}: {_shortcut_mistake(maps, got, wanted, stride)}"
    return None


def _shortcut_mistake(maps: Tensor, got: Tensor, wanted: Tensor, stride: int) -> str:
    channels, out = maps.shape[1], wanted.shape[1]
    if got.shape[1] == channels + out:
        return f"it adds {out} channels: only the missing ones, {out} - {channels}, are new."
    if got.shape[2:] != wanted.shape[2:]:
        sizes = [f"{maps.shape[2]}x{maps.shape[3]}" for maps in (wanted, got)]
        return f"the map should have {sizes[0]} pixels, it has {sizes[1]}."
    if got.shape != wanted.shape:
        return f"the shape should be {tuple(wanted.shape)}, it is {tuple(got.shape)}."
    got = got.to(wanted)
    if stride > 1 and torch.allclose(got[:, :channels], pooled(maps, channels, stride)):
        return "it takes means of neighbours; option A takes every second pixel as it is."
    if not got[:, : out - channels].any() and torch.equal(got[:, -channels:], wanted[:, :channels]):
        return "the zeros came first: the old channels keep their places, the zeros follow."
    if got[:, channels:].any():
        return "the new channels should be zeros: yours hold something else."
    return "the right shape, but other pixels: rows and columns 0, 2, 4, ... are wanted."


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


# ---------------------------------------------------------------------------------------- the table

EXERCISES = {
    "identity": Exercise(
        judge=judge_identity,
        right="the block begins as x and can become anything; some recipes start all blocks so.",
        hints=[
            "relu(F(x) + x) is x for maps that are not negative, when F(x) is zero.",
            "F ends with a batch norm, which multiplies by a weight and adds a bias.",
            "nn.init.zeros_(block.conv2.norm.weight); its bias is zero already.",
        ],
        wrong=[
            (BasicBlock, "not a module made of it"),
            (without_last_norm(), "keep its two 3x3"),
            (identity_block(last=1.0), "F(x) is not zero yet"),
            (identity_block(shortcut=False), "zeros for everything"),
            (zeroed(), "zero are conv1.conv.weight, conv1.norm.weight, conv2.conv.weight"),
            (zeroed("conv1.norm.weight"), "zero are conv1.norm.weight;"),
            (zeroed("conv2.conv.weight"), "batch norm blows up"),
        ],
    ),
    "bottleneck": number(
        278_528,
        mistakes={
            147_456: "that is the 3x3 alone, or the 3x3 counted as a 1x1: it has nine weights.",
            212_992: "one 1x1 is missing: one goes down to 128, one goes up again.",
            4_718_592: "that is two 3x3 at 512 channels, the basic block.",
            2_490_368: "the 3x3 reads and writes 512 channels in that; it should be 128.",
            655_360: "the 3x3 stays at 128 channels; a second 1x1 goes up again.",
            180_224: "a 3x3 window has nine weights, not three.",
            131_072: "these are the two 1x1 alone: the 3x3 between them counts too.",
            720_896: "the 3x3 reads 128 channels, the first 1x1 has cut them.",
            280_064: "the batch norms' numbers are in it: convolution weights alone.",
            279_296: "biases are in it; these convolutions have none.",
            69_632: "that is the bottleneck of the table above, 256 channels and 64 inside.",
            73_728: "that is the basic block of the table above, two 3x3 at 64 channels.",
            1_179_648: "that is the basic block of the table above, two 3x3 at 256 channels.",
        },
        hints=[
            "Three convolutions: 1x1 down, 3x3, 1x1 up.",
            "k * k * in * out for each; 512 -> 128 -> 128 -> 512.",
            "512 * 128 + 9 * 128 * 128 + 128 * 512",
        ],
        right="17 times fewer than two 3x3 at 512 channels, 4,718,592.",
    ),
    "shortcut": Exercise(
        judge=judge_shortcut,
        right="every second pixel, zeros for the new channels, not one weight.",
        hints=[
            "First the pixels, then the channels.",
            "x[:, :, ::stride, ::stride] keeps every stride-th row and column.",
            "F.pad counts from the last axis: (left, right, top, bottom, first, last channels).",
        ],
        wrong=[
            (16, "a function is asked for"),
            (without_stride, "should have 2x2 pixels, it has 4x4"),
            (all_new, "only the missing ones"),
            (pooled, "means of neighbours"),
            (zeros_first, "the zeros came first"),
            (repeated, "should be zeros"),
            (lambda x, out_channels, stride: x.mean((2, 3)), "maps (N, C, H, W) should come back"),
        ],
    ),
    "chain": number(
        1.25**10,
        mistakes={
            0.25**10: "that is the plain chain, without the shortcuts.",
            3.5: "that is one x and ten times 0.25, added: a chain multiplies its slopes.",
            2.5: "the slopes are added in that, and the shortcuts are missing.",
            1.25**-10: "that divides by the slopes: on the way back they are multiplied too.",
            1.25: "that is one block: there are ten.",
            1 + 0.25**10: "each block adds its own x: the 1 is inside every factor.",
            12.5: "that is ten times the slope; a chain gives the slope to the power of ten.",
        },
        hints=[
            "What is the slope of x + 0.25 x?",
            "The slopes of a chain multiply.",
            "(1 + 0.25) ** 10",
        ],
        right="about 9.3; without the shortcuts 0.00000095, ten million times less.",
        tolerance=0.02,
    ),
    "layers": number(
        200,
        mistakes={
            198: "the first convolution and the linear layer count too.",
            199: "one of the two outer layers is missing: the first 7x7 or the linear.",
            204: "you counted the four projections; they lie beside the path.",
            134: "a bottleneck has three convolutions, not two.",
            68: "you counted each block once: it has three convolutions.",
            66: "that is the number of blocks.",
            132: "a bottleneck has more than two convolutions, and the outer layers are missing.",
            399: "you counted the batch norms; the name counts convolutions and the linear layer.",
            202: "you counted the two poolings; they have no weights.",
            152: "that one has 3, 8, 36 and 3 blocks.",
        },
        hints=[
            "How many blocks, and how many convolutions in each?",
            "3 + 24 + 36 + 3 blocks; add the layers before and after them.",
            "3 * 66 + 2",
        ],
        right="66 blocks of three convolutions, one convolution before, one linear layer after.",
    ),
}

PREDICTIONS = {
    "deeper": Prediction(
        options=(
            "best of the three",
            "as well as the others, and worse on the test pictures",
            "worse than the others, on training pictures too",
        ),
        right=2,
        because="It starts slowest, and no picture came twice: that is not overfitting.",
    ),
    "gradients": Prediction(
        options=(
            "much smaller, by thousands",
            "a little smaller",
            "larger",
        ),
        right=2,
        because="With batch norm the gradient grows on its way back: it does not vanish.",
    ),
    "ones": Prediction(
        options=("about a tenth", "about a quarter", "about half", "nearly all"),
        right=2,
        because="Two of the three convolutions of a bottleneck are 1x1, and they hold about half.",
    ),
    "duel": Prediction(
        options=(
            "GoogLeNet, by a few points",
            "the ResNet of equal MACs, by a few points",
            "the ResNet of equal parameters, by a few points",
            "they lie within about a point",
        ),
        right=3,
        because="At equal size, in a short training, the seeds matter as much as the network.",
    ),
}

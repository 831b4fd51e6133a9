"""Exercises and predictions of notebook 07, ResNet: deeper, and still trainable."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnet_utils.exercises import Blank, Exercise, Mistake, Prediction, kind_of, number
from gnet_utils.exercises.trials import call, check_class, filled, gives_blank, named, run
from gnet_utils.models import BasicBlock
from gnet_utils.models.residual import PadShortcut

STUB = Blank("the places marked ... in forward")
HALF_FILLED = Mistake("a place with ... in forward is still to be filled in.")

# 07.block -----------------------------------------------------------------------------------------


def judge_block(answer: Any) -> str | None:
    """Whether a class is the basic block: same numbers in it, same maps out, with any shortcut."""
    check_class(answer)
    random = torch.Generator().manual_seed(7)
    maps = torch.randn(2, 4, 6, 6, generator=random)
    # The shortcuts change what they read: nn.Identity would hide whether x itself is added.
    cases = (  # what is said first, channels, stride, shortcut, what an error may come from
        ("", 4, 1, _wire(4, 1), ""),
        ("in a block with stride 2, ", 6, 2, _wire(6, 2), ""),
        ("in the plain block, shortcut=None, ", 4, 1, None, ". There nothing is to be added."),
    )
    for case, channels, stride, shortcut, cause in cases:
        block = answer(4, channels, stride, shortcut)
        course = BasicBlock(4, channels, stride, shortcut)
        if _shapes(block) != _shapes(course):
            return "the layers are not those of the exercise: change forward alone."
        for numbers, own in zip(
            course.state_dict().values(), block.state_dict().values(), strict=True
        ):
            if own.is_floating_point():
                low, high = (-0.2, 0.2) if own.ndim > 1 else (0.5, 0.9)
                own.copy_(numbers.uniform_(low, high, generator=random))
        got = _block_output(block, maps, case, cause)
        with torch.no_grad():
            wanted = course.eval()(maps)
            slips = _block_slips(course, maps)
        if got.numel() == 2 * wanted.numel():
            return f"{case}torch.cat stacks, as Inception does; ResNet adds, with +."
        if got.shape != wanted.shape:
            return f"{case}{tuple(maps.shape)} should become {tuple(wanted.shape)}, not " + (
                f"{tuple(got.shape)}."
            )

        def same(other: Tensor, got: Tensor = got) -> bool:
            return other.shape == got.shape and torch.allclose(other, got, atol=1e-4)

        if not same(wanted):
            return case + (
                named(slips, same)
                or "the shape is right, the numbers are not: compare forward with the drawing, "
                "from top to bottom."
            )
    return None


def _wire(channels: int, stride: int) -> nn.Module:
    """A shortcut whose type no layer of the exercise has, so that messages of errors name it."""
    return nn.Sequential(nn.Conv2d(4, channels, 1, stride, bias=False))


def _shapes(block: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(numbers.shape) for numbers in block.state_dict().values()]


def _block_output(block: nn.Module, maps: Tensor, case: str, cause: str) -> Tensor:
    """What the block gives in eval mode; raises Mistake, or Blank for a stub."""
    if gives_blank(block.eval(), maps):
        raise STUB
    with filled(HALF_FILLED):
        try:
            return run(block, maps)[0]
        except Mistake as mistake:
            if "TypeError" in str(mistake) and "Sequential" in str(mistake):
                raise Mistake(
                    f"{case}self.shortcut is a layer, not a map: call it with what came in."
                ) from mistake
            raise Mistake(f"{case}{mistake}{cause}") from mistake


def _block_slips(block: BasicBlock, maps: Tensor) -> dict[str, Tensor]:
    """What a block of these numbers gives after each typical slip."""
    conv1, conv2 = block.conv1, block.conv2
    hidden = conv1(maps)
    found = conv2(hidden)
    passed = block.shortcut(maps) if block.shortcut else torch.zeros_like(found)
    slips = {}
    if block.shortcut:
        slips = {
            "F(x) is lost, only the shortcut comes out: add the two.": passed.relu(),
            "the shortcut goes through a ReLU before the sum: add what it gives as it is.": (
                found + passed.relu()
            ).relu(),
        }
    last = "sum" if block.shortcut else "second norm"
    slips |= {
        "the shortcut is missing: what came in is not added.": found.relu(),
        f"the ReLU after the {last} is missing.": found + passed,
        "the ReLU stands before the sum: add first, then ReLU.": found.relu() + passed,
        "there is a ReLU right before the sum: F could only add, never take away.": (
            found.relu() + passed
        ).relu(),
        "the second convolution is missing.": (hidden + passed).relu(),
        "the norm of the second convolution is missing.": (conv2.conv(hidden) + passed).relu(),
        "the second norm stands before its convolution.": (
            conv2.conv(conv2.norm(hidden)) + passed
        ).relu(),
        "the first norm runs twice; the second convolution has its own.": (
            conv1.norm(conv2.conv(hidden)) + passed
        ).relu(),
        "the ReLU between the two convolutions is missing.": (
            conv2(conv1.norm(conv1.conv(maps))) + passed
        ).relu(),
    }
    if block.shortcut and maps.shape == found.shape:
        slips |= {
            "x itself is added: add what self.shortcut makes of it, with the shape that fits.": (
                found + maps
            ).relu(),
            "x itself is added, and the ReLU stands before the sum.": found.relu() + maps,
            "the shortcut reads what the convolutions gave, and nothing is added: call it with "
            "what came in, and add.": block.shortcut(found).relu(),
            "the shortcut reads what the convolutions gave: call it with what came in.": (
                found + block.shortcut(found)
            ).relu(),
        }
    if maps.shape == found.shape:
        slips |= {
            "the second convolution reads x: it should read what the first one gives.": (
                conv2(maps) + passed
            ).relu(),
            "the first convolution runs twice.": (conv2.norm(conv1.conv(hidden)) + passed).relu(),
            "x is added once too often.": (found + passed + maps).relu(),
        }
    return slips


# 07.shortcut --------------------------------------------------------------------------------------


SHORTCUT_CASES = (  # maps (N, C, H, W), new channels, stride
    ((2, 2, 4, 4), 2, 2),
    ((1, 3, 7, 10), 2, 2),
    ((2, 2, 9, 6), 1, 3),
    ((2, 2, 4, 4), 1, 1),
    ((2, 3, 6, 6), 0, 2),
)


ONE_PIXEL = "x[:, :, s, s] is one pixel of each map; every s-th one is a slice with a step, ::s."
CAUSES = {  # what is said: a part of PyTorch's own message
    "the zeros need the pictures and the pixels too: four axes, (N, new channels, H, W).": (
        "same number of dimensions"
    ),
    "the zeros must have as many pictures, rows and columns as the pixels they are put behind.": (
        "Sizes of tensors must match"
    ),
    ONE_PIXEL: "input of dimension 2",
}


def judge_shortcut(answer: Any) -> str | None:
    """Whether a class (new_channels, stride) is the paper's option A."""
    check_class(answer)
    random = torch.Generator().manual_seed(7)
    for shape, new, stride in SHORTCUT_CASES:
        maps = torch.rand(shape, generator=random) + 0.5
        how = f"for maps {shape}, {new} new channel{'s' * (new != 1)} and stride {stride}"
        with filled(HALF_FILLED):
            try:
                got = call(answer(new, stride), maps.clone(), how=how)
            except Mistake as mistake:
                raise Mistake(named(CAUSES, str(mistake).__contains__) or str(mistake)) from mistake
        if got is ...:
            raise STUB
        if not isinstance(got, Tensor):
            return f"it should return a tensor, it returns {kind_of(got)}."
        if got.ndim == 2 and torch.equal(got[:, : shape[1]], maps[:, :, stride, stride]):
            return ONE_PIXEL
        if got.ndim != 4:
            return f"maps (N, C, H, W) should come back, got the shape {tuple(got.shape)}."
        wanted = F.pad(maps[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, new))
        if got.shape != wanted.shape or not torch.equal(got.to(wanted), wanted):
            return f"{how}: {_shortcut_mistake(maps, got, wanted, stride)}"
    return None


def _shortcut_mistake(maps: Tensor, got: Tensor, wanted: Tensor, stride: int) -> str:
    channels, out = maps.shape[1], wanted.shape[1]
    if got.shape[0] > maps.shape[0]:
        return "the zeros came as new pictures: channels are axis 1, dim=1."
    if stride > 1 and got.shape[0] != maps.shape[0]:
        return "the first two axes are pictures and channels; rows and columns are the last two."
    if got.shape[1:3] == (channels, wanted.shape[2]) and got.shape[3] > wanted.shape[3]:
        return "F.pad counts from the last axis: here each row grew, not the channels."
    if got.shape[2:] != wanted.shape[2:]:
        sizes = [f"{maps.shape[2]}x{maps.shape[3]}" for maps in (wanted, got)]
        return f"the map should have {sizes[0]} pixels, it has {sizes[1]}."
    if got.shape[1] == 2 * channels != out:
        return "it adds as many channels as came in; new_channels are asked for."
    if got.shape != wanted.shape:
        return f"the shape should be {tuple(wanted.shape)}, it is {tuple(got.shape)}."
    got = got.to(wanted)
    means = F.avg_pool2d(maps, stride, ceil_mode=True)
    if stride > 1 and torch.allclose(got[:, :channels], means):
        return "it takes means of neighbours; option A takes every second pixel as it is."
    largest = F.max_pool2d(maps, stride, ceil_mode=True)
    if stride > 1 and torch.equal(got[:, :channels], largest):
        return "it takes the largest of neighbours; option A takes every second pixel as it is."
    if not got[:, : out - channels].any() and torch.equal(got[:, -channels:], wanted[:, :channels]):
        return "the zeros came first: the old channels keep their places, the zeros follow."
    if got[:, channels:].any():
        return "the new channels should be zeros: yours hold something else."
    return "the right shape, but other pixels: rows and columns 0, 2, 4, ... are wanted."


# The table ----------------------------------------------------------------------------------------

EXERCISES = {
    "block": Exercise(
        judge=judge_block,
        right="same numbers in it, same maps out as the course's block, plain or with a sum.",
        hints=[
            "Follow the left drawing downwards: what does a map meet after the first ReLU?",
            "Between the second norm and the plus sign stands nothing; after the plus sign stands "
            "a ReLU. The shortcut is called with what came in, x.",
            "A block with one convolution: out = self.norm(self.conv(x)), then "
            "out = out + self.side(x), then return F.relu(out).",
        ],
        course=lambda: BasicBlock,
    ),
    "shortcut": Exercise(
        judge=judge_shortcut,
        right="every second pixel, zeros for the new channels, not one weight.",
        hints=[
            "First the pixels, then the channels: two lines.",
            "A slice with a step leaves rows and columns out; F.pad counts from the last axis: "
            "(left, right, top, bottom, first channels, last channels).",
            "Every third column of a map: maps[:, :, :, ::3]. Two rows of zeros below it: "
            "F.pad(maps, (0, 0, 0, 2)).",
        ],
        course=lambda: PadShortcut,
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
            "Look at one block first: what is the slope of x + 0.25 x?",
            "The slopes of a chain are multiplied, one factor for each block.",
            "Three blocks x + 0.5 x: each has the slope 1.5, all three 1.5 ** 3 = 3.375.",
        ],
        right="about 9.3; without the shortcuts 0.00000095, ten million times less.",
        tolerance=0.02,
    ),
}

PREDICTIONS = {
    "deeper": Prediction(
        options=(
            "about as many",
            "about a third more",
            "more than twice as many",
        ),
        right=2,
        because="It starts slowest, and no picture came twice: that is not overfitting.",
        held=(1, 2, 3, 4),
    ),
    "gradients": Prediction(
        options=("much smaller, by thousands", "a little smaller", "larger"),
        right=2,
        because="With batch norm the gradient grows on its way back: it does not vanish.",
    ),
    "duel": Prediction(
        options=(
            "GoogLeNet, by one or two points",
            "GoogLeNet, by more than five points",
            "the two ResNets, by one or two points",
            "the two ResNets, by more than five points",
        ),
        right=2,
        because="In so short a training the ResNets start a little faster.",
    ),
}

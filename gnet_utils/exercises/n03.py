"""Exercises and predictions of notebook 03, the Inception block."""

from collections import Counter
from itertools import permutations
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnet_utils.exercises import Blank, Exercise, Mistake, Prediction, number
from gnet_utils.exercises.trials import (
    Convolution,
    check_class,
    counts_below_zero,
    gives_blank,
    run,
    shapes_of,
)
from gnet_utils.models import GOOGLENET_BLOCKS, Inception
from gnet_utils.plotting import counted

# 03.block -----------------------------------------------------------------------------------------


def judge_block(answer: Any) -> str | None:
    """Whether a class builds the block: two rows of Table 1, same weights in, same numbers out."""
    check_class(answer, "a block")
    for name, in_channels, side in (("3a", 192, 28), ("4a", 480, 14)):  # all widths of 4a differ
        widths = GOOGLENET_BLOCKS[name]
        block = answer(in_channels, *widths)
        images = torch.randn(2, in_channels, side, side, generator=torch.Generator().manual_seed(0))
        blanks = [part for part, value in vars(block).items() if value is ...]
        blanks += ["forward"] * gives_blank(block, images)
        if len(blanks) == 4:  # the stub as it is
            raise Blank(", ".join(blanks))
        if blanks:
            return f"still to fill in: {', '.join(blanks)}."
        for part, value in vars(block).items():
            if isinstance(value, (tuple, list)):
                return f"{part} is several layers: nn.Sequential(...) makes one module of them."
        try:
            output, ran = run(block, images)
        except Mistake as mistake:
            return _why_it_stops(block, name, in_channels, str(mistake))
        if shapes(ran) != shapes_of(Inception(in_channels, *widths)):
            return _odd_layer(block, name, in_channels) or _odd_run(name, in_channels, ran)
        if any(convolution.bias is None for convolution in ran):
            return "a convolution has no bias: leave out bias=False."
        for place, convolution in enumerate(ran):
            if counts_below_zero(block, images, place):
                return f"after the convolution {_said(convolution.shape)} a ReLU is missing."
        if output.shape[1] != widths.out_channels:
            return (
                f"{output.shape[1]} channels leave the block of row {name}, it should be "
                f"{widths.out_channels}: are all four answers on the stack, along dim=1?"
            )
        if mistake := _pooled_wrong(block, images, output) or like_block(name, images, output, ran):
            return mistake
    return None


STOPS = {  # words of PyTorch's error: the slip in forward that led to it
    "except in dimension 0": "torch.cat stacks along dimension 0, the pictures, unless you say "
    "dim=1: that is the channel axis.",
    "except in dimension": "torch.cat stacks along the wrong axis: channels are dim=1.",
    "stack expects": "torch.stack makes a new axis and wants equal shapes: torch.cat(..., dim=1) "
    "lays the channels on one another.",
    "non-singleton dimension": "the four answers are added: lay them on one stack, by torch.cat.",
    "but got Sequential": "torch.cat stacks answers, not layers: call each branch with x.",
    "TypeError: cat()": "torch.cat takes the four answers in one list, in brackets [ ].",
}


def _why_it_stops(block: nn.Module, name: str, in_channels: int, error: str) -> str:
    """The slip behind the error with which a block stops; where none is known, the error."""
    if "come to it" not in error:
        return next((slip for words, slip in STOPS.items() if words in error), error)
    if odd := _odd_layer(block, name, in_channels):
        return odd
    if hasattr(block, "branch_pool"):
        return "a branch reads what another branch made: each of the four reads x itself."
    return error.replace("convolution ", "convolution number ")


def _odd_layer(block: nn.Module, name: str, in_channels: int) -> str | None:
    """The first layer that is not as drawn, by its branch; None where the branches are others."""
    for part, drawn in Inception(in_channels, *GOOGLENET_BLOCKS[name]).named_children():
        branch = f"for row {name} your {part.removeprefix('branch_')} branch"
        layers = getattr(block, part, None)
        if not isinstance(layers, nn.Module):
            return None
        found, wanted = (list(shapes_of(made).elements()) for made in (layers, drawn))
        if len(found) != len(wanted):
            return f"{branch} has {counted(len(found), 'convolution')}, it needs {len(wanted)}."
        for own, right in zip(found, wanted, strict=True):
            if own != right:
                slip = f"{branch} has a {_said(own)} where a {_said(right)} belongs"
                reads_input = own[0] == in_channels and own[1:] == right[1:]
                return slip + (": it reads what the layer before it makes." * reads_input or ".")
    return None


def _odd_run(name: str, in_channels: int, ran: list[Convolution]) -> str:
    """Which convolution does not belong to the row, runs too often, or not at all."""
    found, wanted = shapes(ran), shapes_of(Inception(in_channels, *GOOGLENET_BLOCKS[name]))
    if odd := next((found - wanted).elements(), None):
        slip = "runs twice: use each branch once" if odd in wanted else "is not in the drawing"
        return f"for row {name} the convolution {_said(odd)} {slip}."
    missing = next((wanted - found).elements())
    return (
        f"for row {name} the convolution {_said(missing)} does not run: is its branch in forward?"
    )


def _said(shape: tuple[int, int, int, int]) -> str:
    """Such as "3x3 96 -> 128"."""
    channels_in, channels_out, height, width = shape
    return f"{height}x{width} {channels_in} -> {channels_out}"


def _pooled_wrong(block: nn.Module, images: Tensor, output: Tensor) -> str | None:
    """The slips of the pooling branch that leave all shapes right."""
    layers = block.branch_pool.modules() if hasattr(block, "branch_pool") else []
    project = next((layer for layer in layers if isinstance(layer, nn.Conv2d)), None)
    if project is None:
        return None
    with torch.no_grad():
        late = F.max_pool2d(project(images), 3, stride=1, padding=1).relu()
        average = project(F.avg_pool2d(images, 3, stride=1, padding=1)).relu()
        unpooled = project(images).relu()
        bent = project(F.max_pool2d(images, 3, stride=1, padding=1).relu()).relu()
        pooled = output[:, -project.out_channels :]
    if torch.allclose(pooled, late, atol=1e-4):
        return "the projection runs before the pooling: pool first, then mix."
    if torch.allclose(pooled, average, atol=1e-4):
        return "the pooling takes the mean: a max pooling takes the largest value."
    if torch.allclose(pooled, bent, atol=1e-4):
        return "a ReLU stands between pooling and projection: it belongs behind a convolution."
    if torch.allclose(pooled, unpooled, atol=1e-4):
        return "the pooling changes nothing: its window is 3x3."
    return None


def shapes(ran: list[Convolution]) -> Counter:
    return Counter(convolution.shape for convolution in ran)


# 03.repair ----------------------------------------------------------------------------------------


def judge_repair(answer: Any) -> str | None:
    """Whether a module is block 3a: same weights in, same numbers out."""
    images = torch.randn(2, 192, 28, 28, generator=torch.Generator().manual_seed(0))
    output, ran = run(answer, images)
    if (16, 32, 3, 3) in shapes(ran):
        unbent = any(counts_below_zero(answer, images, place) for place in range(len(ran)))
        left = "two silent bugs are left" if unbent else "one silent bug is left"
        return f"{left}: compare the layers with those of section 4, branch by branch."
    if shapes(ran) != shapes_of(Inception(192, *GOOGLENET_BLOCKS["3a"])):
        return "the convolutions are not those of block 3a: compare with its row in Table 1."
    if any(convolution.bias is None for convolution in ran):
        return "a convolution has no bias: BrokenBlock's have one."
    slip = like_block("3a", images, output, ran)
    return slip and (_pooled_wrong(answer, images, output) or slip)


def like_block(name: str, images: Tensor, output: Tensor, ran: list[Convolution]) -> str | None:
    """Whether `output` is what block `name` makes of `images` with the weights that `ran`.

    All six convolutions of a block have different shapes: so each weight finds its place.
    """
    widths = GOOGLENET_BLOCKS[name]
    block = Inception(images.shape[1], *widths).eval()
    layers = {m.weight.shape: m for m in block.modules() if isinstance(m, nn.Conv2d)}
    with torch.no_grad():
        for convolution in ran:
            layer = layers[convolution.weight.shape]
            layer.weight.copy_(convolution.weight)
            layer.bias[:] = 0 if convolution.bias is None else convolution.bias
        right = block(images)
    if output.shape != right.shape:
        got, wanted = tuple(output.shape), tuple(right.shape)
        return f"{tuple(images.shape)} should become {wanted}, not {got}."

    def same(expected: Tensor) -> bool:  # batch norm, when it is there, changes a thousandth
        return torch.allclose(output, expected, rtol=0.01, atol=0.01 * right.max().item())

    if same(right):
        return None
    branches = right.split([widths.out_1x1, widths.out_3x3, widths.out_5x5, widths.pool_proj], 1)
    if any(same(torch.cat(order, 1)) for order in permutations(branches)):
        return "the branches are stacked in another order: 1x1, 3x3, 5x5, pooling."
    if (output < 0).any():
        return "some outputs are negative: a branch does not end with a ReLU."
    return "right shapes, wrong numbers: is there a ReLU after every convolution, also inside?"


# The table ----------------------------------------------------------------------------------------

EXERCISES = {
    "naive": number(
        1_089_536,
        mistakes={
            388_096: "that is 3b with reductions; a naive block has none.",
            1_089_952: "that counts the 416 biases too; only weights are asked for.",
            1_770_496: "that reads the 416 channels of a naive 3a; here 256 come in.",
            817_152: "that reads the 192 channels of 3a; here 256 come in.",
            516_096: "those are the widths of 3a: 3b makes 128, 192 and 96 channels.",
            1_091_840: "that counts 9 weights for each channel of the pooling: it has none.",
            1_155_072: "that counts pooling as a 1x1 from 256 to 256: pooling has no weights.",
            106_496: "that counts one weight for each pair of channels: a 3x3 window has 9.",
            387_072: "that is the naive 3a: 3b has other widths, and 256 channels come in.",
            854_196_224: "those are the MACs on 28x28: a weight counts once, not at every place.",
            303_104: "a window of side k has k * k weights, not k.",
            4_256: "those are the weights for one input channel: 256 come in.",
            672: "those are the output channels: each reads 256 channels by a window.",
            36_896: "brackets are missing: the 256 channels count for all three windows.",
            1_056_768: "that is without the 1x1 convolution.",
            1_679_360: "that counts pooling as a 3x3 convolution: pooling has no weights.",
            1_105_920: "a naive block has no pool projection: only three convolutions count.",
        },
        hints=[
            "Count the three convolutions one by one; pooling has no weights.",
            "A k x k convolution has k * k * channels in * channels out weights.",
            "A neighbour: 10 channels in, a 1x1 to 4 and a 3x3 to 2: 10 * (1 * 4 + 9 * 2) = 220.",
        ],
        right="256 channels in, times 128 * 1 + 192 * 9 + 96 * 25 weights.",
    ),
    "block": Exercise(
        judge_block,
        right="same weights in, same numbers out as the course's block, for 3a and for 4a.",
        hints=[
            "Look at one colour of the drawing at a time: which layers, in which order?",
            "After each convolution comes a ReLU; a window of k needs padding (k - 1) / 2.",
            "A branch 64 -> 8 -> 24 with a 7x7 window: nn.Sequential(nn.Conv2d(64, 8, "
            "kernel_size=1), nn.ReLU(), nn.Conv2d(8, 24, kernel_size=7, padding=3), nn.ReLU()). "
            "Two branches stack by torch.cat([first(x), second(x)], dim=1).",
        ],
        course=lambda: Inception,
    ),
    "repair": Exercise(
        judge_repair,
        right="same weights in, same numbers out as the package's block 3a.",
        hints=[
            "Run it on torch.zeros(1, 192, 28, 28) first and read the error: which size is odd?",
            "Then compare each branch with section 4, layer by layer, window by window.",
            "Ask each branch: branch(torch.zeros(1, 192, 28, 28)).shape. In another block one gave "
            "26 in place of 28: a 3x3 without padding. Then read what no shape shows.",
        ],
    ),
}

PREDICTIONS = {
    "p1": Prediction(
        ["stronger: it adds 25 pixels", "as strong", "about a fifth"],
        right=2,
        because="Of the 25 pixels 24 are only noise, and the bright one has a weight of 1/5.",
        held=(1, 2, 3),
    ),
    "p2": Prediction(
        ["416", "640", "864", "1248"],
        right=2,
        because="Each block adds 224 channels to the 192: 416, 640, 864. In 3 x 416 = 1248 the 192 "
        "count three times.",
    ),
    "p3": Prediction(
        ["more than 387,072", "a little less than half of it", "about a tenth"],
        right=1,
        because="The reductions add weights, but the large windows read far fewer channels.",
        held=(4, 5),
    ),
}

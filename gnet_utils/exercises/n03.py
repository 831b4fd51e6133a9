"""Exercises and predictions of notebook 03, the Inception block."""

from collections import Counter
from contextlib import redirect_stdout
from io import StringIO
from itertools import permutations, product
from operator import index
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gnet_utils.exercises import Exercise, Prediction, kind_of, number
from gnet_utils.exercises.trials import Convolution, run
from gnet_utils.models import GOOGLENET_BLOCKS, Inception

# 03.padding ---------------------------------------------------------------------------------------


def judge_padding(answer: Any) -> str | None:
    """Whether a function (kernel_size, dilation) -> padding keeps the size of a map."""
    if not callable(answer):
        return f"a function is asked for, this is {kind_of(answer)}: answer = same_padding."
    for dilation, kernel_size in product((1, 2, 3), (1, 3, 5, 7)):
        with redirect_stdout(StringIO()):  # twelve calls would print twelve times
            got = answer(kernel_size, dilation)
            if dilation == 1:
                try:
                    got = answer(kernel_size)
                except TypeError:
                    return "without dilation it does not work: give dilation the default 1."
        wanted = dilation * (kernel_size - 1) // 2
        case = f"for kernel_size={kernel_size}, dilation={dilation}"
        if got is None:
            return f"{case} the function returns nothing: does it end with return?"
        try:
            got = index(got)  # a whole number of Python, NumPy or PyTorch, as Conv2d takes it
        except TypeError:
            advice = ": divide with //" if isinstance(got, (float, np.floating)) else ""
            return f"{case} it returns {got!r:.40}, Conv2d wants a whole number{advice}."
        if got == 2 * wanted and wanted:
            return f"{case} it pads by {got} on each side: both sides together lose that much."
        if got != wanted and dilation > 1 and got == (kernel_size - 1) // 2:
            return f"{case} it returns {got}: that forgets that dilation widens the window."
        if got != wanted:
            return f"{case} it returns {got}, and then the map does not keep its size."
    return None


# 03.row -------------------------------------------------------------------------------------------


def judge_row(answer: Any) -> str | None:
    """Whether a module is block 4d."""
    images = torch.randn(2, 512, 8, 8, generator=torch.Generator().manual_seed(0))
    output, ran = run(answer, images, new_norms=True)
    if not ran:
        return "there is no convolution in this module."
    found, wanted = shapes(ran), shapes_of("4d", 512)
    if len(ran) < 6:
        return f"a block has 6 convolutions, this has {len(ran)}: the reductions are missing."
    if {(288, 144, 3, 3), (64, 32, 5, 5)} & set(found):
        return "a reduction is wider than what follows: the reduce width comes before the output."
    if found != wanted:
        c_in, c_out, *k = next((found - wanted or found).elements())
        return (
            f"a {k[0]}x{k[1]} convolution {c_in} -> {c_out} is one too many for that row: "
            "compare width by width."
        )
    return like_block("4d", images, output, ran)


def shapes(ran: list[Convolution]) -> Counter:
    return Counter(convolution.shape for convolution in ran)


def shapes_of(block: str, in_channels: int) -> Counter:
    """The six convolutions of a block: channels in, channels out, window."""
    layers = Inception(in_channels, *GOOGLENET_BLOCKS[block]).modules()
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    return Counter((conv.in_channels, conv.out_channels, *conv.kernel_size) for conv in convs)


# 03.repair ----------------------------------------------------------------------------------------


def judge_repair(answer: Any) -> str | None:
    """Whether a module is block 3a: same weights in, same numbers out."""
    images = torch.randn(2, 192, 12, 12, generator=torch.Generator().manual_seed(0))
    output, ran = run(answer, images)
    if (16, 32, 3, 3) in shapes(ran):
        return "a silent bug is left: look at the window of every convolution, branch by branch."
    if shapes(ran) != shapes_of("3a", 192):
        return "the convolutions are not those of block 3a: compare with its row in Table 1."
    if any(convolution.bias is None for convolution in ran):
        return "a convolution has no bias: BrokenBlock's have one."
    return like_block("3a", images, output, ran)


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
    "padding": Exercise(
        judge_padding,
        right="a window spans d(k - 1) + 1 pixels, and each side gives half of the d(k - 1) lost.",
        hints=[
            "How many steps lead from the first tap of the window to the last?",
            "They are k - 1 steps; with dilation d each step is d pixels long.",
            "The map loses that many rows in all. Padding is what is added on one side.",
        ],
    ),
    "naive": number(
        1_089_536,
        mistakes={
            388_096: "that is 3b with reductions; a naive block has none.",
            1_089_952: "that counts the 416 biases too; only weights are asked for.",
            1_770_496: "that reads the 416 channels of a naive 3a; here 256 come in.",
            817_152: "that reads the 192 channels of 3a; here 256 come in.",
            516_096: "those are the widths of 3a: 3b makes 128, 192 and 96 channels.",
            1_155_072: "that counts pooling as a 1x1 from 256 to 256: pooling has no weights.",
            106_496: "that counts one weight for each pair of channels: a 3x3 window has 9.",
            387_072: "that is the naive 3a: 3b has other widths, and 256 channels come in.",
            303_104: "a window of side k has k * k weights, not k.",
            1_105_920: "a naive block has no pool projection: only three convolutions count.",
        },
        hints=[
            "Count the three convolutions one by one; pooling has no weights.",
            "A k x k convolution has k * k * channels in * channels out weights.",
            "All three read 256 channels; the windows have 1, 9 and 25 weights.",
        ],
        right="256 channels in, times 128 * 1 + 192 * 9 + 96 * 25 weights; 2.8 times the real 3b.",
    ),
    "row": Exercise(
        judge_row,
        right="six convolutions, 512 channels in, 112 + 288 + 64 + 64 = 528 out.",
        hints=[
            "Inception takes the input channels first, then the row from left to right.",
            "4d reads what 4c puts out: 512 channels.",
            "Name the widths, out_1x1=..., reduce_3x3=..., so that none changes places.",
        ],
    ),
    "window": number(
        91,
        mistakes={
            63: "that adds four photo pixels: a step on the map is 8 of them.",
            99: "a window of 5 reaches 4 steps further, not 5.",
            75: "that is two steps of 8: the 3x3 branch, or a window of 5 on one side only.",
            123: "that takes steps of 16: a step on the map of 3b is still 8 photo pixels.",
            64: "that adds the window's width in map pixels: count steps, in photo pixels.",
            67: "that is one step only.",
            118: "fields do not double: only the steps of the new window are added.",
            5: "that is in pixels of the map; photo pixels are asked for.",
        },
        hints=[
            "Which branch of 3b has the widest window?",
            "From the middle of a window of 5 it is two steps to each side.",
            "One step on the map is 8 photo pixels. Start from 59.",
        ],
        right="59 + 4 * 8: four more steps of 8 photo pixels.",
    ),
    "repair": Exercise(
        judge_repair,
        right="same weights in, same numbers out as the package's block 3a.",
        hints=[
            "Run it on torch.zeros(1, 192, 28, 28) first and read the error: which size is odd?",
            "Then compare each branch with section 4, layer by layer, window by window.",
            "MaxPool2d's stride; the window of one convolution; one ReLU that is missing.",
        ],
    ),
    "two3x3": number(
        29,
        mistakes={
            30: "30 middle channels cost 12,960 weights, more than the 12,800 of the 5x5.",
            16: "16 is within the limit, but not the largest.",
            32: "32 middle channels cost 13,824 weights: section 9 counted them.",
            88: "that counts the first 3x3 only; the second reads the middle channels too.",
            44: "that counts the second 3x3 only; the middle channels must be made first.",
            22: "25 against 18 is for equal widths: write down the weights of 16 -> m -> 32.",
            266: "a 3x3 window has 9 weights for each pair of channels, not one.",
        },
        hints=[
            "Write the weights of both 3x3 convolutions as a formula in m.",
            "The first has 9 * 16 * m weights, the second 9 * m * 32.",
            "Divide the weights of the 5x5 by what one middle channel costs; channels are whole.",
        ],
        right="a middle channel costs 9 * 16 + 9 * 32 = 432 weights, and 29 * 432 = 12,528.",
    ),
}

PREDICTIONS = {
    "p1": Prediction(
        ["stronger: it adds 25 pixels", "as strong", "about a fifth"],
        right=2,
        because="Its weights are 1/5, so that noise counts as in the 1x1: one pixel gives 1/5.",
    ),
    "p2": Prediction(
        ["416", "640", "864", "1248"],
        right=2,
        because="Each block adds 224 channels to the 192: 416, 640, 864.",
    ),
    "p3": Prediction(
        ["more than 387,072", "a little less than half of it", "about a tenth"],
        right=1,
        because="The reductions add weights, but the large windows read far fewer channels.",
    ),
    "p4": Prediction(
        ["81", "9, the window", "1"],
        right=2,
        because="Only the largest of the nine reaches the output, so only it has a gradient.",
    ),
    "p5": Prediction(
        ["yes, from block to block", "roughly", "no"],
        right=2,
        because="The ratio rises from 4a to 4d only, and 5b is back at the value of 4a.",
    ),
    "p6": Prediction(
        ["28% fewer weights", "as many", "more"],
        right=2,
        because="The second 3x3 reads 32 channels, the 5x5 only 16: 13,824 against 12,800.",
    ),
}

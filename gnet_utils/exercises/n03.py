"""Exercises and predictions of notebook 03, the Inception block."""

from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import torch
from torch import nn

from gnet_utils.exercises import Exercise, Prediction, kind_of, number
from gnet_utils.models import GOOGLENET_BLOCKS, Inception, NaiveInception

# 03.padding ---------------------------------------------------------------------------------------


def judge_padding(answer: Any) -> str | None:
    """Whether a function (kernel_size, dilation) -> padding keeps the size of a map."""
    if not callable(answer):
        return f"a function is asked for, this is {kind_of(answer)}: answer = same_padding."
    for dilation in (1, 2, 3):
        for kernel_size in (1, 3, 5, 7):
            with redirect_stdout(StringIO()):  # twelve calls would print twelve times
                got = answer(kernel_size, dilation) if dilation > 1 else answer(kernel_size)
            wanted = dilation * (kernel_size - 1) // 2
            case = f"for kernel_size={kernel_size}, dilation={dilation}"
            if got is None:
                return f"{case} the function returns nothing: does it end with return?"
            if got == wanted and not isinstance(got, int):
                return f"{case} it returns {got!r}, Conv2d wants a whole number: divide with //."
            if got == 2 * wanted and wanted:
                return f"{case} it pads by {got} on each side: both sides together lose that much."
            if got != wanted and dilation > 1 and got == (kernel_size - 1) // 2:
                return f"{case} it returns {got}: that forgets that dilation widens the window."
            if got != wanted:
                return f"{case} it returns {got}, and then the map does not keep its size."
    return None


# 03.row -------------------------------------------------------------------------------------------


def convolutions(module: nn.Module) -> list[tuple[int, int, int]]:
    """(channels in, channels out, kernel size) of each convolution, sorted."""
    convs = [m for m in module.modules() if isinstance(m, nn.Conv2d)]
    return sorted((m.in_channels, m.out_channels, m.kernel_size[0]) for m in convs)


def not_a_module(answer: Any) -> str | None:
    """What is wrong with an answer that should be a module and is none."""
    if isinstance(answer, type) and issubclass(answer, nn.Module):
        return f"this is the class {answer.__name__}, not a block made from it: add brackets."
    if not isinstance(answer, nn.Module):
        return f"a module is asked for, this is {kind_of(answer)}."
    return None


def judge_row(answer: Any) -> str | None:
    """Whether a module is block 4d."""
    problem = not_a_module(answer)
    if problem:
        return problem
    found = convolutions(answer)
    if not found:
        return "there is no convolution in this module."
    wanted = convolutions(Inception(512, *GOOGLENET_BLOCKS["4d"]))
    in_channels = sorted({shape[0] for shape in found if shape[2] == 1})
    if len(found) < len(wanted):
        return f"a block has 6 convolutions, this has {len(found)}: the reductions are missing."
    if 512 not in in_channels:
        read = " and ".join(map(str, in_channels)) or "none"
        return f"it cannot read 512 channels, the output of 4c: its 1x1 layers read {read}."
    if {(288, 144, 3), (64, 32, 5)} & set(found):
        return "a reduction is wider than what follows: the reduce width comes before the output."
    if found != wanted:
        c_in, c_out, k = next((Counter(found) - Counter(wanted)).elements())
        return (
            f"a {k}x{k} convolution {c_in} -> {c_out} is one too many for that row: "
            "compare width by width."
        )
    with torch.no_grad():
        shape = tuple(answer(torch.zeros(1, 512, 14, 14)).shape)
    if shape != (1, 528, 14, 14):
        return f"a map (1, 512, 14, 14) should become (1, 528, 14, 14), it becomes {shape}."
    return None


# 03.repair ----------------------------------------------------------------------------------------


def judge_repair(answer: Any) -> str | None:
    """Whether a module is block 3a: same weights in, same numbers out."""
    problem = not_a_module(answer)
    if problem:
        return problem
    for pool in answer.modules():
        if isinstance(pool, nn.MaxPool2d) and pool.stride not in (1, (1, 1)):
            return f"the pooling moves in steps of {pool.stride}; without stride=1 it shrinks maps."
    reference = Inception(192, *GOOGLENET_BLOCKS["3a"])
    found, wanted = convolutions(answer), convolutions(reference)
    if (16, 32, 3) in found:
        return "a silent bug is left: look at the window of every convolution, branch by branch."
    if found != wanted:
        return "the convolutions are not those of block 3a: compare with its row in Table 1."
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        mine = list(answer.parameters())
        theirs = list(reference.parameters())
        if [p.shape for p in mine] != [p.shape for p in theirs]:
            return "its weights come in another order than in BrokenBlock: keep order and biases."
        kept = [p.clone() for p in mine]
        for p, q in zip(mine, theirs, strict=True):
            q.copy_(torch.randn(q.shape, generator=generator) * 0.1)
            p.copy_(q)
        images = torch.randn(2, 192, 12, 12, generator=generator)
        try:
            out, right = answer(images), reference(images)
        finally:
            for p, old in zip(mine, kept, strict=True):
                p.copy_(old)
    if out.shape != right.shape:
        return f"{tuple(images.shape)} should become {tuple(right.shape)}, not {tuple(out.shape)}."
    if torch.allclose(out, right, atol=1e-3):
        return None
    if (out < 0).any():
        return "some outputs are negative: a branch does not end with a ReLU."
    return "right shapes, wrong numbers: is there a ReLU after every convolution, also inside?"


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
        wrong=[
            (lambda kernel_size, dilation=1: kernel_size // 2, "forgets that dilation"),
            (lambda kernel_size, dilation=1: dilation * (kernel_size - 1), "both sides together"),
            (lambda kernel_size, dilation=1: dilation * (kernel_size - 1) / 2, "divide with //"),
            (lambda kernel_size, dilation=1: kernel_size, "does not keep its size"),
            (lambda kernel_size, dilation=1: None, "return"),
            (1, "a function is asked for"),
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
        wrong=[
            (Inception, "add brackets"),
            (528, "a module is asked for"),
            (Inception(192, *GOOGLENET_BLOCKS["4d"]), "cannot read 512 channels"),
            (Inception(528, *GOOGLENET_BLOCKS["4d"]), "its 1x1 layers read 528."),
            (Inception(512, 112, 288, 144, 64, 32, 64), "wider than what follows"),
            (Inception(512, *GOOGLENET_BLOCKS["4c"]), "one too many"),
            (Inception(512, 112, 144, 288, 32, 64, 32), "512 -> 32 is one too many"),
            (NaiveInception(512, 112, 288, 64), "the reductions are missing"),
            (nn.ReLU(), "no convolution"),
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
        wrong=[
            (repaired(branch_pool=jumping_branch), "steps of 3"),
            (repaired(branch_5x5=torchvision_branch), "window of every convolution"),
            (repaired(branch_3x3=linear_branch), "also inside"),
            (repaired(branch_1x1=bare_branch), "negative"),
            (Inception(192, *GOOGLENET_BLOCKS["3b"]), "row in Table 1"),
            (Inception, "add brackets"),
            ("done", "a module is asked for"),
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
            22: "25 against 18 holds only where all three widths are equal.",
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
        [
            "as a black cut",
            "as a faint stripe",
            "not at all",
        ],
        right=1,
        because="The 5x5 takes the mean of 25 pixels, and 20 of them still see fur.",
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

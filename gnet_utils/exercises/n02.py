"""Checks of notebook 02: bottlenecks and budgets."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from gnet_utils.exercises import Blank, Exercise, Prediction, as_number, number
from gnet_utils.exercises.trials import call, counts_below_zero, filled, run


def filled_in(answer: Callable, *arguments: int) -> Any:
    """What the reader's function gives; Blank while a place of it is."""
    with filled(Blank("every place with ...")):
        got = call(answer, *arguments)
    if got is ...:
        raise Blank("every place with ...")
    return got


# 02.bottleneck ------------------------------------------------------------------------------------


def bottleneck(in_channels: int, reduce: int, out_channels: int, kernel_size: int) -> nn.Module:
    """The course's own: 1x1, ReLU, k x k that keeps the map's size, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, reduce, kernel_size=1),
        nn.ReLU(),
        nn.Conv2d(reduce, out_channels, kernel_size, padding=kernel_size // 2),
        nn.ReLU(),
    )


def judge_bottleneck(answer: Any) -> str | None:
    """Whether a function builds bottlenecks: same weights in, same numbers out."""
    if isinstance(answer, nn.Module):
        return "this is one module: hand in the function that builds it, without brackets."
    for c_in, reduce, c_out, k in ((20, 6, 10, 3), (8, 12, 4, 5)):
        where = f"for {c_in} -> {reduce} -> {c_out} with {k}x{k}"
        module = filled_in(answer, c_in, reduce, c_out, k)
        images = torch.randn(2, c_in, 9, 9, generator=torch.Generator().manual_seed(0))
        output, ran = run(module, images)
        if len(ran) != 2:
            return f"{where} two convolutions should run; it is {len(ran)}."
        wanted = [(c_in, reduce, 1, 1), (reduce, c_out, k, k)]
        found = [convolution.shape for convolution in ran]
        if found == [(c_in, reduce, k, k), (reduce, c_out, 1, 1)]:
            return f"{where} the {k}x{k} reads all {c_in} channels: the 1x1 has to come before it."
        for place, layer, wish in zip(("first", "second"), found, wanted, strict=True):
            if layer != wish:
                return f"{where} the {place} convolution is {shown(layer)}, not {shown(wish)}."
        if any(convolution.groups > 1 for convolution in ran):
            return "a convolution has groups: here every output channel reads all channels."
        if any(convolution.bias is None for convolution in ran):
            return "a convolution has no bias: leave out bias=False."
        if any(isinstance(layer, nn.modules.batchnorm._NormBase) for layer in module.modules()):
            return "there is a normalisation: here two convolutions and two ReLUs are asked for."
        if output.shape[2:] != images.shape[2:]:
            height, width = output.shape[2:]
            return (
                f"{where} a map of 9x9 came out as {height}x{width}: a k x k window needs a frame "
                "of k // 2 zeros, a 1x1 none."
            )
        for place, name in enumerate(("1x1", "k x k")):
            if counts_below_zero(module, images, place):
                return f"after the {name} convolution a ReLU is missing."
        first, second = ran
        middle = F.conv2d(images, first.weight, first.bias).relu()
        right = F.conv2d(middle, second.weight, second.bias, padding=k // 2).relu()
        if not torch.allclose(output, right, rtol=1e-3, atol=1e-4):
            return (
                "the two convolutions are right; what else happens to their maps is not asked for."
            )
    return None


def shown(shape: tuple[int, int, int, int]) -> str:
    channels_in, channels_out, k, _ = shape
    return f"{k}x{k} from {channels_in} to {channels_out} channels"


# 02.breakeven -------------------------------------------------------------------------------------


def break_even(in_channels: int, out_channels: int, kernel_size: int) -> int:
    """The course's own: the largest waist that has fewer weights than the plain layer."""
    plain = kernel_size**2 * in_channels * out_channels
    return (plain - 1) // (in_channels + kernel_size**2 * out_channels)


def judge_break_even(answer: Any) -> str | None:
    """`answer(in_channels, out_channels, kernel_size)` must be the largest r that saves weights."""
    ties = {(64, 64, 1): 31, (18, 2, 3): 8}
    cases = {(192, 128, 3): 164, (192, 32, 5): 154, (256, 64, 3): 177, (64, 32, 1): 21, **ties}
    for (c_in, c_out, k), right in cases.items():
        got = as_number(filled_in(answer, c_in, c_out, k))
        if isinstance(got, str):
            return f"what the function returns is not what is wanted: {got}"
        where = f"for {c_in} -> r -> {c_out} with {k}x{k}"
        if k > 1 and got in _largest(c_in=c_out, c_out=c_in, area=k * k):
            return (
                f"{where} you gave {got:g}: in and out are swapped. The 1x1 meets the incoming "
                "channels, the kernel the others."
            )
        if k > 1 and got == c_in * c_out // (c_in + c_out):
            return (
                f"{where} you gave both layers the same area: only the second has k * k weights "
                "for each pair of channels."
            )
        if k > 1 and got in (c_in, c_in - 1):
            return f"{where} you gave {got:g}: a channel of the waist costs weights in the 1x1 too."
        if k > 1 and got in _largest(c_in, c_out, area=k):
            return f"{where} you used the kernel's side once: its area is k * k."
        if got == right + 1 and (c_in, c_out, k) in ties:
            return f"{where} you gave {got:g}: there both cost the same, and a tie saves nothing."
        if got == right + 1:
            return f"{where} you rounded up: one channel fewer, or it costs more than it saves."
        if got != int(got):
            return f"{where} you gave {got:.2f}: channels are whole, round down."
        if got != right:
            return f"{where} you gave {got:g}, which is too {'small' if got < right else 'large'}."
    return None


def _largest(c_in: int, c_out: int, area: int) -> list[int]:
    """The largest reduction that costs no more than the plain layer, and that costs less."""
    return [(area * c_in * c_out - lost) // (c_in + area * c_out) for lost in (0, 1)]


EXERCISES = {
    "bottleneck": Exercise(
        judge_bottleneck,
        right="two convolutions, a ReLU after each, and the map keeps its size.",
        hints=[
            "The middle drawing at the top: which channels does each of the two layers read, and "
            "which does it give?",
            "The second convolution reads what the first one gives. A k x k window needs a frame "
            "of k // 2 zeros, and each convolution needs a ReLU.",
            "A neighbour, 10 -> 20 channels with 7x7 and no waist: "
            "nn.Sequential(nn.Conv2d(10, 20, 7, padding=3), nn.ReLU()).",
        ],
        course=lambda: bottleneck,
    ),
    "breakeven": Exercise(
        judge_break_even,
        right="as many prices of one channel as fit below the plain layer's weights.",
        hints=[
            "One more channel in the waist: how many weights does it add to the 1x1, and how many "
            "to the k x k behind it?",
            "Write down the weights of the plain layer, and the price of one channel. How many "
            "such prices stay below the plain layer? The number is whole, and a tie is too much.",
            "A neighbour: you have 100 coins, and at least one must be left. At a price of 7 you "
            "can buy (100 - 1) // 7 = 14 pieces, at a price of 10 you can buy (100 - 1) // 10 = 9.",
        ],
        course=lambda: break_even,
    ),
    "budget": number(
        28,
        mistakes={
            60_000_000 / (2_656 * 784): "channels are whole: how many fit entirely?",
            22_590: "that is for one pixel: each channel works at all 28 * 28 of them.",
            29: "that is rounded up, and costs 60.4 million MACs.",
            31: "the 1x1 is missing: it costs 256 * r MACs at each pixel.",
            14: "60 million MACs are 120 million FLOPs: you halved the budget.",
            32: "that is the paper's choice for block 3b, and it costs 66.6 million MACs.",
            68: "you counted the 5x5 as a 3x3.",
            298: "that is the 1x1 alone: the 5x5 after it works too.",
            217: "you counted the 5x5 as a 1x1: each pair of channels has 5 * 5 weights.",
        },
        hints=[
            "What does one channel of the reduction cost, in MACs, on the whole map?",
            "One channel costs (256 + 5 * 5 * 96) MACs at each of the 28 * 28 pixels.",
            "A neighbour: for 128 -> r -> 64 with a 3x3 on 14 * 14 pixels one channel costs "
            "(128 + 9 * 64) * 196 = 137,984 MACs, and 5 million MACs buy 36 channels.",
        ],
        right="one channel costs 2,082,304 MACs, and 28 of them 58.3 million.",
    ),
}

PREDICTIONS = {
    "p1": Prediction(
        ["nothing: two layers cost more than one", "about 10%", "about 42%", "exactly 50%"],
        right=2,
        because="The 3x3 costs half, but the 1x1 before it costs something too.",
    ),
    "p2": Prediction(
        ["both stay", "weights stay, MACs double", "weights stay, MACs times 4", "both times 4"],
        right=2,
        because="The same weights work at every pixel, and there are four times as many pixels.",
    ),
    "p3": Prediction(
        ["64", "96", "128", "164"],
        right=3,
        because="A 1x1 is cheap beside a 3x3, so even a reduction from 192 to 164 pays for itself.",
        held=(4, 5),
    ),
    "p4": Prediction(
        ["48", "32", "12", "1"],
        right=2,
        because="The layers behind it only need what tells the classes apart.",
        held=(1, 2, 3),
    ),
}

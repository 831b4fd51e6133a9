"""Checks of notebook 02: bottlenecks and budgets."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from gnet_utils.exercises import Exercise, Prediction, as_number, kind_of, number
from gnet_utils.exercises.trials import call, run

# 02.breakeven -------------------------------------------------------------------------------------


def judge_break_even(answer: Any) -> str | None:
    """`answer(in_channels, out_channels, kernel_size)` must be the largest r that saves weights."""
    ties = {(64, 64, 1): 31, (18, 2, 3): 8}
    cases = {(192, 128, 3): 164, (192, 32, 5): 154, (256, 64, 3): 177, (64, 32, 1): 21, **ties}
    for (c_in, c_out, k), right in cases.items():
        got = as_number(call(answer, c_in, c_out, k))
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


# 02.lowrank ---------------------------------------------------------------------------------------


def judge_low_rank(answer: Any) -> str | None:
    """`answer(weight, r)` must return (down, up) whose product is the best rank-r copy."""
    generator = torch.Generator().manual_seed(0)
    for shape, r in (((12, 20), 5), ((20, 12), 3)):
        weight = torch.randn(shape, generator=generator)
        try:
            pair = call(answer, weight.clone(), r)
        except (RuntimeError, ValueError):  # sizes do not fit: where they do, the slip shows
            slip = _slip_on_square(answer)
            if slip is None:
                raise
            return slip
        if mistake := _misshapen(pair, *shape, r):
            return mistake if "transposed" in mistake else _slip_on_square(answer) or mistake
        if mistake := _slip(pair, weight, r):
            return mistake
    return None


def _misshapen(pair: Any, out_channels: int, in_channels: int, r: int) -> str | None:
    """What is wrong with the form of what came back, None for two matrices that fit."""
    if isinstance(pair, (torch.Tensor, np.ndarray)):
        return "return the two matrices down and up, not their product: two layers are built."
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        given = len(pair) if isinstance(pair, (tuple, list)) else kind_of(pair)
        return f"two matrices are asked for, down and up; you returned {given}."
    for name, matrix in zip(("down", "up"), pair, strict=True):
        if not isinstance(matrix, (torch.Tensor, np.ndarray)):
            return f"two tensors are asked for, down and up; {name} is {kind_of(matrix)}."
    got = [tuple(matrix.shape) for matrix in pair]
    wanted = [(r, in_channels), (out_channels, r)]
    if got == wanted:
        return None
    if got == wanted[::-1]:
        return "the order is down, then up: the 1x1 that reduces comes first."
    turned = [n for n, g, w in zip(("down", "up"), got, wanted, strict=True) if g == w[::-1]]
    return (
        f"for r = {r} and a weight {(out_channels, in_channels)}, down is {wanted[0]} and up "
        f"{wanted[1]}; you gave {got[0]} and {got[1]}"
        + (f": transposed is {' and '.join(turned)}." if turned else ".")
    )


def _slip(pair: Sequence, weight: torch.Tensor, r: int) -> str | None:
    """What made the product another matrix than the best of rank r; None for the best."""
    down, up = (torch.as_tensor(matrix).detach().float() for matrix in pair)
    product, (u, s, vh) = up @ down, torch.linalg.svd(weight)
    error, best = (weight - product).norm() / weight.norm(), s[r:].norm() / weight.norm()
    if error <= best + 1e-4:  # Eckart and Young: only the best copy comes so near
        return None
    left, middle, right, last = u[:, :r], s[:r], vh[:r], slice(len(s) - r, len(s))

    def is_like(slip: torch.Tensor) -> bool:
        return torch.allclose(product, slip, atol=1e-3)

    if is_like(left @ right):
        return "the singular values are missing: multiply them into down or up."
    if is_like((left * middle**2) @ right):
        return "the singular values are in twice: into down or up, not whole into both."
    if is_like((left * middle**0.5) @ right):
        return "only the roots of the singular values are in: take them whole, or into both."
    if is_like((u[:, last] * s[last]) @ vh[last]):
        return "you kept the smallest singular values: svd sorts them from large to small."
    if is_like((u[:r].T * middle) @ right):
        return "you took rows of u: the directions on the side of the output are its columns."
    if is_like((left * middle) @ vh[:, :r].T):
        return "you took columns of vh: it is V transposed already, its rows are the directions."
    of_rows = len(u) == len(s) and is_like((s[:, None] * left) @ right)
    of_columns = len(vh) == len(s) and is_like(left @ (right * s))
    if of_rows or of_columns:
        return (
            "the singular values meet the wrong axis: each of them belongs to one row of vh, or to "
            "one column of u."
        )
    return f"up @ down is off by {error:.0%} of the weight, the best of rank {r} by {best:.0%}."


def _slip_on_square(answer: Callable) -> str | None:
    """The slip as it shows where all sizes are equal, None when it has no name there."""
    weight = torch.randn(6, 6, generator=torch.Generator().manual_seed(1))
    try:
        pair = answer(weight.clone(), 6)
        message = None if _misshapen(pair, 6, 6, 6) else _slip(pair, weight, 6)
    except (RuntimeError, ValueError):
        return None
    return None if message is None or message.startswith("up @ down") else message


# 02.spindle ---------------------------------------------------------------------------------------

SPINDLE = [(64, 384, 1, 1), (384, 384, 3, 3), (384, 64, 1, 1)]
BENDS = {"ReLU6": F.relu6, "ReLU": F.relu, "nothing": lambda maps: maps}


def judge_spindle(answer: Any) -> str | None:
    """`answer` must be 64 -> 384, depthwise 3x3, -> 64, without biases, linear at its end."""
    # Large inputs: small ones never reach the 6 of ReLU6.
    images = 20 * torch.randn(2, 64, 14, 14, generator=torch.Generator().manual_seed(0))
    output, convs = run(answer, images, new_norms=True)
    if len(convs) != 3:
        return f"three convolutions are asked for, these are {len(convs)}."
    if convs[1].groups == 1:
        weights = convs[1].weight.numel()
        return f"the 3x3 is dense ({weights:,} weights): depthwise is groups=384."
    if any(conv.bias is not None for conv in convs):
        return "there are biases: bias=False in all three."
    if output.shape[2:] != images.shape[2:]:
        return f"14x14 came out as {output.shape[2]}x{output.shape[3]}: the 3x3 needs padding=1."
    if output.shape != images.shape:
        return f"64 channels must come out, these are {output.shape[1]}."
    weights = sum(conv.weight.numel() for conv in convs)
    if weights != 52_608 or [conv.shape for conv in convs] != SPINDLE:
        return (
            f"it has {weights:,} weights instead of 52,608: the depthwise 3x3 has one kernel for "
            "each of its 384 channels."
        )
    for first, second, last, added in product(BENDS, BENDS, BENDS, (0, 1)):
        maps = BENDS[first](F.conv2d(images, convs[0].weight))
        maps = BENDS[second](F.conv2d(maps, convs[1].weight, padding=1, groups=384))
        maps = BENDS[last](F.conv2d(maps, convs[2].weight)) + added * images
        if not torch.allclose(output, maps, rtol=1e-3, atol=1e-3):
            continue
        if last != "nothing":
            return f"there is a {last} after the last convolution: the narrow end stays linear."
        if "nothing" in (first, second):
            return "a ReLU6 is missing: one after the expansion and one after the depthwise 3x3."
        if "ReLU" in (first, second):
            return "there is a ReLU in place of a ReLU6: values above 6 must become 6."
        if added:
            return "the input is added at the end: here the three layers alone are asked for."
        return None
    return (
        "the three convolutions are right, what happens between them is not: a ReLU6 after the "
        "first two, and padding with zeros."
    )


EXERCISES = {
    "bottleneck": number(
        254_272,
        mistakes={
            253_952: "these are the weights alone: each output channel also has one bias.",
            442_560: "that is one 3x3 over all 256 channels: the 1x1 has already cut them to 128.",
            442_368: "that is a plain 3x3 without biases: here a 1x1 stands before it.",
            475_456: "your 3x3 reads 256 channels: the 1x1 before it gives 128.",
            475_136: "your 3x3 reads 256 channels, and the biases are missing.",
            221_376: "that is the 3x3 alone: the 1x1 before it has weights too.",
            32_896: "that is the 1x1 alone: the 3x3 after it is still to come.",
            254_080: "the biases of the 3x3 are missing.",
            254_144: "the biases of the 1x1 are missing.",
            57_664: "you counted the 3x3 as a 1x1: each pair of channels has 3 * 3 weights.",
        },
        hints=[
            "Two layers: 256 -> 128 with 1x1, then 128 -> 192 with 3x3. Count each, then add.",
            "Weights of a layer: k * k * in * out. Biases: one for each output channel.",
            "The 1x1 has 256 * 128 + 128 parameters.",
        ],
        right="32,896 in the 1x1 and 221,376 in the 3x3.",
    ),
    "macs": number(
        44_255_232,
        mistakes={
            88_510_464: "these are FLOPs: a multiply-add counts once here.",
            225_792: "these are the weights: each works once for every pixel of the map.",
            177_020_928: "that is on a 28x28 map: block 4a comes after another pooling, at 14x14.",
            35_223_552: "that is the 3x3 alone: the 1x1 before it works too.",
            9_031_680: "that is the 1x1 alone: the 3x3 after it is still to come.",
            12_945_408: "you counted the 3x3 as a 1x1: each pair of channels has 3 * 3 weights.",
            176_117_760: "that is the 3x3 over all 480 channels.",
            185_149_440: "your 3x3 reads 480 channels: the 1x1 before it gives 96.",
            226_096: "these are the parameters with biases: work is asked for.",
            3_161_088: "you multiplied by 14, not by 14 * 14 pixels.",
            44_314_816: "you counted the biases: they are added, not multiplied.",
        },
        hints=[
            "Count the weights of both layers first, without biases.",
            "Each weight is used once for each of the 14 * 14 output pixels.",
            "(480 * 96 + 96 * 208 * 3 * 3) weights, times the pixels.",
        ],
        right="225,792 weights, each used at 196 pixels.",
    ),
    "breakeven": Exercise(
        judge_break_even,
        right="r (C_in + k² C_out) < k² C_in C_out, and the largest whole r below that.",
        hints=[
            "Write both costs down: k² C_in C_out, and r C_in + k² r C_out. Which r makes them "
            "equal?",
            "r = k² C_in C_out / (C_in + k² C_out). Then think about whole numbers and ties.",
            "The largest whole number strictly below a / b is (a - 1) // b.",
        ],
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
            "Divide 60 million by that, and round down.",
        ],
        right="one channel costs 2,082,304 MACs, and 28 of them 58.3 million.",
    ),
    "lowrank": Exercise(
        judge_low_rank,
        right="up @ down is the best copy of rank r (Eckart and Young), in two layers.",
        hints=[
            "u, s, vh = torch.linalg.svd(weight, full_matrices=False) gives weight = u diag(s) vh.",
            "Keep the first r columns of u, the first r of s and the first r rows of vh.",
            "down = s[:r, None] * vh[:r] has the shape (r, in); up = u[:, :r] has (out, r).",
        ],
    ),
    "spindle": Exercise(
        judge_spindle,
        right="52,608 weights, of which the depthwise 3x3 has 3,456.",
        hints=[
            "nn.Sequential of five parts: convolution, ReLU6, convolution, ReLU6, convolution.",
            "Depthwise means that each channel has its own kernel: groups = number of channels.",
            "The middle: nn.Conv2d(384, 384, 3, padding=1, groups=384, bias=False).",
        ],
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
        ["less than the plain layer", "the same", "more than the plain layer"],
        right=2,
        because="The reduced maps are kept for the backward pass, beside everything else.",
    ),
    "p4": Prediction(
        ["64", "96", "128", "164"],
        right=3,
        because="A 1x1 is cheap beside a 3x3, so even a reduction from 192 to 164 pays for itself.",
    ),
    "p5": Prediction(
        ["2 times", "5 times", "10 times", "12 times"],
        right=2,
        because="The 5x5 alone costs 12 times less, the 1x1 before it takes some of that back.",
    ),
    "p6": Prediction(
        ["64", "96", "128", "192"],
        right=1,
        because="All that the 3x3 sees passed through 96 numbers at each pixel.",
    ),
}

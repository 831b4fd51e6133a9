"""Exercises and predictions of notebook 04, the full GoogLeNet."""

from typing import Any

import torch

from gnet_utils.exercises import Exercise, Prediction, as_number, number
from gnet_utils.exercises.trials import counts_below_zero, run

# 04.row: block 4f reads 832 channels on 14x14 maps -----------------------------------------------

CHANNELS, WEIGHTS, MACS = 640, 744_448, 145_911_808
WEIGHT_SLIPS = {
    WEIGHTS + 800: "these weights include the 800 biases; the table counts weights only.",
    608_256: "that block reads 528 channels, the input of 4e; 4f reads the output of 4e.",
    532_480: "that counts all windows as 1x1, and without reductions.",
    4_073_472: "that is a naive block: the reductions come before the large windows.",
    **dict.fromkeys(
        (584_704, 637_952, 664_576, 717_824),
        "one of the four 1x1 layers that read the 832 channels is missing.",
    ),
}
MAC_SLIPS = {
    WEIGHTS * 49: "these MACs are for a 7x7 map; pool4 comes after 4f.",
    WEIGHTS * 784: "these MACs are for a 28x28 map; pool3 has halved it before.",
    2 * MACS: "these are FLOPs: one MAC is two of them.",
}


def judge_row(answer: Any) -> str | None:
    """Whether three numbers are the output channels, weights and MACs of block 4f."""
    sized = hasattr(answer, "__len__") and getattr(answer, "ndim", 1)  # arrays can have no axis
    if isinstance(answer, (str, bytes, dict, set)) or not sized:
        return f"three numbers are asked for, (channels, weights, MACs), got {answer!r:.40}."
    if len(answer) != 3:
        return f"three numbers are asked for, (channels, weights, MACs), got {len(answer)}."
    numbers = [as_number(value) for value in answer]
    for value in numbers:
        if isinstance(value, str):
            return value
    if sorted(numbers) == [CHANNELS, WEIGHTS, MACS] != numbers:
        return "the right numbers in another order: (channels, weights, MACs)."
    channels, weights, macs = numbers
    if channels == 800:
        return "the two reductions do not leave the block: only four branches are stacked."
    if channels != CHANNELS:
        return f"{channels:,.0f} channels: add what the four branches give."
    if weights != WEIGHTS:
        few_or_many = "few" if weights < WEIGHTS else "many"
        return WEIGHT_SLIPS.get(weights, f"{weights:,.0f} weights are too {few_or_many}.")
    if macs != MACS:
        return MAC_SLIPS.get(macs, "the MACs are not the weights times the places of the map.")
    return None


# 04.stem -----------------------------------------------------------------------------------------

PAPER_STEM_MACS = 477_675_520  # conv1, conv2 reduce and conv2 on 224x224


def judge_stem(answer: Any) -> str | None:
    """Whether a module maps (N, 3, 112, 112) to (N, 192, 28, 28) as the exercise asks."""
    images = torch.randn(2, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    out, convs = run(answer, images, may_enlarge=False, new_norms=True)
    if not convs:
        return "there is no convolution in it."
    if out.ndim != 4 or out.shape[0] != 2:
        return f"a map (2, 192, 28, 28) should come out, got {tuple(out.shape)}."
    if out.shape[2:] == (14, 14):
        return "a map of 14x14 comes out: it still halves three times, twice is enough."
    if out.shape[2:] != (28, 28):
        return f"a map of {out.shape[2]}x{out.shape[3]} comes out, 28x28 is wanted: halve twice."
    if out.shape[1] != 192:
        return f"{out.shape[1]} channels come out, block 3a reads 192."
    if (out < 0).any():
        return "some outputs are negative: a ReLU is missing after the last convolution."
    for n in range(len(convs)):
        if counts_below_zero(answer, images, n):
            return (
                f"convolution {n + 1} has no ReLU behind it: what it gives below zero still "
                "counts, and without a bend between them two convolutions are one."
            )
    macs = sum(conv.weight.numel() * conv.places for conv in convs)
    if macs > PAPER_STEM_MACS:
        return f"{macs / 1e6:,.0f} million MACs, the paper's stem needs 478: shrink earlier."
    return None


# The table ----------------------------------------------------------------------------------------

EXERCISES = {
    "row": Exercise(
        judge_row,
        right="832 channels in, 640 out, 744,448 weights, each at work on 196 places.",
        hints=[
            "What 4f reads is what 4e puts out: look at the table above.",
            "The 1x1, both reductions and the projection read all input channels; then 9 * 128 "
            "* 256 and 25 * 32 * 96.",
            "Every weight works once at each place of a 14x14 map.",
        ],
    ),
    "flatten": number(
        9_216_000,
        mistakes={
            50_176_000: "that is the 7x7 map of a 224x224 photo.",
            9_217_000: "that counts the 1000 biases too.",
            1_024_000: "that is the layer after averaging; here all places are kept.",
            36_864_000: "that is a map of 6x6: one halving is missing.",
            29_952_000: "that is the map before pool4, 6x6 with 832 channels.",
            3_072_000: "a map has height and width: that takes one side only.",
            92_160: "that is for 10 classes.",
            9_216: "that is the length of the flat vector; each of its numbers has 1000 weights.",
        },
        hints=[
            "How large is the last map? conv1 and each of the four pools halve.",
            "96, 48, 24, 12, 6, ... and the map has 1024 channels.",
            "Every number of the flat vector has one weight for each of 1000 classes.",
        ],
        right="3 * 3 * 1024 numbers, 1000 weights each; averaging needs a ninth of it.",
    ),
    "share": number(
        47.687,
        tolerance=0.045,
        mistakes={
            91.16: "that is heads divided by the net without heads.",
            23.84: "that is one head; there are two.",
            52.31: "that is the part that is kept.",
            0.526: "that is the share of the multiply-adds, not of the parameters.",
            0.477: "that is the fraction; percent are asked for.",
            0.9116: "that is a fraction, and of the net without heads.",
        },
        hints=[
            "count_parameters works on full_net.aux1 too.",
            "Divide the sum of both heads by the whole net, heads included.",
        ],
        right="6,379,728 of 13,378,280 parameters are trained and then thrown away.",
    ),
    "field": number(
        59,
        mistakes={
            91: "that is the paper's net, with a window of 5.",
            43: "that is after 3a; 3b comes on top.",
            31: "that adds map steps; each of them is 8 photo pixels.",
            75: "that is after the next pool, or with one window too wide or one step too long.",
            33: "that adds the windows themselves: count steps, in photo pixels.",
            51: "that is one step short: a window of 3 adds 2 steps, in each of two blocks.",
        },
        hints=[
            "After pool2 the field is 27 and the stride 8.",
            "A window of 3 adds two steps; a step is 8 photo pixels.",
            "Two blocks: 27 + ... + ...",
        ],
        right="27 + 2 * 8 + 2 * 8; the paper's 3b sees 91.",
    ),
    "size": number(
        223,
        mistakes={
            224: "that is the paper's size; it can be a little smaller.",
            222: "at 222 conv1 makes 111, and block 4a gets 13x13.",
            209: "that rounds half the side up, once or in each layer: a pool makes 13 of 27.",
            210: "the pools round after their window of 3: 27 becomes 13, not 14.",
            237: "that is with pools that round down; these have ceil_mode.",
            31: "that is the smallest photo without heads.",
            270: "that is the largest one, where the map is 16x16.",
            96: "at 96 the map of 4a is 6x6.",
        },
        hints=[
            "Which sizes come out of conv1, pool1, pool2, pool3? Work backwards from 14.",
            "conv1 rounds down: (side + 6 - 7) // 2 + 1. The pools round up.",
            "Try it: GoogLeNet(10).train() on torch.zeros(2, 3, side, side), from 224 downwards.",
        ],
        right="223 gives 112, 56, 28, 14, the same chain as 224.",
    ),
    "stem": Exercise(
        judge_stem,
        right="192 maps of 28x28, within the budget: the blocks will not notice the difference.",
        hints=[
            "The paper's stem halves three times: conv1, pool1, pool2. 112 to 28 is two halvings.",
            "Copy the stem of section 1 and leave one halving out.",
            "A 7x7 with stride 2, a 1x1, a 3x3 with padding 1, then one pool; a ReLU after each.",
        ],
    ),
}

PREDICTIONS = {
    "p1": Prediction(
        ["about 2%", "about 7%", "about 22%", "about 50%"],
        right=2,
        because="346.8 of 1,582.7 million: every weight works at 3136 places.",
    ),
    "p2": Prediction(
        ["22", "27", "58"],
        right=2,
        because="22 is the longest path; a block has six convolutions, but only two on one path.",
    ),
    "p3": Prediction(
        ["about 8 million", "about 14 million", "about 56 million"],
        right=2,
        because="7 * 7 * 1024 * 1000 are 50 million weights for the linear layer alone.",
    ),
    "p4": Prediction(
        ["3b", "4b", "5a", "only the average pool"],
        right=1,
        because="With a stride of 16 a window of 5 adds 64 pixels: 171 after 4a, 235 after 4b.",
    ),
    "p5": Prediction(
        ["nothing special", "the net runs, the heads fail", "the net fails in block 5a"],
        right=1,
        because="The heads pool a 14x14 map to 4x4; here it is 6x6. The mean takes any size.",
    ),
    "p6": Prediction(
        ["more than 12 times as fast", "about 12 times as fast", "less than 12 times as fast"],
        right=2,
        because="VGG's few large convolutions do more MACs per second than GoogLeNet's many small.",
    ),
}

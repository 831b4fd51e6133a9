"""Exercises and predictions of notebook 10, after Inception."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gnet_utils.exercises import Exercise, Mistake, Prediction, kind_of, number
from gnet_utils.exercises.trials import call, named

# 10.fold ------------------------------------------------------------------------------------------


def lived(*shape: Any, **options: Any) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """nn.Conv2d(*shape, **options) and its batch norm, all numbers away from their defaults."""
    torch.manual_seed(10)
    conv = nn.Conv2d(*shape, **options)
    norm = nn.BatchNorm2d(conv.out_channels, eps=0.01)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.05, 2)
    return conv.eval(), norm.eval()


def _slips(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> dict[str, tuple[Tensor, Tensor]]:
    """Typical mistakes: what is said about them, and the factor and the bias that they make."""
    gamma, beta, mean, own = norm.weight, norm.bias, norm.running_mean, conv.bias
    var, eps = norm.running_var, norm.eps
    factor = gamma / (var + eps).sqrt()

    def fold(factor: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
        shifted = beta + (own - mean) * factor
        return factor[:, None, None, None], shifted if bias is None else bias

    return {
        "the epsilon is missing: the factor divides by sqrt(running_var + eps).": (
            fold(gamma / var.sqrt())
        ),
        "the square root is missing: divide by the standard deviation, not by the variance.": (
            fold(gamma / (var + eps))
        ),
        "the running mean is missing in the new bias.": fold(factor, beta + own * factor),
        "the convolution's own bias is missing in the new bias.": fold(
            factor, beta - mean * factor
        ),
        "the convolution's own bias must be scaled by the factor too.": (
            fold(factor, beta + own - mean * factor)
        ),
        "the running mean must be scaled by the factor too.": (
            fold(factor, beta + own * factor - mean)
        ),
        "the weights are scaled over input channels: the first axis holds the output channels.": (
            (factor[:, None, None], fold(factor)[1])
        ),
        "the weight of the batch norm (gamma) is missing in the factor.": fold(factor / gamma),
        "the shift of the batch norm (beta, norm.bias) is missing in the new bias.": (
            fold(factor, (own - mean) * factor)
        ),
        "the bias is still the convolution's own: it needs the mean, the factor and beta.": (
            fold(factor, own)
        ),
    }


RAISED = {  # words of PyTorch's errors, and the slip behind them
    "leaf Variable": "change the numbers of a layer under torch.no_grad(), or through .data.",
    "as parameter": "a layer takes nn.Parameter(...) in place of its weight or bias.",
    "must match the size": (
        "the factor must lie along the first axis of the weights, [:, None, None, None]."
    ),
}


def judge_fold(answer: Any) -> str | None:
    """Whether a function turns (conv, norm) into one convolution with the same outputs."""
    layers = [lived(6, 6, 3, padding=1), lived(4, 6, (3, 5), stride=2, padding=(1, 2))]
    try:
        mistakes = (_fold_mistake(answer, conv, norm) for conv, norm in layers)
        return next(filter(None, mistakes), None)
    except Mistake as mistake:
        return next((slip for words, slip in RAISED.items() if words in str(mistake)), str(mistake))


def _fold_mistake(answer: Any, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> str | None:
    given = copy.deepcopy(conv), copy.deepcopy(norm)
    folded = call(answer, *given, how="called with (conv, norm)")
    if not isinstance(folded, nn.Conv2d):
        return f"it should return an nn.Conv2d, it returns {kind_of(folded)}."
    for layer, kept in zip(given, (conv, norm), strict=True):
        numbers = layer.state_dict()
        if any(not torch.equal(numbers[name], kept.state_dict()[name]) for name in numbers):
            return f"it changes the {type(layer).__name__} that it is given: work on a copy."
    if folded.bias is None:
        return "its convolution has no bias: the shift of the batch norm is lost."
    images = torch.linspace(-2, 2, 2 * conv.in_channels * 81).sin().view(2, -1, 9, 9) * 3
    with torch.no_grad():
        before, expected = conv(images), norm(conv(images))
        got = call(folded.float(), images, how=f"run on images {tuple(images.shape)}")
        if got.shape != expected.shape:
            return (
                f"its convolution is another one than {conv}: outputs of {tuple(got.shape)}, "
                f"expected {tuple(expected.shape)}."
            )
        if torch.allclose(got, expected, atol=1e-4):
            return None
        if torch.allclose(got, before, atol=1e-5):
            return "nothing is folded yet: the outputs are those of the convolution alone."

        def gives_the_same(slip: tuple[Tensor, Tensor]) -> bool:
            numbers = {"weight": conv.weight * slip[0], "bias": slip[1]}
            return torch.allclose(got, functional_call(conv, numbers, images), atol=1e-4)

        same_channels = conv.in_channels == conv.out_channels  # else a slip cannot run
        slip = named(_slips(conv, norm), gives_the_same) if same_channels else None
    off = (got - expected).abs().max()
    return slip or f"the outputs differ by up to {off:.3g}: compare each term with the formula."


# The table ----------------------------------------------------------------------------------------

EXERCISES = {
    "pays": number(
        96,
        mistakes={
            42: "that is 16/9 of the reduction, the rule of two 3x3; here they are 1x5 and 5x1.",
            24: "equal widths pay by far; how much wider may the branch become?",
            95: "close: put the next ones into both formulas; equal is not more.",
            97: "that many already need a little more than the 5x5.",
            128: "that is block 4e, whose reduction leaves 32.",
            120: "that is 25 * 24 / 5: the first window of the pair, 5 * 24 * out, is missing.",
            60: "that lets both windows read `out` channels; the 1x5 reads the 24 reduced ones.",
        },
        hints=[
            "Write both costs with out as the unknown: the 5x5 needs 25 * 24 * out weights.",
            "The pair needs 5 * 24 * out + 5 * out * out, since the 5x1 reads what the 1x5 gives.",
            "Divide both by 5 * out: 5 * 24 against 24 + out.",
        ],
        right="24 + out <= 5 * 24, so out is at most four times the reduction.",
    ),
    "separable": number(
        7_049_728,
        mistakes={
            35_968: "that is the number of weights; each works at 14 * 14 places.",
            160_563_200: "that is the dense 5x5.",
            6_422_528: "that is the 1x1 alone; the depthwise 5x5 comes before it.",
            627_200: "that is the depthwise 5x5 alone; the 1x1 after it costs most.",
            7_676_928: "the depthwise part runs over the 128 channels that come in, not over 256.",
            14_099_456: "these are FLOPs: one MAC is two of them.",
            6_547_968: "a 5x5 window has 25 weights, not 5.",
            3_596_800: "that is a 10x10 output: with padding the map stays 14x14.",
            503_552: "that multiplies by 14, the map has 14 * 14 places.",
            67_840: "these are the weights of the separable 3x3 above, 256 to 256 channels.",
        },
        hints=[
            "Two layers: a 5x5 window for each input channel, then a 1x1 over channels.",
            "Weights: 25 * 128 and 128 * 256.",
            "Every weight works once at each of 196 places.",
        ],
        right="(25 * 128 + 128 * 256) * 196, a 23rd of the dense layer: 1/256 + 1/25 of it.",
    ),
    "smooth": number(
        0.8669,
        tolerance=0.0006,
        mistakes={
            0.0: "that is the lowest loss with hard targets.",
            0.5003: "that is for smoothing 0.1.",
            0.1985: "that is -ln 0.82: the nine small targets count too.",
            0.2231: "that is -ln 0.8: the right class gets its share of the 0.2 too, and nine more "
            "targets count.",
            0.1627: "that is the part of the large target; the nine small ones come on top.",
            0.7042: "that is the part of the nine small targets; the large one comes on top.",
            0.9398: "that is for targets 0.8 and 0.2/9: the fifth is spread over all ten classes.",
            1.2507: "that is in bits; cross_entropy takes the natural logarithm.",
            -0.8669: "the minus in front is missing: a cross-entropy is never negative.",
            0.2410: "that has one small target; there are nine.",
            2.3026: "that is the loss of a net that gives every class a tenth.",
            3.7136: "that is the best gap between the logits; the loss there is asked for.",
            4.51: "that is the gap for smoothing 0.1; the lowest loss for 0.2 is asked for.",
        },
        hints=[
            "Cross-entropy is lowest when the probabilities equal the targets.",
            "The targets are 0.82 once and 0.02 nine times.",
            "-(0.82 * ln 0.82 + 9 * 0.02 * ln 0.02)",
        ],
        right="the entropy of the targets, 0.1627 + 0.7042: no net gets below it.",
    ),
    "halving": number(
        800,
        mistakes={
            1280: "that trains the survivors from the start each time; they go on from where "
            "they stand.",
            2560: "that trains all sixteen to the end.",
            640: "that stops after three rounds; the last two go on from 80 to 160.",
            480: "that counts the first two rounds; there are four.",
            300: "that is the sum of 20, 40, 80 and 160 for a single candidate.",
            4800: "that starts anew in each round, and nobody ever drops out.",
            600: "the later rounds add more than 20 steps each.",
            320: "that is the first round, or the last two alone; all rounds count.",
            160: "that is what the last candidates have behind them.",
        },
        hints=[
            "Four rounds, with 16, 8, 4 and 2 candidates.",
            "After the rounds a survivor has 20, 40, 80 and 160 steps behind it.",
            "So each round adds 20, 20, 40 and 80 steps for each that is left.",
        ],
        right="16 * 20 + 8 * 20 + 4 * 40 + 2 * 80: less than a third of training all to the end.",
    ),
    "fold": Exercise(
        judge_fold,
        right="one convolution with the outputs of both, and your copy left the original alone.",
        hints=[
            "In eval mode a batch norm is a factor and a shift for each output channel.",
            "factor = norm.weight / (norm.running_var + norm.eps).sqrt()",
            "Weights times factor[:, None, None, None]; bias = norm.bias + (conv.bias - "
            "norm.running_mean) * factor. Work on copy.deepcopy(conv), under torch.no_grad().",
        ],
    ),
}

PREDICTIONS = {
    "p1": Prediction(
        options=["28% less", "the same", "10% more", "80% more"],
        right=3,
        because="The first 3x3 widens 32 to 128 channels, and the second reads all 128.",
    ),
    "p2": Prediction(
        options=["about three times", "clearly less than three times", "more than three times"],
        right=1,
        because="Pooling and the 1x1 layers stay; in the default layout pooling takes most.",
    ),
    "p3": Prediction(
        options=["it falls towards 0", "it falls and stays level", "it falls and rises again"],
        right=2,
        because="Beyond ln(0.91 / 0.01) = 4.51 the nine small targets lose more than the large one "
        "gains.",
    ),
    "p4": Prediction(
        options=[
            "the search leads by 3 points or more",
            "they lie within about one point of each other",
            "the hand-made widths lead by 3 points or more",
        ],
        right=1,
        because="The winners lead by less than a point; one net alone varies as much between runs.",
    ),
    "p5": Prediction(
        options=["none", "about 1% of them", "about 10% of them"],
        right=0,
        because="A batch norm in eval mode is a factor and a shift: the algebra loses nothing.",
    ),
    "p6": Prediction(
        options=[
            "the Inception net, 10 points or more ahead of each single window",
            "the Inception net, and one single window comes within a few points",
            "the window of 9, the size in the middle",
        ],
        right=1,
        because="A wide window can be narrow by learning zeros; a narrow one sees no broad pulse.",
    ),
}

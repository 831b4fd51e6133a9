"""Exercises and predictions of notebook 10, after Inception."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from gnet_utils.exercises import Blank, Exercise, Mistake, Prediction, kind_of, number
from gnet_utils.exercises.trials import call, counts_below_zero, gives_blank, named, run
from gnet_utils.models import separable_conv

# 10.separable_conv --------------------------------------------------------------------------------


def judge_separable(answer: Any) -> str | None:
    """Whether a class makes depthwise and pointwise convolutions: two sizes of both."""
    if isinstance(answer, nn.Module):
        return "this is a layer made of the class: hand in the class itself, without brackets."
    for channels, out, k in ((6, 10, 3), (8, 4, 5)):
        made = f"made with ({channels}, {out}, {k})"
        layer = call(answer, channels, out, k, how=made)
        images = torch.randn(2, channels, 9, 9, generator=torch.Generator().manual_seed(0))
        if mistake := _separable_mistake(layer, images, out, k):
            return f"{made}: {mistake}"
    return None


def _separable_mistake(layer: Any, images: Tensor, out: int, k: int) -> str | None:
    blanks = [name for name, part in vars(layer).items() if part is ...]
    blanks += ["forward"] * gives_blank(layer, images)
    if len(blanks) == 3:  # the stub as it is
        raise Blank(", ".join(blanks))
    if blanks:
        raise Mistake(f"still to fill in: {', '.join(blanks)}.")
    output, ran = run(layer, images)
    channels = images.shape[1]
    if len(ran) != 2:
        return f"{len(ran)} convolution(s) run, there should be two: the windows and the 1x1."
    first, second = ran
    if first.shape[2:] == (1, 1):
        return "the 1x1 runs first: each channel looks around first, then they are mixed."
    if first.shape[2:] != (k, k):
        return f"the window is {first.shape[2]}x{first.shape[3]}, it should be {k}x{k}."
    if first.groups != channels:
        return (
            "the windows read all channels: groups=in_channels keeps each channel apart."
            if first.groups == 1
            else f"the windows work in {first.groups} groups, {channels} channels need {channels}."
        )
    if first.shape[1] != channels:
        return f"{first.shape[1]} windows run: one for each of the {channels} channels coming in."
    if second.shape[2:] != (1, 1):
        return "the second convolution mixes channels: its window is 1x1."
    if second.groups != 1:
        return "the 1x1 works in groups, so channels stay apart: it should mix all of them."
    if any(convolution.bias is not None for convolution in ran):
        return "a convolution has a bias: bias=False, as a batch norm follows."
    if output.shape[2:] != images.shape[2:]:
        height, width = output.shape[2:]
        return f"maps of 9x9 become {height}x{width}: a window of {k} needs padding={k // 2}."
    if output.shape[1] != out:
        return f"{output.shape[1]} channels leave, they should be {out}."
    if not counts_below_zero(layer, images, 0):
        return "a ReLU stands between the two parts: nothing belongs there."
    if not counts_below_zero(layer, images, 1):
        return "a ReLU ends it: the block brings its own."
    expected = F.conv2d(images, first.weight, padding=k // 2, groups=channels)
    expected = F.conv2d(expected, second.weight)
    same = torch.allclose(output, expected, atol=1e-4)
    return None if same else "something else changes the maps beside the two convolutions."


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
        if "ellipsis" in str(mistake):
            raise Blank("the places marked ... in the function") from None
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
            "Write both costs with the output channels as the unknown: section 1 has the formula.",
            "Which of the two windows of the pair reads 24 channels, and which reads the outputs?",
            "A 3x3 after a reduction to 10, or 1x3 and 3x1: 9 * 10 * out against 3 * 10 * out + "
            "3 * out * out. Divided by 3 * out that is 30 against 10 + out: at most 20.",
        ],
        right="24 + out <= 5 * 24, so out is at most four times the reduction.",
    ),
    "separable_conv": Exercise(
        judge_separable,
        right="each channel has its own window, a 1x1 mixes them, and the map keeps its size.",
        hints=[
            "Both parts are nn.Conv2d. Which of them changes the number of channels?",
            "The windows: as many channels out as in, groups=in_channels, padding for the size.",
            "Two groups, 7x7, 6 channels: nn.Conv2d(6, 6, kernel_size=7, padding=3, groups=2, "
            "bias=False). One after the other: second(first(x)).",
        ],
        course=lambda: separable_conv,
    ),
    "lead": number(
        1.54,
        tolerance=0.06,
        mistakes={
            2.2: "that is the best of chance.",
            1.2: "that compares run against run; here six runs are compared with six others.",
            1.62: "that is against the middle one of chance.",
            0.8: "that is the lead in points; divide it by its standard error.",
            0.63: "that divides by the spread of single runs: a mean of six varies less.",
            1.69: "std() and var() of NumPy divide by 6: with ddof=1 they divide by 5.",
            1.77: "the hand-made widths have an error too, not evolution alone.",
            3.1: "evolution has an error too, not the hand-made widths alone.",
            1.13: "add the squares of the two errors, then take the root.",
        },
        hints=[
            "Three steps: the lead in points, its standard error, one divided by the other.",
            "The squared standard error of the lead: both variances (ddof=1), each divided by 6.",
            "Two kinds of four runs each: means 80 and 78, variances 1 and 3. The error is "
            "(1 / 4 + 3 / 4) ** 0.5 = 1, so the lead is 2 standard errors.",
        ],
        right="0.82 points of lead, 0.53 points of error: luck alone makes such a lead often.",
    ),
    "fold": Exercise(
        judge_fold,
        right="one convolution with the outputs of both, and your copy left the original alone.",
        hints=[
            "Factor and bias hold one number for each output channel, as norm.weight does.",
            "The factor scales the weights along their first axis; the mean is taken off the old "
            "bias before the factor, and beta comes last.",
            "One channel: y = 3 * (z - 4) / 2 + 1 with z = 5 * x + 6 is one line again: the factor "
            "is 3 / 2, the weight 5 * 1.5 = 7.5, the bias 1 + (6 - 4) * 1.5 = 4. A vector of C "
            "numbers meets four axes as v[:, None, None, None].",
        ],
        course=lambda: nn.utils.fuse_conv_bn_eval,
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
        because="Pooling stays, by default most of the time; the other MACs take longer each.",
        held=(2, 3),
    ),
    "p3": Prediction(
        options=[
            "the best of evolution leads by 3 points or more",
            "they lie within about one point of each other",
            "the hand-made widths lead by 3 points or more",
        ],
        right=1,
        because="The winners lead by less than a point; one net alone varies as much between runs.",
        held=(1, 2),
    ),
    "p4": Prediction(
        options=["none", "about 1% of them", "about 10% of them"],
        right=0,
        because="A batch norm in eval mode is a factor and a shift: the algebra loses nothing.",
        held=(4, 5),
    ),
}

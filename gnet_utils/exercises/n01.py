"""Exercises and predictions of notebook 01, one-by-one convolution."""

import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from gnet_utils.data import demo_picture
from gnet_utils.exercises import Exercise, Mistake, Prediction, kind_of, number

# 1.2 swap -----------------------------------------------------------------------------------------


def _judge_swap(answer: Any) -> str | None:
    """Whether the rows of 3x3 weights, or of a layer that has them, turn BGR into RGB."""
    matrix = _matrix(answer)
    if np.allclose(matrix, np.eye(3)[::-1]):
        return None
    if np.allclose(matrix, np.eye(3)):
        return "this is the identity: every channel stays where it is."
    if np.allclose(matrix, matrix[0]) and matrix[0].any():
        return "all three rows are the same, so all three channels out are: a gray picture."
    if sorted(matrix.tolist()) == sorted(np.eye(3).tolist()):
        if matrix[1, 1] != 1:
            return "the channels are reordered, but green moves too: it is in the middle of both."
        return "the channels are not in the order red, green, blue."
    if not np.allclose(matrix.sum(axis=1), 1):
        return "each row should pick one channel: one weight 1, the others 0."
    return "the rows mix channels instead of picking one."


def _matrix(answer: Any) -> np.ndarray:
    """3x3 weights out of a nested list, array, tensor or 1x1 layer; a Mistake for anything else."""
    if isinstance(answer, nn.Sequential) and len(answer) == 1:
        answer = answer[0]
    if isinstance(answer, (nn.Conv2d, nn.Linear)):
        if answer.bias is not None and answer.bias.any():
            raise Mistake("your layer adds a bias: swapping needs none, use bias=False.")
        answer = answer.weight
    array = _array(answer)
    if array is None:
        raise Mistake("three rows of three numbers are asked for.")
    if array.ndim == 4 and array.shape[2:] == (1, 1):
        array = array[:, :, 0, 0]
    if array.shape == (3,):
        raise Mistake(
            "three weights make one channel; three channels out need three rows of weights."
        )
    if array.shape != (3, 3):
        raise Mistake(
            f"three rows of three weights are asked for, this has the shape {array.shape}."
        )
    return array


def _array(answer: Any) -> np.ndarray | None:
    """Finite numbers as an array, None for anything else."""
    if isinstance(answer, torch.Tensor):
        answer = answer.detach().cpu().double()
    try:
        array = np.asarray(answer, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        return None
    return array if array.ndim and np.isfinite(array).all() else None


# 1.3 sepia ----------------------------------------------------------------------------------------

# rows: new red, green, blue; columns: old red, green, blue
SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])


def _judge_sepia(answer: Any) -> str | None:
    """Whether a function mixes the colours of a picture, rounds, clips and casts."""
    if not callable(answer) or isinstance(answer, type):
        return "a function is asked for: answer = sepia, without parentheses behind it."
    picture = np.random.default_rng(0).integers(0, 256, size=(20, 30, 3), dtype=np.uint8)
    picture[:4] = 255  # too bright after the mix
    result = answer(picture.copy())
    if result is None:
        return "your function returns nothing: end it with return."
    result = np.asarray(result)
    if result.shape != picture.shape:
        return f"a picture of {picture.shape} went in, {result.shape} came out."
    if result.dtype != np.uint8:
        kind = result.dtype
        return f"the result is {kind}, a picture should be uint8: end with astype(np.uint8)."
    exact = picture @ SEPIA.T
    expected = exact.round().clip(0, 255)
    if _nearly(result, expected):
        return None
    if np.array_equal(result, picture):
        return "the picture came back as it was."
    if _nearly(result, (picture @ SEPIA).round().clip(0, 255)):
        return (
            "rows and columns of the table are exchanged. Pixels are rows here, so the weights "
            "must be transposed."
        )
    if _nearly(result, expected[..., ::-1]):
        return "red and blue of the result are exchanged: that is BGR."
    dark = exact < 255
    if _nearly(result[dark], expected[dark]):
        return "what is brighter than 255 does not stay at 255: clip before you cast."
    difference = result - expected
    if ((difference == 0) | (difference == -1)).all():
        return "about half of the values are one too low: round before you cast."
    below = (result - exact)[dark]
    if ((below <= 0) & (below > -1)).all():
        return (
            "neither rounded nor clipped: what is over 255 starts again at 0, the rest is cut off."
        )
    worst = np.unravel_index(np.abs(difference).sum(axis=2).argmax(), result.shape[:2])
    return (
        f"the pixel {_listed(picture[worst])} should become {_listed(expected[worst])}, "
        f"not {_listed(result[worst])}."
    )


def _nearly(result: np.ndarray, expected: np.ndarray) -> bool:
    """Equal but for roundings near the border between two levels (cv2.transform: 6% of them)."""
    difference = np.abs(result - expected)
    return bool(difference.max() <= 1 and difference.mean() < 0.1)


def _listed(pixel: np.ndarray) -> str:
    return "(" + ", ".join(str(int(value)) for value in pixel) + ")"


# 1.4 reveal ---------------------------------------------------------------------------------------

CLEAR = 50  # gray levels between figure and ground


def _judge_reveal(answer: Any) -> str | None:
    """Whether three weights that sum to 1 set the plate's orange dots apart from its blue ones."""
    weights = _array(answer)
    if weights is None or weights.size != 3:
        return "three weights are asked for: red, green, blue."
    weights = weights.ravel()
    total = weights.sum()
    if abs(total - 1) > 0.005:
        return f"the weights sum to {total:.3g}, not to 1: white would become {255 * total:.0f}."
    pixels = demo_picture("plate").reshape(-1, 3).astype(np.float64)
    gray, warmth = (pixels @ weights).clip(0, 255), pixels[:, 0] - pixels[:, 2]
    contrast = abs(gray[warmth > 40].mean() - gray[warmth < -40].mean())  # orange against blue
    if contrast >= CLEAR:
        return None
    if contrast < 2:
        same = "figure and ground still have the same gray: "
        if np.allclose(weights, (0.2989, 0.587, 0.114), atol=0.03):
            return same + "these are the weights of luma, nearly."
        return same + "what one channel sets apart, another takes back."
    faint = f"figure and ground are only {contrast:.0f} gray levels apart, reach {CLEAR}. "
    if np.allclose(weights, 1 / 3, atol=0.01):
        return faint + "The mean treats orange and blue almost alike."
    if weights.argmax() == 1:
        return faint + "In green the two differ least."
    if weights[0] > 0.35 and weights[2] > 0.15:
        return faint + "Red and blue set them apart in opposite directions, and you raised both."
    return faint + "Go further in this direction."


# 1.5 linear ---------------------------------------------------------------------------------------


def _judge_linear(answer: Any) -> str | None:
    """Whether a function turns any 1x1 convolution into an nn.Linear of the same weights."""
    if isinstance(answer, nn.Module):
        return "a function is asked for, which makes the nn.Linear out of any 1x1 layer."
    if not callable(answer):
        return "a function is asked for: answer = to_linear, without parentheses behind it."
    torch.manual_seed(0)
    for in_channels, out_channels, bias in [(3, 1, False), (5, 7, True), (4, 4, True)]:
        conv = nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=bias)
        mistake = _compare_linear(conv, answer(copy.deepcopy(conv)))
        if mistake is not None:
            return f"for a layer from {in_channels} to {out_channels} channels: {mistake}"
    return None


def _compare_linear(conv: nn.Conv2d, linear: Any) -> str | None:
    if linear is None:
        return "your function returns nothing, end it with return."
    if not isinstance(linear, nn.Linear):
        return f"your function returns {kind_of(linear)}, not an nn.Linear."
    wanted, got = conv.weight[:, :, 0, 0], linear.weight
    if got.ndim != 2:
        return (
            f"its weight has the shape {tuple(got.shape)}, an nn.Linear needs (out, in): "
            "drop the two kernel axes, and only those."
        )
    if got.shape != wanted.shape:
        sizes = f"{linear.in_features} to {linear.out_features}"
        return f"your nn.Linear goes from {sizes}. Take the sizes from the layer."
    if not torch.allclose(got, wanted):
        if torch.allclose(got, wanted.T):
            return "the weights are transposed. Both layers store them as (out, in)."
        return "the weights are not those of the convolution. Copy them."
    if conv.bias is None and linear.bias is not None and linear.bias.any():
        return "it has no bias, yours has."
    if conv.bias is not None and linear.bias is None:
        return "it has a bias, yours has none."
    if conv.bias is not None and not torch.allclose(linear.bias, conv.bias):
        return "the weights are right, the bias is not copied."
    return None


# 1.6 sky ------------------------------------------------------------------------------------------


def _judge_sky(answer: Any) -> str | None:
    """Whether 1x1 layers give a ramp: 0 to blueness 0.1, 1 from 0.2 on."""
    if not isinstance(answer, nn.Module):
        return "an nn.Sequential is asked for, of two 1x1 layers with a ReLU between."
    convs = [layer for layer in answer.modules() if isinstance(layer, nn.Conv2d)]
    if any(layer.kernel_size != (1, 1) for layer in convs):
        return "a kernel is larger than 1x1: this can be done without looking at neighbours."
    if not convs:
        return "there is no nn.Conv2d in it."
    values = np.linspace(0, 1, 41)  # in steps so small that a jump at 0.15 is not taken for a ramp
    colours = np.stack(np.meshgrid(values, values, values, indexing="ij"), axis=-1).reshape(-1, 3)
    inputs = torch.tensor(colours, dtype=torch.float32).T.reshape(1, 3, 41, 1681)
    with torch.no_grad():
        output = answer(inputs)
    if not isinstance(output, torch.Tensor) or output.shape != (1, 1, 41, 1681):
        shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        return f"(1, 3, H, W) should become (1, 1, H, W), this gave {shape}."
    output = output.flatten().numpy()
    blueness = colours[:, 2] - colours[:, 0]
    expected, reversed_ramp = ((10 * sign * blueness - 1).clip(0, 1) for sign in (1, -1))
    if np.allclose(output, expected, atol=0.01):
        if len(convs) == 1:
            return "the numbers are right, but two 1x1 layers with a ReLU between are asked for."
        return None
    if np.allclose(output, reversed_ramp, atol=0.01):
        return "it marks what is red. Blueness is blue minus red."
    if np.allclose(output, 1 - expected, atol=0.01):
        return "it is 1 where it should be 0, and 0 where it should be 1."
    if len(convs) == 1 or not any(isinstance(layer, nn.ReLU) for layer in answer.modules()):
        return "without a ReLU between two layers the output is a straight line in blueness."
    below = blueness < 0.15
    if np.allclose(output[below], expected[below], atol=0.01) and output.max() > 1.5:
        return f"it starts well but does not stop at 1: pure blue gives {output.max():.3g}."
    if np.abs(output).max() < 0.05:
        return "it gives almost 0 everywhere. Are your weights made for values from 0 to 255?"
    outside = np.abs(blueness - 0.15) > 0.049
    if np.allclose(output[outside], expected[outside], atol=0.01):
        return "up to 0.1 and from 0.2 on it is right, but between them it is no straight ramp."
    worst = np.abs(output - expected).argmax()
    red, green, blue = colours[worst]
    return (
        f"red {red:.3g}, green {green:.3g}, blue {blue:.3g} should give {expected[worst]:.3g}, "
        f"yours gives {output[worst]:.3g}."
    )


EXERCISES = {
    "parameters": number(
        18_528,
        mistakes={
            18_432: "the weights are right, the biases are missing.",
            18_624: "the bias belongs to each channel that comes out, not to each that goes in.",
            165_984: "that is a 3x3 kernel. A 1x1 kernel has one weight for each pair of channels.",
            288: "weights connect every input with every output: multiply, do not add.",
            18_720: "you counted biases at both ends: only the channels that come out have one.",
            14_525_952: "the same weights serve all 784 pixels: the map's size does not count.",
            14_450_784: "the weights work at every pixel, but they are stored once.",
            165_888: "that is a 3x3 kernel, and without biases.",
            14_450_688: "the map's size does not count, and the biases are missing.",
        },
        hints=[
            "How many weights does one channel out need?",
            "One for each of the 192 channels in, and one bias.",
            "96 times (192 + 1).",
        ],
        right="192 x 96 weights and 96 biases, whatever the size of the map.",
    ),
    "swap": Exercise(
        _judge_swap,
        right="each row picks one channel; the layer is a permutation.",
        hints=[
            "Row by row: where is the red value in a BGR pixel?",
            "The first row makes red and must pick the third channel in: [0, 0, 1].",
        ],
    ),
    "sepia": Exercise(
        _judge_sepia,
        right="mixed, rounded, clipped and cast, in this order.",
        hints=[
            "picture @ weights multiplies each pixel, a row of three, by a matrix from the right.",
            "For pixels as rows the table must be transposed: picture @ weights.T.",
            "Then .round().clip(0, 255).astype(np.uint8).",
        ],
    ),
    "reveal": Exercise(
        _judge_reveal,
        right="other weights keep another direction of colour, and there the figure stands out.",
        hints=[
            "The figure is orange, its ground blue. Which channels differ most between them?",
            "Orange has much red and little blue: try red alone.",
        ],
    ),
    "linear": Exercise(
        _judge_linear,
        right="a 1x1 convolution is a fully connected layer over the channels of each pixel.",
        hints=[
            "Print conv.weight.shape and nn.Linear(5, 7).weight.shape.",
            "linear.weight[:] = conv.weight[:, :, 0, 0], inside torch.no_grad().",
            "And the bias, if conv.bias is not None.",
        ],
    ),
    "sky": Exercise(
        _judge_sky,
        right="two ReLUs, one subtracted from the other, make a ramp that stops.",
        hints=[
            "ReLU(10 b - 1) is 0 up to b = 0.1, then rises with slope 10. It must stop at b = 0.2.",
            "Subtract a second ReLU that begins to rise at b = 0.2 with the same slope.",
            "First layer: rows (-10, 0, 10) twice, biases -1 and -2. Second: weights 1 and -1.",
        ],
    ),
}

PREDICTIONS = {
    "p1": Prediction(
        ["1", "3", "9", "3 x 600 x 512"],
        right=1,
        because="One weight for each channel in; all pixels share them.",
    ),
    "p2": Prediction(
        ["255", "254", "0"],
        right=1,
        because="The weights sum to 0.9999: white becomes 254.97, and a cast cuts the rest off.",
    ),
    "p3": Prediction(
        ["the matrix product", "einsum", "nn.Linear", "cv2.cvtColor"],
        right=3,
        because="OpenCV rounds to whole levels; the others are the same sum.",
    ),
    "p4": Prediction(
        ["in none", "in fewer than 1 of 1,000", "in about half"],
        right=1,
        because="Rounded, about 3 pixels in 10,000 differ; cut off, half of them.",
    ),
    "p5": Prediction(
        ["the white shirt and the black hat", "the face", "the blue background"],
        right=0,
        because="The error is 0.1849 (B - R), zero where red equals blue.",
    ),
    "p6": Prediction(
        ["1", "a few hundred", "more than 100,000"],
        right=2,
        because="Three numbers go in and one comes out: 111,647 colours share level 128.",
    ),
    "p7": Prediction(
        ["its outline", "all of it, with less contrast", "nothing"],
        right=2,
        because="All colours of the plate have the same luma.",
    ),
    "p8": Prediction(
        ["less than 0.01", "about 0.05", "more than 0.2"],
        right=2,
        because="Green is more than 0.3 away: errors in colour hardly raise the loss.",
    ),
    "p9": Prediction(
        ["yes", "no, but a hundred are nearly always", "never, rounding destroys it"],
        right=1,
        because="Three equations amplify the rounding, a hundred average it away.",
    ),
    "p10": Prediction(
        [
            "the loss cannot reach zero",
            "the loss reaches zero, and all end at the right weights",
            "the loss reaches zero, and the three end at different weights",
        ],
        right=2,
        because="A gray picture fixes the sum of the weights and nothing else.",
    ),
    "p11": Prediction(
        ["noise", "the gray photo, slightly different", "exactly the gray photo"],
        right=2,
        because="Each pixel is treated alone, so its place does not matter.",
    ),
    "p12": Prediction(
        [
            "a dim version of |R - B|",
            "the right value where red is larger, a wrong one where blue is",
            "the same value for every colour",
        ],
        right=2,
        because="A straight line gains on one side what it loses on the other: flat is best.",
    ),
    "p13": Prediction(
        ["2", "as many as it has channels", "any number"],
        right=0,
        because="Equal pixels give equal results, so two colours give at most two values.",
    ),
}

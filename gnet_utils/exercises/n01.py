"""Exercises and predictions of notebook 01, one-by-one convolution."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gnet_utils.data import demo_picture
from gnet_utils.exercises import Blank, Exercise, Mistake, Prediction, kind_of, number
from gnet_utils.exercises.trials import check_module, filled, named

LUMA = (0.2989, 0.5870, 0.1140)

# 01.gray ------------------------------------------------------------------------------------------


def _judge_gray(answer: Any) -> str | None:
    """Whether a layer is the 1x1 convolution that mixes red, green and blue by luma."""
    if answer is ...:
        raise Blank("the two places marked ...")
    check_module(answer)
    if not isinstance(answer, nn.Conv2d):
        return f"an nn.Conv2d is asked for, this is {kind_of(answer)}."
    if answer.kernel_size != (1, 1):
        return "its window is larger than one pixel: kernel_size=1."
    if (answer.in_channels, answer.out_channels) != (3, 1):
        sizes = f"{answer.in_channels} to {answer.out_channels}"
        return f"it goes from {sizes} channels: three colours come in, one gray goes out."
    if answer.bias is not None:
        return "it has a bias, which is added to every gray: bias=False."
    with torch.no_grad():
        grays = answer(torch.eye(3).view(3, 3, 1, 1)).flatten()  # of pure red, green and blue
    weights, luma = grays.double().numpy(), np.array(LUMA)
    if np.allclose(weights, luma, atol=0.002):  # 0.299 is as right as 0.2989
        return None
    if np.allclose(weights, luma[::-1], atol=0.002):
        return "red and blue are exchanged: the first channel is red."
    if sorted(weights.round(2)) == sorted(luma.round(2)):
        return "these are the three weights, in another order than red, green, blue."
    total = weights.sum()
    if total > 0 and np.allclose(weights / total, luma, atol=0.002):
        return f"the weights sum to {total:.3g}, not to 1: white would become {255 * total:.3g}."
    if np.ptp(weights) < 1e-6:
        return "all three weights are equal: that is no luma. Copy three different numbers in."
    return "these are not the three weights: still the random ones? Write into layer.weight[:]."


def gray_layer() -> nn.Conv2d:
    """The course's own gray layer."""
    layer = nn.Conv2d(3, 1, kernel_size=1, bias=False)
    with torch.no_grad():
        layer.weight[:] = torch.tensor(LUMA).view(1, 3, 1, 1)
    return layer


# 01.reveal ---------------------------------------------------------------------------------------

CLEAR = 150  # gray levels between figure and ground; red alone gives 100, blue alone 127


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


def _array(answer: Any) -> np.ndarray | None:
    """Finite numbers as an array, None for anything else."""
    if isinstance(answer, torch.Tensor):
        answer = answer.detach().cpu().double()
    try:
        array = np.asarray(answer, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        return None
    return array if array.ndim and np.isfinite(array).all() else None


# 01.learn -----------------------------------------------------------------------------------------


def learn(
    layer: nn.Module, pictures: Tensor, targets: Tensor, steps: int = 4000, rate: float = 1.0
) -> tuple[list[float], list[list[float]]]:
    """The course's own loop: losses and weights before each step of gradient descent."""
    optimiser = torch.optim.SGD(layer.parameters(), lr=rate)
    losses, path = [], []
    for _ in range(steps):
        path.append(layer.weight.flatten().tolist())
        loss = ((layer(pictures) - targets) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses, path


def _judge_learn(answer: Any) -> str | None:
    """Whether a loop walks the way of gradient descent: the same weights after a few steps."""
    if isinstance(answer, type) or not callable(answer):
        return f"the function learn is asked for, without brackets; this is {kind_of(answer)}."
    draw = torch.Generator().manual_seed(0)
    pictures = torch.rand(1, 3, 8, 8, generator=draw)
    targets = (pictures * torch.tensor([0.5, -0.25, 1.0]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    start = torch.rand(1, 3, 1, 1, generator=draw)

    def walk(loop):
        layer = nn.Conv2d(3, 1, kernel_size=1, bias=False)
        layer.weight.data.copy_(start)
        got = loop(layer, pictures, targets, steps=4, rate=0.1)
        return layer.weight, got

    with filled(Blank("the four places marked ...")):
        weights, got = walk(answer)
    if not isinstance(got, tuple) or len(got) != 2:
        raise Mistake("the function should return losses and path, as at the start.")
    wanted, (losses, path) = walk(learn)
    first = got[0][0] if got[0] else float("nan")
    gap = (pictures * start).sum(1, keepdim=True) - targets
    slips = {
        "the loss is the sum of the squares: take their mean.": (gap**2).sum(),
        "the loss takes the size of each difference: square it.": gap.abs().mean(),
        "the loss takes the mean before the square: square each difference.": gap.mean() ** 2,
        "the differences are not squared, so that plus and minus cancel.": gap.mean(),
    }
    if slip := named(slips, lambda loss: np.isclose(first, loss.item(), rtol=1e-4)):
        return slip
    if not np.isclose(first, losses[0], rtol=1e-4):
        return f"the first loss should be {losses[0]:.4f} here, yours is {first:.4f}."
    if torch.equal(weights, start):
        if weights.grad is None or not weights.grad.any():
            return (
                "the weights do not move, and there is no gradient: loss.backward() is missing, "
                "or the gradients are cleared after it."
            )
        return "there are gradients, but no step uses them: optimiser.step() after backward."
    if torch.allclose(weights, wanted, atol=1e-5):
        return None
    if np.allclose(got[1][1], path[1], atol=1e-5):  # the first step is right, later ones are not
        return "the gradients of earlier steps are still there: clear them in every step."
    return "the weights after four steps are not those of gradient descent."


EXERCISES = {
    "gray": Exercise(
        _judge_gray,
        right="pure red, green and blue give the three weights, and white stays white (nearly).",
        hints=[
            "Read the two comments: the first asks for a layer, the second for its weights.",
            "nn.Conv2d takes channels in, channels out and the window. To change its weights in "
            "place, write into layer.weight[:], with a tensor of the same shape.",
            "A layer from 2 channels to 1 that takes their mean: nn.Conv2d(2, 1, kernel_size=1, "
            "bias=False), then layer.weight[:] = torch.tensor([0.5, 0.5]).view(1, 2, 1, 1).",
        ],
        course=gray_layer,
    ),
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
            "One for each channel in, and one bias; then all channels out together.",
            "From 5 channels to 2, a 1x1 layer has 5 * 2 weights and 2 biases: 12.",
        ],
        right="192 x 96 weights and 96 biases, whatever the size of the map.",
    ),
    "reveal": Exercise(
        _judge_reveal,
        right="other weights keep another direction of colour, and there the figure stands out.",
        hints=[
            "The figure is orange, its ground blue. Which channels differ most between them?",
            "One channel alone is not enough: let red and blue work against each other.",
            "A green leaf on a red wall: green is bright in the leaf and dark in the wall, red the "
            "other way round, so the weights -1, 2, 0 show it more strongly than 0, 1, 0.",
        ],
    ),
    "learn": Exercise(
        _judge_learn,
        right="same start, same weights after four steps as the course's loop.",
        hints=[
            "Read the four comments aloud; the first is a formula, the other three are calls.",
            "layer(pictures) is the guess. The optimiser clears and steps, the loss computes "
            "gradients.",
            "One number w that should become 3: loss = (w - 3) ** 2, optimiser.zero_grad(), "
            "loss.backward(), optimiser.step().",
        ],
        course=lambda: learn,
    ),
}

PREDICTIONS = {
    "p1": Prediction(
        ["noise", "the gray photo, slightly different", "exactly the gray photo"],
        right=2,
        because="Each pixel is treated alone, so its place does not matter.",
        held=(1, 2, 3),
    ),
    "p2": Prediction(
        ["more than 0.2", "about 0.05", "less than 0.01"],
        right=0,
        because="Green is more than 0.3 away: errors in colour hardly raise the loss.",
        held=(1, 2, 3),
    ),
    "p3": Prediction(
        [
            "the loss cannot reach zero",
            "the loss reaches zero, and the three end at different weights",
            "the loss reaches zero, and all end at the right weights",
        ],
        right=1,
        because="A gray picture fixes the sum of the weights and nothing else.",
    ),
    "p4": Prediction(
        ["2", "as many as it has channels", "any number"],
        right=0,
        because="Equal pixels give equal results, so two colours give at most two values.",
        held=(1, 2, 3),
    ),
}

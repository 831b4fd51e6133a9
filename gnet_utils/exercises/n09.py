"""Exercises and predictions of notebook 09, inside an Inception network."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gnet_utils.exercises import Exercise, Prediction, as_number, kind_of, number
from gnet_utils.models import FashionGoogLeNet
from gnet_utils.probing import ablate

# 09.ablate ----------------------------------------------------------------------------------------

SILENCED = "inception_4b.branch_5x5"


def small_net() -> nn.Module:
    """A net whose batch norms have seen something, the same at each call."""
    torch.manual_seed(9)
    net = FashionGoogLeNet(0.125, stem="patch").train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(16, 1, 28, 28))
    return net.eval()


def judge_ablate(answer: Any) -> str | None:
    """Whether a function (net, images, name) -> logits silences one part, for this call only."""
    if not callable(answer):
        return f"a function is asked for, this is {kind_of(answer)}."
    net = small_net()
    images = torch.randn(4, 1, 28, 28)
    with torch.no_grad():
        whole = net(images)
        with ablate(net, [SILENCED]):
            wanted = net(images)
        with ablate(net, [SILENCED.partition(".")[0]]):
            no_block = net(images)
        got = answer(net, images, SILENCED)
        after = net.eval()(images)
    if got is None:
        return "the function returns nothing: does it end with return?"
    if not isinstance(got, Tensor) or got.shape != whole.shape:
        shape = tuple(getattr(got, "shape", ()))
        return f"logits {tuple(whole.shape)} should come back, got {shape or type(got).__name__}."
    if _same(got, whole):
        return "the logits are those of the whole net: a hook must return what it puts in place."
    if _same(got, no_block):
        return "that silences the whole block: get_submodule takes the full name, dots and all."
    if _same(got, wanted.softmax(1)):
        return "these are probabilities: the logits are asked for."
    if not _same(got, wanted):
        return "these are not the logits of the net with zeros in that place."
    if not _same(after, whole):
        return "afterwards the net still answers without that part: remove the hook."
    return None


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, atol=1e-4)


def silence(
    name_of: Callable[[str], str] = lambda name: name,
    replace: bool = True,
    remove: bool = True,
    finish: Callable = lambda logits: logits,
) -> Callable:
    """Answers to 09.ablate, right and wrong, for the tests."""

    def without(net: nn.Module, images: Tensor, name: str) -> Any:
        def hook(module, inputs, output):
            zeros = torch.zeros_like(output)
            return zeros if replace else None

        handle = net.get_submodule(name_of(name)).register_forward_hook(hook)
        logits = net(images)
        if remove:
            handle.remove()
        return finish(logits)

    return without


# 09.cam -------------------------------------------------------------------------------------------


def right_cam(maps: Tensor, weight: Tensor, classes: Tensor) -> Tensor:
    return (weight[classes][:, :, None, None] * maps).sum(1).relu()


def cam_without_relu(maps: Tensor, weight: Tensor, classes: Tensor) -> Tensor:
    return (weight[classes][:, :, None, None] * maps).sum(1)


def cam_relu_first(maps: Tensor, weight: Tensor, classes: Tensor) -> Tensor:
    return (weight[classes].relu()[:, :, None, None] * maps).sum(1)


def cam_unweighted(maps: Tensor, weight: Tensor, classes: Tensor) -> Tensor:
    return maps.sum(1).relu()


def cam_all_classes(maps: Tensor, weight: Tensor, classes: Tensor) -> Tensor:
    return (weight.sum(0)[None, :, None, None] * maps).sum(1).relu()


def cam_first_class(maps: Tensor, weight: Tensor, classes: Tensor) -> Tensor:
    return (weight[classes[0]][None, :, None, None] * maps).sum(1).relu()


def cam_averaged(maps: Tensor, weight: Tensor, classes: Tensor) -> Tensor:
    return (weight[classes] * maps.mean((2, 3))).relu()


def judge_cam(answer: Any) -> str | None:
    """Whether a function (maps, weight, classes) gives class activation maps, up to a factor."""
    if not callable(answer):
        return f"a function is asked for, this is {kind_of(answer)}."
    torch.manual_seed(9)
    maps, weight, classes = (
        torch.rand(5, 6, 3, 4),
        torch.randn(10, 6),
        torch.tensor([3, 1, 4, 1, 5]),
    )
    got = answer(maps.clone(), weight.clone(), classes.clone())
    if got is None:
        return "the function returns nothing: does it end with return?"
    if not isinstance(got, Tensor) or got.shape != (5, 3, 4):
        shape = tuple(getattr(got, "shape", ()))
        if shape == (5, 6):
            return "the places are gone: add over the maps, not over the places."
        return f"5 pictures with maps of 3x4 should give (5, 3, 4), got {shape or got!r:.30}."

    def is_like(other: Callable) -> bool:
        """Equal up to a positive factor: some divide by the number of places."""
        wanted = other(maps, weight, classes)
        return _same(got / got.abs().max().clamp_min(1e-9), wanted / wanted.abs().max())

    if is_like(right_cam):
        return None
    for wrong, message in (
        (cam_without_relu, "some places are negative: the ReLU is missing."),
        (cam_relu_first, "the ReLU comes after the sum: here it cut the negative weights away."),
        (
            cam_unweighted,
            "that adds the maps as they are: weigh each by the class's weight for it.",
        ),
        (cam_all_classes, "the weights of all ten classes are in it: take each picture's own row."),
        (
            cam_first_class,
            "every picture gets the first picture's class: weight[classes] has one row for each.",
        ),
    ):
        if is_like(wrong):
            return message
    return "these are not the class's weights times the maps, added over the maps, then ReLU."


# 09.likeness --------------------------------------------------------------------------------------


def right_likeness(a: Tensor, b: Tensor) -> Tensor:
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-12)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-12)


def covariance(a: Tensor, b: Tensor) -> Tensor:
    return ((a - a.mean()) * (b - b.mean())).mean()


def without_sign(a: Tensor, b: Tensor) -> Tensor:
    return right_likeness(a, b).abs()


def nan_for_flat(a: Tensor, b: Tensor) -> Tensor:
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / (a.norm() * b.norm())


def judge_likeness(answer: Any) -> str | None:
    """Whether a function of two maps (H, W) is Pearson's correlation, 0 for a flat map."""
    if not callable(answer):
        return f"a function is asked for, this is {kind_of(answer)}."
    torch.manual_seed(9)
    a = torch.rand(6, 5) + 1
    pairs = [(a, 2 - 0.6 * a + 0.2 * torch.rand(6, 5)), (a, a + torch.rand(6, 5))]
    got = []
    for pair in pairs:
        value = answer(*(each.clone() for each in pair))
        if value is None:
            return "the function returns nothing: does it end with return?"
        value = as_number(value)
        if isinstance(value, str):
            return value
        got.append(value)

    def is_like(other: Callable) -> bool:
        return all(
            math.isclose(value, other(*pair).item(), abs_tol=1e-3)
            for value, pair in zip(got, pairs, strict=True)
        )

    for wrong, message in (
        (cosine, "the means are still in it: two bright maps look alike without any pattern."),
        (covariance, "it grows with the brightness of the maps: divide by both lengths."),
        (without_sign, "the sign is lost: opposite maps should give a negative number."),
    ):
        if is_like(wrong):
            return message
    if not is_like(right_likeness):
        return f"two maps whose correlation is {right_likeness(*pairs[0]):.2f} give {got[0]:.2f}."
    flat = as_number(answer(a, torch.ones(6, 5)))
    if isinstance(flat, str) or abs(flat) > 1e-3:
        return "a map that is the same everywhere must give 0, not nan: guard the division."
    return None


# The table ----------------------------------------------------------------------------------------

EXERCISES = {
    "shift": number(
        -3,
        mistakes={
            0: "that is what the mean in place of the branch gives.",
            3: "the sign is wrong: zero lies below the mean.",
            -1.5: "that is the distance from the mean; divide it by the standard deviation, 0.5.",
            -6: "you divided by the variance, or you subtracted the branch's own mean: the stored "
            "mean is subtracted, the root of the variance divides.",
            6: "the sign is wrong, and the variance is not the deviation.",
            1.5: "that is the stored mean; what does batch norm do with it?",
            1: "that is the scale of the batch norm; normalise first.",
        },
        hints=[
            "Batch norm in eval mode: subtract the stored mean, divide by the stored deviation.",
            "The branch gives 0, so the convolution gives 0 as well.",
            "(0 - 1.5) / 0.25 ** 0.5",
        ],
        right="three deviations below the mean of what the later layers were trained on.",
        tolerance=0.001,
    ),
    "ablate": Exercise(
        judge_ablate,
        right="zeros while you look, and the net is whole again afterwards.",
        hints=[
            "net.get_submodule(name).register_forward_hook(hook) returns a handle.",
            "What the hook returns takes the place of the output.",
            "handle = ...; logits = net(images); handle.remove(); return logits",
        ],
        wrong=[
            (silence(replace=False), "those of the whole net"),
            (silence(remove=False), "remove the hook"),
            (silence(name_of=lambda name: name.partition(".")[0]), "silences the whole block"),
            (silence(finish=lambda logits: logits.softmax(1)), "these are probabilities"),
            (silence(finish=lambda logits: None), "returns nothing"),
            (silence(finish=lambda logits: logits.argmax(1)), "should come back"),
        ],
    ),
    "cam": Exercise(
        judge_cam,
        right="without any gradient: behind the last block it is the row of the linear layer.",
        hints=[
            "weight[classes] (not weight[:, classes]) is one row (C,) for each picture.",
            "Give it two more axes, [:, :, None, None], then multiply and add over the maps.",
            "ReLU last: what speaks against the class is cut away after the sum.",
        ],
        wrong=[
            (cam_without_relu, "the ReLU is missing"),
            (cam_relu_first, "after the sum"),
            (cam_unweighted, "weigh each"),
            (cam_all_classes, "each picture's own row"),
            (cam_first_class, "the first picture's class"),
            (cam_averaged, "the places are gone"),
        ],
    ),
    "field": number(
        36,
        mistakes={
            44: "that is the 5x5 branch.",
            28: "that is the 1x1 branch: it sees what a unit of pool3 sees.",
            30: "that adds map steps; one step is 4 pixels of the picture here.",
            32: "one step is 4 pixels after pool3, and a window of 3 reaches one to each side.",
            84: "the three fields overlap: neighbours are only 4 pixels apart.",
            31: "that adds the window in units of the map; pixels of the picture are asked for.",
            40: "a window of 3 adds two steps, not three.",
        },
        hints=[
            "How many pixels of the picture lie between two neighbours of this map?",
            "A window of 3 reaches one step further on each side.",
            "28 + 2 * 4",
        ],
        right="28 + 2 * 4: wider than the whole picture of 28 pixels.",
    ),
    "likeness": Exercise(
        judge_likeness,
        right="1 for the same pattern, 0 for none in common, -1 for opposite ones.",
        hints=[
            "Take each map's mean out of it first.",
            "The sum of products, divided by both lengths (norm()).",
            "A flat map has length 0: clamp_min(1e-12) under the fraction bar.",
        ],
        wrong=[
            (cosine, "means are still in it"),
            (covariance, "divide by both lengths"),
            (without_sign, "sign is lost"),
            (nan_for_flat, "guard the division"),
        ],
    ),
}

PREDICTIONS = {
    "p1": Prediction(
        ["the nine 1x1 branches", "the nine 3x3 branches", "the nine 5x5 branches", "the pools"],
        right=1,
        because="With means in their place, only the net without its 3x3 is near guessing; with "
        "zeros three kinds of four are.",
    ),
    "p2": Prediction(
        ["about a quarter", "about half", "about three quarters", "more than 90%"],
        right=3,
        because="Of all paths from a pixel to a unit, most run through the middle.",
    ),
    "p3": Prediction(
        ["about 10 in 100", "about 40 in 100", "about 80 in 100", "nearly all"],
        right=2,
        because="Garments of one kind are photographed alike; the net adds ten or more.",
    ),
    "p4": Prediction(
        ["Grad-CAM", "the gradient times the picture", "both", "neither"],
        right=1,
        because="It contains the picture itself: black pixels stay black whatever the weights.",
    ),
}

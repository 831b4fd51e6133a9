"""Exercises and predictions of notebook 09, inside an Inception network."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gnet_utils.exercises import Exercise, Mistake, Prediction, as_number, kind_of, number
from gnet_utils.exercises.trials import call
from gnet_utils.models import FashionGoogLeNet
from gnet_utils.probing import ablate

# 09.ablate ----------------------------------------------------------------------------------------


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
    for name in ("inception_4b.branch_5x5", "inception_3a.branch_1x1", "conv2", "inception_5b"):
        with torch.no_grad():
            if mistake := _ablate_mistake(answer, name):
                return mistake
    return None


def _ablate_mistake(answer: Any, name: str) -> str | None:
    net, how = small_net(), f'for "{name}"'
    kept = {key: numbers.clone() for key, numbers in net.state_dict().items()}
    images = torch.randn(4, 1, 28, 28)
    whole = net(images)
    with ablate(net, [name]):
        wanted = net(images)
    with ablate(net, [name.partition(".")[0]]):
        no_block = net(images)
    got = call(answer, net, images.clone(), name, how=how)
    if not isinstance(got, Tensor) or got.shape != whole.shape:
        shape = tuple(getattr(got, "shape", ()))
        return f"logits {tuple(whole.shape)} should come back, got {shape or kind_of(got)}."
    if _same(got, whole):
        return f"{how} the whole net answers: a hook must return what it puts in place."
    if "." in name and _same(got, no_block):
        return "that silences the whole block: get_submodule takes the full name, dots and all."
    if _same(got, wanted.softmax(1)):
        return "these are probabilities: the logits are asked for."
    if not _same(got, wanted):
        return f"{how} these are not the logits of the net with zeros in that place."
    if net.training:
        return "afterwards the net is in train() mode: it came in eval() mode."
    if not _same(net(images), whole):
        if all(torch.equal(numbers, kept[key]) for key, numbers in net.state_dict().items()):
            return "afterwards the net still answers without that part: remove the hook."
        return "afterwards the net has other numbers: put zeros in place of the output alone."
    return None


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a.to(b), b, atol=1e-4)


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


def cam_columns(maps: Tensor, weight: Tensor, classes: Tensor) -> Tensor:
    return (weight[:, classes][:, :, None, None] * maps).sum(1).relu()


def cam_without_axes(maps: Tensor, weight: Tensor, classes: Tensor) -> Tensor:
    return (weight[classes] * maps).sum(1).relu()


CAM_SLIPS = (
    (cam_without_relu, "some places are negative: the ReLU is missing."),
    (cam_relu_first, "the ReLU comes after the sum: here it cut the negative weights away."),
    (cam_unweighted, "that adds the maps as they are: weigh each by the class's weight for it."),
    (cam_all_classes, "the weights of all ten classes are in it: take each picture's own row."),
    (
        cam_first_class,
        "every picture gets the first picture's class: weight[classes] has one row for each.",
    ),
)
AXIS_SLIPS = (  # they run only where some sizes are equal
    (cam_columns, "weight[:, classes] takes columns: a class is a row of the weight."),
    (
        cam_without_axes,
        "the weights meet places, not maps: give weight[classes] two more axes at the end.",
    ),
)


def judge_cam(answer: Any) -> str | None:
    """Whether a function (maps, weight, classes) gives class activation maps.

    Each picture's map counts up to a positive factor: some divide by the number of places, or
    by the largest value.
    """
    try:
        mistakes = (_cam_mistake(answer, shape) for shape in ((5, 6, 3, 4), (1, 6, 3, 4)))
        return next(filter(None, mistakes), None)
    except Mistake as mistake:
        return _cam_slip_of_axes(answer) or str(mistake)


def _cam_mistake(answer: Any, shape: tuple[int, int, int, int]) -> str | None:
    count, channels, *places = shape
    case = _cam_case(shape)
    how = f"for maps {shape}, weight {(10, channels)} and {count} classes"
    got = call(answer, *(part.clone() for part in case), how=how)
    if not isinstance(got, Tensor) or got.shape != (count, *places):
        given = tuple(getattr(got, "shape", ()))
        if given == (count, channels):
            return "the places are gone: add over the maps, not over the places."
        return f"{how} {(count, *places)} should come back, got {given or kind_of(got)}."
    if _like(got, right_cam(*case)):
        return None
    slips = (message for wrong, message in CAM_SLIPS if _like(got, wrong(*case)))
    return next(slips, "these are not the class's weights times the maps, added, then ReLU.")


def _cam_slip_of_axes(answer: Any) -> str | None:
    """The slip of an answer that fails on real sizes, seen where all sizes are equal."""
    case = _cam_case((10, 10, 10, 10))
    try:
        got = call(answer, *case, how="")
    except Mistake:
        return None
    is_map = isinstance(got, Tensor) and got.shape == (10, 10, 10)
    slips = (message for wrong, message in AXIS_SLIPS if is_map and _like(got, wrong(*case)))
    return next(slips, None)


def _cam_case(shape: tuple[int, int, int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Maps of this shape, weights of ten classes, and a class for each picture."""
    generator = torch.Generator().manual_seed(10)  # each picture has positive places and negative
    maps = torch.randn(shape, generator=generator).relu()
    weight = torch.randn(10, shape[1], generator=generator)
    return maps, weight, torch.tensor([3, 1, 4, 1, 5, 9, 2, 6, 5, 3])[: shape[0]]


def _like(got: Tensor, wanted: Tensor) -> bool:
    """Whether each picture's map is the wanted one, up to a positive factor."""
    scaled = (
        heat / heat.abs().amax((1, 2), keepdim=True).clamp_min(1e-9)
        for heat in (got.detach().to(wanted), wanted)
    )
    return _same(*scaled)


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


def two_deviations(a: Tensor, b: Tensor) -> Tensor:
    return covariance(a, b) / (a.std() * b.std()).clamp_min(1e-12)


LIKENESS_SLIPS = (
    (cosine, "the means are still in it: two bright maps look alike without any pattern."),
    (covariance, "it grows with the brightness of the maps: divide by both lengths."),
    (without_sign, "the sign is lost: opposite maps should give a negative number."),
    (two_deviations, "std() divides by n - 1 and mean() by n: take the same for both."),
)


def judge_likeness(answer: Any) -> str | None:
    """Whether a function of two maps (H, W) is Pearson's correlation, 0 for a flat map."""
    generator = torch.Generator().manual_seed(9)
    a = torch.rand(6, 5, generator=generator) + 1
    noise = torch.rand(2, 6, 5, generator=generator)
    pairs = [(a, 2 - 0.6 * a + 0.2 * noise[0]), (a, a + noise[1])]
    got = [_likeness(answer, *pair, "for two maps (6, 5)") for pair in pairs]

    def is_like(other: Callable) -> bool:
        return all(
            math.isclose(value, other(*pair).item(), abs_tol=1e-3)
            for value, pair in zip(got, pairs, strict=True)
        )

    if not is_like(right_likeness):
        slips = (message for wrong, message in LIKENESS_SLIPS if is_like(wrong))
        right = right_likeness(*pairs[0])
        return next(slips, f"two maps whose correlation is {right:.2f} give {got[0]:.2f}.")
    flat = torch.ones(6, 5)
    for where, pair in (
        ("second map is", (a, flat)),
        ("first map is", (flat, a)),
        ("maps are", (flat, flat)),
    ):
        try:
            value = _likeness(answer, *pair, "")
        except Mistake:
            value = math.nan
        if not abs(value) <= 1e-3:
            return f"when the {where} the same everywhere, 0 is wanted: guard the division."
    return None


def _likeness(answer: Any, a: Tensor, b: Tensor, how: str) -> float:
    got = call(answer, a.clone(), b.clone(), how=how)
    value = as_number(got)
    if isinstance(value, str):
        raise Mistake(f"{how}: {value}")
    return value


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
    ),
    "cam": Exercise(
        judge_cam,
        right="without any gradient: behind the last block it is the row of the linear layer.",
        hints=[
            "weight[classes] (not weight[:, classes]) is one row (C,) for each picture.",
            "Give it two more axes, [:, :, None, None], then multiply and add over the maps.",
            "ReLU last: what speaks against the class is cut away after the sum.",
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

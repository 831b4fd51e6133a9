"""Exercises and predictions of notebook 09, inside an Inception network."""

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnet_utils.exercises import Exercise, Mistake, Prediction, as_number, kind_of, number
from gnet_utils.exercises.trials import call, named
from gnet_utils.models import FashionGoogLeNet
from gnet_utils.probing import ablate, likeness

# 09.ablate ----------------------------------------------------------------------------------------


def judge_ablate(answer: Any) -> str | None:
    """Whether a function (net, images, name) -> logits silences one part, for this call only."""
    torch.manual_seed(9)
    net, images = FashionGoogLeNet(0.125, stem="patch").train(), torch.randn(16, 1, 28, 28)
    with torch.no_grad():
        net(images)  # so that its batch norms have seen something
        for name in ("inception_4b.branch_5x5", "inception_3a.branch_1x1", "conv2", "inception_5b"):
            if mistake := _ablate_mistake(answer, net.eval(), images[:4], name):
                return mistake
    return None


def _ablate_mistake(answer: Any, net: nn.Module, images: Tensor, name: str) -> str | None:
    given, how = copy.deepcopy(net), f'for "{name}"'
    got, whole = call(answer, given, images.clone(), name, how=how), net(images)
    with ablate(net, [name]):
        wanted = net(images)
    if not isinstance(got, Tensor) or got.shape != whole.shape:
        shape = tuple(getattr(got, "shape", ()))
        return f"logits {tuple(whole.shape)} should come back, got {shape or kind_of(got)}."
    if _same(got, whole):
        return f"{how} the whole net answers: a hook must return what it puts in place."
    with ablate(net, [name.partition(".")[0]]):
        if "." in name and _same(got, net(images)):
            return "that silences the whole block: get_submodule takes the full name, dots and all."
    if _same(got, wanted.softmax(1)):
        return "these are probabilities: the logits are asked for."
    if not _same(got, wanted):
        return f"{how} these are not the logits of the net with zeros in that place."
    if given.training:
        return "afterwards the net is in train() mode: it came in eval() mode."
    if not _same(given(images), whole):
        kept = net.state_dict()
        if all(torch.equal(numbers, kept[key]) for key, numbers in given.state_dict().items()):
            return "afterwards the net still answers without that part: remove the hook."
        return "afterwards the net has other numbers: put zeros in place of the output alone."
    return None


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a.to(b), b, atol=1e-4)


# 09.cam -------------------------------------------------------------------------------------------


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
    maps, weight, classes = _cam_case(shape)
    how = f"for maps {shape}, weight {(10, channels)} and {count} classes"
    got = call(answer, maps.clone(), weight.clone(), classes.clone(), how=how)
    if not isinstance(got, Tensor) or got.shape != (count, *places):
        given = tuple(getattr(got, "shape", ()))
        if given == (count, channels):
            return "the places are gone: add over the maps, not over the places."
        return f"{how} {(count, *places)} should come back, got {given or kind_of(got)}."
    rows = weight[classes][:, :, None, None]
    if _like(got, (rows * maps).sum(1).relu()):
        return None
    if _like(got, (rows * maps).sum(1)):
        return "some places are negative: the ReLU is missing."
    if _like(got, (rows.relu() * maps).sum(1)):
        return "the ReLU comes after the sum: here it cut the negative weights away."
    if _like(got, maps.sum(1).relu()):
        return "that adds the maps as they are: weigh each by the class's weight for it."
    if _like(got, (weight.sum(0)[:, None, None] * maps).sum(1).relu()):
        return "the weights of all ten classes are in it: take each picture's own row."
    if _like(got, (rows[:1] * maps).sum(1).relu()):
        return "every picture gets the first picture's class: weight[classes] has one row for each."
    return "these are not the class's weights times the maps, added, then ReLU."


def _cam_slip_of_axes(answer: Any) -> str | None:
    """The slip of an answer that fails on real sizes, seen where all sizes are equal."""
    maps, weight, classes = _cam_case((10, 10, 10, 10))
    try:
        got = call(answer, maps, weight, classes, how="")
    except Mistake:
        return None
    if not isinstance(got, Tensor) or got.shape != (10, 10, 10):
        return None
    if _like(got, (weight[:, classes][:, :, None, None] * maps).sum(1).relu()):
        return "weight[:, classes] takes columns: a class is a row of the weight."
    if _like(got, (weight[classes] * maps).sum(1).relu()):
        return "the weights meet places, not maps: give weight[classes] two more axes at the end."
    return None


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


def judge_likeness(answer: Any) -> str | None:
    """Whether a function of two maps (H, W) is Pearson's correlation, 0 for a flat map."""
    generator = torch.Generator().manual_seed(9)
    a = torch.rand(6, 5, generator=generator) + 1
    noise = torch.rand(2, 6, 5, generator=generator)
    a, b = torch.stack([a, a]), torch.stack([2 - 0.6 * a + 0.2 * noise[0], a + noise[1]])
    got = torch.tensor(
        [_likeness(answer, *pair, "for two maps (6, 5)") for pair in zip(a, b, strict=True)]
    )
    wanted = likeness(a, b)
    widths = a.flatten(1).std(1, correction=0) * b.flatten(1).std(1, correction=0)
    slips = {
        "the means are still in it: two bright maps look alike without any pattern.": (
            F.cosine_similarity(a.flatten(1), b.flatten(1))
        ),
        "it grows with the brightness of the maps: divide by both lengths.": wanted * widths,
        "the sign is lost: opposite maps should give a negative number.": wanted.abs(),
        "std() divides by n - 1 and mean() by n: take the same for both.": wanted * (1 - 1 / 30),
    }
    if not torch.allclose(got, wanted, rtol=0, atol=1e-3):
        slip = named(slips, lambda value: torch.allclose(got, value, rtol=0, atol=1e-3))
        return slip or f"two maps whose correlation is {wanted[0]:.2f} give {got[0]:.2f}."
    flat = torch.ones(6, 5)
    for where, *pair in (
        ("second map is", a[0], flat),
        ("first map is", flat, a[0]),
        ("maps are", flat, flat),
    ):
        try:
            value = _likeness(answer, *pair, "")
        except Mistake:
            value = math.nan
        if not abs(value) <= 1e-3:
            return f"when the {where} the same everywhere, 0 is wanted: guard the division."
    return None


def _likeness(answer: Any, a: Tensor, b: Tensor, how: str) -> float:
    value = as_number(call(answer, a.clone(), b.clone(), how=how))
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

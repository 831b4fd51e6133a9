"""Exercises and predictions of notebook 09, inside an Inception network."""

import copy
import dis
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any

import torch
from torch import Tensor, nn

from gnet_utils.exercises import Blank, Exercise, Mistake, Prediction, kind_of, number
from gnet_utils.exercises.trials import call, named
from gnet_utils.models import FashionGoogLeNet
from gnet_utils.probing import ablate, cam, feature_maps

# 09.ablate ----------------------------------------------------------------------------------------


def judge_ablate(answer: Any) -> str | None:
    """Whether a function (net, images, names) -> logits silences the parts, for this call only."""
    torch.manual_seed(9)
    net, images = FashionGoogLeNet(0.125, stem="patch").train(), torch.randn(16, 1, 28, 28)
    with torch.no_grad():
        net(images)  # so that its batch norms have seen something
        for names in (
            ["inception_4b.branch_5x5"],
            ["inception_3a.branch_1x1", "inception_4d.branch_1x1"],
            ["conv2"],
        ):
            with _blanks(answer, 2, "the hook's answer, the handles and the removal"):
                if mistake := _ablate_mistake(answer, net.eval(), images[:4], names):
                    raise Mistake(mistake)
    return None


def _ablate_mistake(answer: Any, net: nn.Module, images: Tensor, names: list[str]) -> str | None:
    given, how = copy.deepcopy(net), f"for {names}"
    got, whole = call(answer, given, images.clone(), list(names), how=how), net(images)
    with ablate(net, names):
        wanted = net(images)
    if not isinstance(got, Tensor) or got.shape != whole.shape:
        shape = tuple(getattr(got, "shape", ()))
        return f"logits {tuple(whole.shape)} should come back, got {shape or kind_of(got)}."
    if _same(got, whole):
        return f"{how} the whole net answers: a hook must return what it puts in place."
    for name in names:
        with ablate(net, [name]):
            if len(names) > 1 and _same(got, net(images)):
                return f"{how} only {name} is silent: every part needs a hook of its own."
    with ablate(net, [name.partition(".")[0] for name in names]):
        if "." in names[0] and _same(got, net(images)):
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
            return "afterwards the net still answers without that part: remove every hook."
        return "afterwards the net has other numbers: put zeros in place of the output alone."
    return None


def course_ablate(net: nn.Module, images: Tensor, names: list[str]) -> Tensor:
    with ablate(net, names):
        return net(images)


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a.to(b), b, atol=1e-4)


@contextmanager
def _blanks(answer: Any, most: int, places: str) -> Iterator[None]:
    """A mistake made while `...` stands in the function is that it is not filled in."""
    try:
        yield
    except Mistake as mistake:
        left = _blanks_of(getattr(answer, "__code__", None))
        if left >= most:
            raise Blank(places) from mistake
        raise Mistake(f"a place with ... is left. {mistake}" if left else str(mistake)) from mistake


def _blanks_of(code: Any) -> int:
    """How often `...` is a value in a function, those inside of it included."""
    if not isinstance(code, CodeType):
        return 0
    here = sum(step.argval is ... for step in dis.get_instructions(code))
    return here + sum(_blanks_of(inner) for inner in code.co_consts)


# 09.cam -------------------------------------------------------------------------------------------


def judge_cam(answer: Any) -> str | None:
    """Whether a function (maps, logits, classes) gives Grad-CAM's heat, up to a positive factor."""
    torch.manual_seed(9)
    net, images = FashionGoogLeNet(0.125, stem="patch").train(), torch.randn(16, 1, 28, 28)
    with torch.no_grad():
        net(images)
    classes = torch.tensor([3, 1, 4, 1, 5])
    for layer in ("inception_4e", "conv2"):
        found = feature_maps(net.eval(), images[:5], layer)
        maps, logits = found[layer], found["logits"]
        with _blanks(answer, 4, "slopes, weights, heat and what is returned"):
            if mistake := _cam_mistake(answer, maps, logits, classes):
                raise Mistake(mistake)
    return None


def _cam_mistake(answer: Any, maps: Tensor, logits: Tensor, classes: Tensor) -> str | None:
    how = f"for maps {tuple(maps.shape)}, logits (5, 10) and 5 classes"
    score = logits.gather(1, classes[:, None]).sum()
    slopes, everything = (
        torch.autograd.grad(total, maps, retain_graph=True)[0] for total in (score, logits.sum())
    )
    got = call(answer, maps, logits, classes, how=how)
    wanted_shape = (maps.shape[0], *maps.shape[2:])
    if not isinstance(got, Tensor) or got.shape != wanted_shape:
        shape = tuple(getattr(got, "shape", ()))
        if shape == tuple(maps.shape):
            return "there is one heat for each map: add over the maps, dimension 1."
        if shape == tuple(maps.shape[:2]):
            return "the places are gone: add over the maps, not over the places."
        return f"{how} {wanted_shape} should come back, got {shape or kind_of(got)}."
    weights = slopes.mean((2, 3), keepdim=True)
    slips = {
        "some places are negative: the ReLU is missing.": (weights * maps).sum(1),
        "the ReLU comes after the sum: here it cut the negative weights away.": (
            weights.relu() * maps
        ).sum(1),
        "that adds the maps as they are: multiply each by its weight.": maps.sum(1).relu(),
        "the slopes are not averaged: one number for each map is its weight.": (
            (slopes * maps).sum(1).relu()
        ),
        "that adds the slopes alone: multiply each map by its weight.": slopes.sum(1).relu(),
        "all pictures share one weight here: average over the places, dimensions 2 and 3, alone.": (
            (slopes.mean((0, 2, 3), keepdim=True) * maps).sum(1).relu()
        ),
        "the slopes are those of all logits: the class's own one is `score`.": (
            (everything.mean((2, 3), keepdim=True) * maps).sum(1).relu()
        ),
    }
    if _like(got, (weights * maps).sum(1).relu()):
        return None
    slip = named(slips, lambda heat: _like(got, heat))
    return slip or "these are not the maps times their mean slopes, added, then ReLU."


def _like(got: Tensor, wanted: Tensor) -> bool:
    """Whether each picture's map is the wanted one, up to a positive factor."""
    scaled = (
        heat / heat.abs().amax((1, 2), keepdim=True).clamp_min(1e-9)
        for heat in (got.detach().to(wanted), wanted.detach())
    )
    return _same(*scaled)


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
            "Batch norm in eval mode: which two stored numbers does it use, and in which order?",
            "The branch gives 0, so the convolution gives 0 as well. Batch norm follows.",
            "With stored mean 4 and variance 9 an input of 1 becomes (1 - 4) / 9 ** 0.5 = -1.",
        ],
        right="three deviations below the mean of what the later layers were trained on.",
        tolerance=0.001,
    ),
    "ablate": Exercise(
        judge_ablate,
        right="zeros while you look, and the net is whole again afterwards.",
        hints=[
            "The cell above does all three things for one branch: hook, handle, removal.",
            "A list of handles is made with [... for part in parts], and a loop removes them.",
            "To count calls instead: handles = [part.register_forward_hook(count) for part in "
            "parts], and afterwards: for handle in handles: handle.remove().",
        ],
        course=lambda: course_ablate,
    ),
    "chance": number(
        3.6,
        mistakes={
            0.05: "that is for one point; how many are drawn?",
            68.4: "those are the points inside the band.",
            1.8: "that counts one question; there are two panels.",
            0.9: "each block has four branches, each with a point of its own.",
            0.45: "each block has four branches, and there are two questions.",
            5: "five in a hundred; how many points are there?",
            72: "that is the number of points; 5% of them lie outside by chance.",
        },
        hints=[
            "How many points does one panel have? And both?",
            "A band that holds 95% leaves the rest outside, above or below.",
            "A band that holds 90%, one panel of three branches and four blocks: 12 * 0.1 = 1.2.",
        ],
        right="72 points, 5% each: a few outside prove nothing.",
        tolerance=0.05,
    ),
    "cam": Exercise(
        judge_cam,
        right="maps, slopes, weights, sum, ReLU: the same heat as the course's.",
        hints=[
            "One line for each sentence above. `torch.autograd.grad(y, a)` gives a tuple.",
            "mean(..., keepdim=True) over the places gives (N, C, 1, 1), which multiplies maps.",
            "For another task, the mean map weighed by its largest slope: "
            "w = torch.autograd.grad(y, a)[0].amax((2, 3), keepdim=True); (w * a).mean(1).abs().",
        ],
        course=lambda: cam,
    ),
}

PREDICTIONS = {
    "p1": Prediction(
        ["zeros in their place", "means in their place", "both about the same"],
        right=1,
        because="The later layers are used to the branch's average, not to nothing.",
    ),
    "p2": Prediction(
        ["about half", "about a quarter", "less than a tenth"],
        right=2,
        because="Most differences are between channels of the same branch.",
        held=(1, 2, 3),
    ),
    "p3": Prediction(
        ["none: both are learned", "lines against discs, mostly", "both, as strong as in training"],
        right=1,
        because="Random weights give nearly the same share for lines, and less for brightness.",
    ),
    "p4": Prediction(
        ["Grad-CAM", "gradient times picture", "both", "neither"],
        right=1,
        because="It contains the picture itself: black pixels stay black whatever the weights.",
        held=(1, 2, 3),
    ),
}

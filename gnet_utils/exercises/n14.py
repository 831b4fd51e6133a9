"""Exercises and predictions of lesson 14, pictures of one's own."""

from typing import Any

import torch
from torch import Tensor, nn

from gnet_utils.exercises import Blank, Exercise, Prediction, number
from gnet_utils.exercises.trials import check_function, filled, named
from gnet_utils.models import FashionGoogLeNet
from gnet_utils.runs import CHECKPOINTS, load_checkpoint

LUMA = torch.tensor([0.299, 0.587, 0.114])

# 14.ground ----------------------------------------------------------------------------------------


def without_ground(images: Tensor) -> Tensor:
    """Garments bright on black, whatever ground they lay on: uint8 (N, 1, H, W), as they came."""
    rim = [images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1]]
    ground = torch.cat(rim, -1).float().median(-1).values[..., None, None]  # (N, 1, 1, 1)
    away = (images.float() - ground).abs()
    brightest = away.amax((2, 3), keepdim=True).clamp_min(1)
    return (255 * away / brightest).byte()


def _on_two_grounds() -> Tensor:
    """A dark square on a bright ground, and a bright one on a dark ground: (2, 1, 12, 12)."""
    images = torch.full((2, 1, 12, 12), 200, dtype=torch.uint8)
    images[1] = 40
    images[0, :, 3:9, 3:9], images[1, :, 3:9, 3:9] = 100, 90
    return images


def judge_ground(answer: Any) -> str | None:
    """Whether a function lays garments of any gray on black, each picture by its own ground."""
    check_function(answer)
    images = _on_two_grounds()
    with filled(Blank("the two places marked ...")):
        got = answer(images.clone())
    if got is ...:
        raise Blank("the two places marked ...")
    if not isinstance(got, Tensor) or got.shape != images.shape:
        shape = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
        return f"pictures of the same shape, {tuple(images.shape)}, should come out, got {shape}."
    ground, garment = got[:, 0, 0, 0].tolist(), got[:, 0, 5, 5].tolist()
    if ground == [0, 0] and garment == [255, 255]:
        return None
    if garment[0] == 0 and garment[1] == 255:
        return "a garment that is darker than its ground is lost: which sign does it have?"
    if ground[0] != ground[1] and 0 in ground:
        return "each picture has a ground of its own: keep the first axis, (N, 1, 1, 1)."
    if garment == [0, 0]:
        return "that is the gray of the garment that is taken away: take that of the rim."
    return (
        f"the ground should become 0 and the garment 255; here they become {ground} and {garment}."
    )


# 14.head ------------------------------------------------------------------------------------------


def with_new_head(classes: int) -> FashionGoogLeNet:
    """The stored network minute-seed0 with a new last layer for `classes` classes."""
    net = FashionGoogLeNet(0.25, classes, stem="patch", multiple_of=16, dropout=0.0)
    load_checkpoint(net, CHECKPOINTS / "minute-seed0.safetensors", head=False)
    return net


def judge_head(answer: Any) -> str | None:
    """Whether a function builds the stored network with a fresh last layer of any size."""
    check_function(answer)
    with filled(Blank("the two places marked ...")):
        net = answer(7)
    if not isinstance(net, nn.Module):
        return "it should return the network: return net."
    classes = getattr(getattr(net, "linear", None), "out_features", None)
    if classes != 7:
        return f"for 7 classes the last layer should give 7 logits, it gives {classes}."
    right, got = with_new_head(7).state_dict(), net.state_dict()
    body = [name for name in right if not name.startswith("linear.")]
    if any(name not in got or got[name].shape != right[name].shape for name in body):
        return "keep the width 0.25 and **FORM: the stored weights have that form."
    if not all(torch.equal(got[name], right[name]) for name in body):
        return "the weights of the stored network are not in it: load them before you return it."
    return None


# 14.colour ----------------------------------------------------------------------------------------


def for_colour(kernel: Tensor) -> Tensor:
    """A kernel (O, 1, h, w) for gray pictures as one for colours (O, 3, h, w): equal answers."""
    return kernel * LUMA[:, None, None]


def judge_colour(answer: Any) -> str | None:
    """Whether a function turns a kernel for gray into one that first makes colours gray."""
    check_function(answer)
    kernel = torch.arange(1.0, 19).reshape(2, 1, 3, 3)
    got = answer(kernel.clone())
    if got is ...:
        raise Blank("the place with ...")
    if not isinstance(got, Tensor) or got.shape != (2, 3, 3, 3):
        shape = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
        return f"of (2, 1, 3, 3) it should make (2, 3, 3, 3), it makes {shape}."
    slips = {
        "a white picture would answer three times as much: the three weights must add up to 1.": (
            kernel.repeat(1, 3, 1, 1)
        ),
        "that is the mean of the three colours; gray is not their mean (lesson 01).": (
            kernel.repeat(1, 3, 1, 1) / 3
        ),
        "blue and red have changed places.": kernel * LUMA.flip(0)[:, None, None],
    }
    if torch.allclose(got, for_colour(kernel), rtol=1e-3):
        return None
    return named(slips, lambda wrong: torch.allclose(got, wrong, rtol=1e-3)) or (
        "the answer to a gray picture should stay: the three weights of each place should add up "
        "to the one that was there."
    )


# The table ----------------------------------------------------------------------------------------

EXERCISES = {
    "ground": Exercise(
        judge_ground,
        right="each garment is bright on black, whether it was darker or brighter than its ground.",
        hints=[
            "`rim` has the pixels of the four sides. Most of them show the ground.",
            "The median of the rim is the ground, even where a sleeve touches it. Then ask how "
            "far each pixel is from it, without a sign.",
            "Temperatures of 20, 21, 35 and 20 degrees have the median 20; 35 lies 15 away, and "
            "so does 5: abs(35 - 20) and abs(5 - 20).",
        ],
        course=lambda: without_ground,
    ),
    "head": Exercise(
        judge_head,
        right="all layers know what they knew, and the last one begins anew.",
        hints=[
            "The first blank is a number that the function is given.",
            "`load_checkpoint(net, file, head=False)` brings in all weights but those of the "
            "last layer, `linear`.",
            "For a ResNet of torchvision one writes net.fc = nn.Linear(512, classes) after "
            "loading: the same step, done by hand.",
        ],
        course=lambda: with_new_head,
    ),
    "colour": Exercise(
        judge_colour,
        right="it turns colours gray and answers that, in one convolution.",
        hints=[
            "A convolution is linear: what happens when its input is a weighted sum?",
            "Each of the three kernels is the old one, times the weight of its colour. "
            "Broadcasting needs the weights as (3, 1, 1).",
            "A kernel that reads the sum 0.5 a + 0.5 b of two maps is half the kernel on a and "
            "half the kernel on b: kernel * torch.tensor([0.5, 0.5])[:, None, None].",
        ],
        course=lambda: for_colour,
    ),
    "misfit": number(
        9,
        mistakes={
            57: "that is how many convolutions there are; most fit.",
            48: "that is how many fit.",
            18: "the 1x1 before each of these convolutions fits.",
            27: "the 1x1 and the 3x3 of each block fit.",
            1: "there is one such convolution in each block.",
        },
        hints=[
            "Compare the shapes of two lists: `conv.weight.shape` of each convolution, in order.",
            "A shape differs where the window differs. Which branch of torchvision's block has "
            "another window than the paper's?",
            "Two lists of shapes with zip(strict=True): sum(a != b for a, b in zip(these, those)).",
        ],
        right="one in each block: torchvision's 5x5 branch has a 3x3 (lesson 11).",
    ),
}

PREDICTIONS = {
    "gray": Prediction(
        options=("about 90%, as before", "about 60%", "about 30%"),
        right=2,
        because="All training pictures had a black ground, so a gray one looks like a garment.",
    ),
    "tuned": Prediction(
        options=("worse", "about equal", "about 10 points better", "more than 15 points better"),
        right=3,
        because="Edges, seams and outlines need not be learned again from 100 pictures.",
    ),
    "last": Prediction(
        options=("better: less can be spoilt", "about as good", "about as bad as from scratch"),
        right=2,
        because="Its features were learned on black grounds, and none of them may change.",
        held=(1, 2, 3),
    ),
}

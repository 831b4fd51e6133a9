"""Right answers of many forms to lesson 14, and wrong ones with words of what they are told."""

import numpy as np
import torch

from answers.forms import Calling, forms
from gnet_utils.exercises.n14 import LUMA, for_colour, with_new_head, without_ground
from gnet_utils.models import FashionGoogLeNet
from gnet_utils.runs import CHECKPOINTS, load_checkpoint


def rim_of(images):
    rim = [images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1]]
    return torch.cat(rim, -1).float()


def laid_on_black(
    ground=lambda rim: rim.median(-1).values[..., None, None],
    away=lambda images, ground: (images.float() - ground).abs(),
):
    """The function that exercise 14.1 asks for, its two lines made otherwise."""

    def to_black(images):
        distance = away(images, ground(rim_of(images)))
        brightest = distance.amax((2, 3), keepdim=True).clamp_min(1)
        return (255 * distance / brightest).byte()

    return to_black


def by_numpy(images):
    return torch.from_numpy(without_ground(images).numpy().copy())


def headed(classes=lambda n: n, load=True, **form):
    """The function that exercise 14.2 asks for, its two lines made otherwise."""

    def build(count):
        form_ = {"stem": "patch", "multiple_of": 16, "dropout": 0.0} | form
        net = FashionGoogLeNet(0.25, classes(count), **form_)
        if load:
            load_checkpoint(net, CHECKPOINTS / "minute-seed0.safetensors", head=False)
        return net

    return build


RIGHT = {
    "14.ground": [
        without_ground,
        laid_on_black(),
        laid_on_black(lambda rim: rim.quantile(0.5, -1)[..., None, None]),
        laid_on_black(away=lambda images, ground: (ground - images.float()).abs()),
        Calling(by_numpy),
    ],
    "14.head": [with_new_head, headed(), headed(dropout=0.2)],
    "14.colour": [
        for_colour,
        lambda kernel: torch.cat([kernel * weight for weight in LUMA], 1),
        lambda kernel: kernel.repeat(1, 3, 1, 1) * LUMA.view(1, 3, 1, 1),
        Calling(lambda kernel: torch.einsum("oihw,c->ochw", kernel, LUMA)),
    ],
    "14.misfit": [*forms(9), np.int64(9)],
}

WRONG = {
    "14.ground": [
        (laid_on_black(lambda rim: ..., lambda images, ground: images - ground), "the two places"),
        (lambda images: ..., "the two places"),
        (lambda images: None, "of the same shape"),
        (laid_on_black(away=lambda i, g: (i.float() - g).clamp_min(0)), "darker than its ground"),
        (laid_on_black(lambda rim: rim.median()), "a ground of its own"),
        (laid_on_black(lambda rim: rim.amin() * 0), "the ground should become 0"),
        (lambda images: images[:, 0], "of the same shape"),
        (laid_on_black(lambda rim: 90.0), "the ground should become 0"),
        (
            lambda images: (images.float() - images[..., 5:6, 5:6]).abs().byte(),
            "gray of the garment",
        ),
        (torch.zeros(2), "a function is asked for"),
    ],
    "14.head": [
        (lambda classes: FashionGoogLeNet(0.25, ..., stem="patch"), "the two places"),
        (headed(lambda n: 10), "it gives 10"),
        (headed(load=False), "load them before you return it"),
        (headed(load=False, multiple_of=1), "keep the width 0.25"),
        (lambda classes: None, "return net"),
        (5, "a function is asked for"),
    ],
    "14.colour": [
        (lambda kernel: ..., "the place with ..."),
        (lambda kernel: kernel.repeat(1, 3, 1, 1), "three times as much"),
        (lambda kernel: kernel.repeat(1, 3, 1, 1) / 3, "gray is not their mean"),
        (lambda kernel: kernel * LUMA.flip(0)[:, None, None], "changed places"),
        (lambda kernel: kernel * LUMA[:, None, None] * 2, "add up to the one that was there"),
        (lambda kernel: kernel, "it should make (2, 3, 3, 3)"),
        (LUMA, "a function is asked for"),
    ],
    "14.misfit": [(3, "too small"), (58, "too large")],
}

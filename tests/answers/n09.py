"""Right answers of many forms to notebook 09, and wrong ones with words of what they are told."""

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from answers.forms import AsModule, Calling, forms
from gnet_utils.probing import ablate


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


def with_the_package(net, images, name):
    with ablate(net, [name]):
        return net(images)


def with_a_hook(net, images, name, hook=lambda module, inputs, output: output * 0):
    handle = net.get_submodule(name).register_forward_hook(hook)
    try:
        return net(images)
    finally:
        handle.remove()


def in_place(module, inputs, output):
    output.zero_()


def on_a_copy(net, images, name):
    net = copy.deepcopy(net).eval()
    part = net.get_submodule(name)
    part.forward = lambda x, forward=part.forward: forward(x).new_zeros(forward(x).shape)
    with torch.no_grad():
        return net(images)


def with_another_forward(net, images, name):
    part = dict(net.named_modules())[name]
    forward = part.forward
    part.forward = lambda *args: torch.zeros_like(forward(*args))
    logits = net(images)
    del part.forward
    return logits


def by_einsum(maps, weight, classes):
    return torch.einsum("nchw,nc->nhw", maps, weight[classes]).clamp(min=0) / maps[0, 0].numel()


def by_loop(maps, weight, classes):
    heats = []
    for picture, k in zip(maps, classes.tolist(), strict=True):
        heat = sum(w * channel for w, channel in zip(weight[k], picture, strict=True))
        heats.append(torch.where(heat > 0, heat, 0))
    return torch.stack(heats)


def by_linear_layer(maps, weight, classes):
    logits = maps.double().permute(0, 2, 3, 1) @ weight.double().T
    heat = logits[torch.arange(len(maps)), :, :, classes].relu()
    return heat / heat.amax((1, 2), keepdim=True)


def by_one_hot(maps, weight, classes):
    return (
        (F.conv2d(maps, weight[:, :, None, None]) * F.one_hot(classes, 10)[..., None, None])
        .sum(1)
        .relu_()
    )


def by_cosine(a, b):
    return F.cosine_similarity((a - a.mean()).flatten(), (b - b.mean()).flatten(), dim=0)


def by_numpy(a, b):
    if a.std() == 0 or b.std() == 0:
        return 0
    return np.corrcoef(a.numpy().ravel(), b.numpy().ravel())[0, 1]


def by_torch(a, b):
    return torch.corrcoef(torch.stack([a.ravel(), b.ravel()]).double()).nan_to_num()[0, 1]


def by_standard_scores(a, b):
    a, b = ((x - x.mean()) / (x.std(correction=0) + 1e-8) for x in (a, b))
    return (a * b).mean().item()


def by_python_floats(a, b):
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum().item() / (a.norm().item() * b.norm().item())


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


def zeros_in_the_weights(net: nn.Module, images: Tensor, name: str) -> Tensor:
    """A wrong answer: right logits, and a net that never recovers."""
    for layer in net.get_submodule(name).modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.weight.data.zero_()
            layer.bias.data.zero_()
    return net(images)


def left_in_training(net: nn.Module, images: Tensor, name: str) -> Tensor:
    logits = silence()(net.eval(), images, name)
    net.train()
    return logits


def two_levels_only(net: nn.Module, images: Tensor, name: str) -> Tensor:
    block, branch = name.split(".")
    return silence()(net, images, f"{block}.{branch}")


def cam_averaged(maps: Tensor, weight: Tensor, classes: Tensor) -> Tensor:
    return (weight[classes] * maps.mean((2, 3))).relu()


def cam_squeezed(maps: Tensor, weight: Tensor, classes: Tensor) -> Tensor:
    return right_cam(maps, weight, classes).squeeze()


def one_guard(a: Tensor, b: Tensor) -> Tensor:
    return torch.zeros(()) if b.std() == 0 else nan_for_flat(a, b)


RIGHT = {
    "09.shift": [
        *forms(-3),
        (0.5 * 0 - 1.5) / 0.25**0.5,
        -1.5 / math.sqrt(0.25 + 1e-5),
        F.batch_norm(torch.zeros(1, 1), torch.tensor([1.5]), torch.tensor([0.25])),
    ],
    "09.ablate": [
        with_the_package,
        with_a_hook,
        partial(with_a_hook, hook=in_place),
        on_a_copy,
        with_another_forward,
        lambda net, images, name: with_the_package(net.eval(), images, name).double(),
        torch.inference_mode()(with_a_hook),
    ],
    "09.cam": [
        right_cam,
        by_einsum,
        by_loop,
        by_linear_layer,
        by_one_hot,
        partial(right_cam),
        Calling(by_loop),
        AsModule(by_einsum),
        lambda maps, weight, classes: right_cam(maps, nn.Parameter(weight), classes),
    ],
    "09.field": [*forms(36), 28 + (3 - 1) * 4],
    "09.likeness": [
        right_likeness,
        by_cosine,
        by_numpy,
        by_torch,
        by_standard_scores,
        partial(by_cosine),
        Calling(by_numpy),
        AsModule(by_torch),
        lambda first, second: [by_standard_scores(first, second)],
    ],
}

WRONG = {
    "09.ablate": [
        (silence(replace=False), "the whole net answers"),
        (silence(remove=False), "remove the hook"),
        (silence(name_of=lambda name: name.partition(".")[0]), "silences the whole block"),
        (silence(finish=lambda logits: logits.softmax(1)), "these are probabilities"),
        (silence(finish=lambda logits: None), "returns nothing"),
        (silence(finish=lambda logits: logits.argmax(1)), "should come back"),
        (silence(name_of=lambda name: "inception_4b.branch_5x5"), 'for "inception_3a.branch'),
        (two_levels_only, 'for "conv2" it stops with ValueError'),
        (zeros_in_the_weights, "other numbers"),
        (left_in_training, "train() mode"),
        (lambda net, images: net(images), 'for "inception_4b.branch_5x5" it stops with TypeError'),
        (lambda net, images, name: net(images).tolist(), "got a list"),
        (
            lambda net, images, name: with_a_hook(
                net,
                images,
                name,
                lambda module, inputs, output: output.mean(0, True).expand_as(output),
            ),
            "not the logits of the net with zeros",
        ),
    ],
    "09.cam": [
        (cam_without_relu, "the ReLU is missing"),
        (cam_relu_first, "after the sum"),
        (cam_unweighted, "weigh each"),
        (cam_all_classes, "each picture's own row"),
        (cam_first_class, "the first picture's class"),
        (cam_averaged, "the places are gone"),
        (cam_columns, "a class is a row"),
        (cam_without_axes, "two more axes"),
        (cam_squeezed, "(1, 3, 4) should come back, got (3, 4)"),
        (lambda maps, weight, classes: list(right_cam(maps, weight, classes)), "got a list"),
        (lambda maps, weight, classes: -right_cam(maps, weight, classes), "these are not"),
        (lambda maps, weight, classes: weight[classes] @ maps, "it stops with RuntimeError"),
        (
            lambda maps, weight, classes: (maps * weight[classes][..., None, None]).sum(1).abs(),
            "these are not",
        ),
    ],
    "09.likeness": [
        (cosine, "means are still in it"),
        (covariance, "divide by both lengths"),
        (without_sign, "sign is lost"),
        (nan_for_flat, "guard the division"),
        (two_deviations, "divides by n - 1"),
        (one_guard, "when the first map is the same everywhere"),
        (by_python_floats, "when the second map is the same everywhere, 0 is wanted"),
        (lambda a, b: torch.corrcoef(torch.stack([a.ravel(), b.ravel()])), "the shape (2, 2)"),
        (lambda a, b: a, "the shape (6, 5)"),
        (lambda a: a, "for two maps (6, 5) it stops with TypeError"),
        (lambda a, b: 1 - (a - b).abs().mean(), "two maps whose correlation is"),
    ],
}

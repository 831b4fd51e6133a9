"""Right answers of many forms to notebook 09, and wrong ones with words of what they are told."""

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from answers.forms import Calling, forms
from gnet_utils.probing import ablate, cam


def with_the_package(net, images, names):
    with ablate(net, names):
        return net(images)


def zeros(module, inputs, output):
    return torch.zeros_like(output)


def with_hooks(net, images, names, hook=lambda module, inputs, output: output * 0):
    handles = [net.get_submodule(name).register_forward_hook(hook) for name in names]
    try:
        return net(images)
    finally:
        for handle in handles:
            handle.remove()


def in_place(module, inputs, output):
    output.zero_()


def on_a_copy(net, images, names):
    net = copy.deepcopy(net).eval()
    for name in names:
        net.get_submodule(name).register_forward_hook(zeros)
    with torch.no_grad():
        return net(images)


def silence(
    name_of: Callable[[str], str] = lambda name: name,
    replace: bool = True,
    remove: slice = slice(None),
    take: slice = slice(None),
    finish: Callable = lambda logits: logits,
) -> Callable:
    """Answers to 09.ablate, right and wrong, for the tests."""

    def without(net: nn.Module, images: Tensor, names: list[str]) -> Any:
        def hook(module, inputs, output):
            return torch.zeros_like(output) if replace else None

        handles = [
            net.get_submodule(name_of(name)).register_forward_hook(hook) for name in names[take]
        ]
        logits = net(images)
        for handle in handles[remove]:
            handle.remove()
        return finish(logits)

    return without


def stub_of_ablate(net, images, names):
    def hook(module, inputs, output):
        return ...

    handles = ...  # noqa: F841
    logits = net(images)
    return logits


def half_of_ablate(net, images, names):
    def hook(module, inputs, output):
        return ...

    handles = [net.get_submodule(name).register_forward_hook(hook) for name in names]
    logits = net(images)
    for handle in handles:
        handle.remove()
    return logits


def zeros_in_the_weights(net: nn.Module, images: Tensor, names: list[str]) -> Tensor:
    """A wrong answer: right logits, and a net that never recovers."""
    for name in names:
        for layer in net.get_submodule(name).modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.data.zero_()
                layer.bias.data.zero_()
    return net(images)


def left_in_training(net: nn.Module, images: Tensor, names: list[str]) -> Tensor:
    logits = silence()(net.eval(), images, names)
    net.train()
    return logits


def heat(weigh=lambda slopes: slopes.mean((2, 3), keepdim=True), add=None, last=torch.relu):
    """Answers to 09.cam, right and wrong."""
    add = add or (lambda weights, maps: (weights * maps).sum(1))

    def heat_of(maps: Tensor, logits: Tensor, classes: Tensor) -> Tensor:
        score = logits.gather(1, classes[:, None]).sum()
        slopes = torch.autograd.grad(score, maps)[0]
        return last(add(weigh(slopes), maps))

    return heat_of


def heat_by_loop(maps, logits, classes):
    heats = []
    for n, k in enumerate(classes.tolist()):
        slopes = torch.autograd.grad(logits[n, k], maps, retain_graph=True)[0][n]
        weights = slopes.mean((1, 2))
        heats.append(sum(w * a for w, a in zip(weights, maps[n], strict=True)).clamp(min=0))
    return torch.stack(heats)


def heat_by_backward(maps, logits, classes):
    maps.retain_grad()
    logits[torch.arange(len(maps)), classes].sum().backward()
    return torch.einsum("nc,nchw->nhw", maps.grad.sum((2, 3)), maps).relu()


def heat_of_all_logits(maps, logits, classes):
    slopes = torch.autograd.grad(logits.sum(), maps)[0]
    return (slopes.mean((2, 3), keepdim=True) * maps).sum(1).relu()


def stub_of_cam(maps, logits, classes):
    score = logits.gather(1, classes[:, None]).sum()  # noqa: F841
    slopes = ...  # noqa: F841
    weights = ...  # noqa: F841
    heat = ...  # noqa: F841
    return ...


def half_of_cam(maps, logits, classes):
    score = logits.gather(1, classes[:, None]).sum()
    slopes = torch.autograd.grad(score, maps)[0]
    weights = slopes.mean((2, 3), keepdim=True)
    heat = (weights * maps).sum(1)  # noqa: F841
    return ...


RIGHT = {
    "09.shift": [
        *forms(-3),
        (0.5 * 0 - 1.5) / 0.25**0.5,
        -1.5 / math.sqrt(0.25 + 1e-5),
        F.batch_norm(torch.zeros(1, 1), torch.tensor([1.5]), torch.tensor([0.25])),
    ],
    "09.ablate": [
        with_the_package,
        with_hooks,
        silence(),
        partial(with_hooks, hook=in_place),
        on_a_copy,
        lambda net, images, names: with_the_package(net.eval(), images, names).double(),
        torch.inference_mode()(with_hooks),
    ],
    "09.chance": [*forms(3.6), 2 * 9 * 4 * 0.05, 72 * 0.05],
    "09.cam": [
        cam,
        heat(),
        heat(lambda slopes: slopes.sum((2, 3), keepdim=True)),
        heat(last=lambda heat: heat.relu() / heat.amax()),
        heat_by_loop,
        heat_by_backward,
        Calling(heat()),
        partial(heat()),
    ],
}

WRONG = {
    "09.ablate": [
        (stub_of_ablate, "the hook's answer, the handles and the removal"),
        (half_of_ablate, "a place with ... is left"),
        (silence(replace=False), "the whole net answers"),
        (silence(remove=slice(0)), "remove every hook"),
        (silence(remove=slice(1)), "remove every hook"),
        (silence(take=slice(1)), "every part needs a hook of its own"),
        (silence(name_of=lambda name: name.partition(".")[0]), "silences the whole block"),
        (silence(finish=lambda logits: logits.softmax(1)), "these are probabilities"),
        (silence(finish=lambda logits: None), "returns nothing"),
        (silence(finish=lambda logits: logits.argmax(1)), "should come back"),
        (zeros_in_the_weights, "other numbers"),
        (left_in_training, "train() mode"),
        (lambda net, images: net(images), "it stops with TypeError"),
        (lambda net, images, names: net(images).tolist(), "got a list"),
        (
            lambda net, images, names: with_hooks(
                net,
                images,
                names,
                lambda module, inputs, output: output.mean(0, True).expand_as(output),
            ),
            "not the logits of the net with zeros",
        ),
    ],
    "09.cam": [
        (stub_of_cam, "slopes, weights, heat and what is returned"),
        (half_of_cam, "a place with ... is left"),
        (heat(last=lambda heat: heat), "the ReLU is missing"),
        (heat(lambda s: s.mean((2, 3), keepdim=True).relu()), "after the sum"),
        (heat(add=lambda weights, maps: maps.sum(1)), "multiply each by its weight"),
        (heat(lambda s: s), "the slopes are not averaged"),
        (heat(lambda s: s, add=lambda slopes, maps: slopes.sum(1)), "adds the slopes alone"),
        (heat(lambda s: s.mean((0, 2, 3), keepdim=True)), "all pictures share one weight"),
        (heat(lambda s: s.mean((2, 3))), "it stops with RuntimeError"),
        (heat(add=lambda weights, maps: weights * maps), "one heat for each map"),
        (heat(add=lambda weights, maps: (weights * maps).mean((2, 3))), "the places are gone"),
        (heat_of_all_logits, "those of all logits"),
        (lambda maps, logits, classes: -cam(maps, logits, classes), "these are not the maps"),
    ],
}

"""Looking inside a network while it works: what flows back, what its parts answer.

Offers `gradient_norms`; `feature_maps`, `branch_names`, `mean_maps` and `ablate` for the parts;
`cam`, `grad_cam`, `occlusion`, `enlarge` and `likeness` for places of the picture; `maximise` for
pictures that a part answers to; `gradient_energy` and `share_inside` for the size of what a unit
sees.

Nothing here changes the network: hooks are taken off again and its mode is restored. Images are
float (N, C, H, W), as `to_float` makes them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnet_utils.data import MEAN, STD
from gnet_utils.fields import ReceptiveField
from gnet_utils.passes import evaluating, hooked

BLACK, WHITE = -MEAN / STD, (1 - MEAN) / STD  # after to_float


def gradient_norms(model: nn.Module, loss: Tensor) -> dict[str, float]:
    """Size of the gradient that reaches each stage: the norm over all its weights together.

    loss: a scalar computed by `model`; its `backward` is called. Stages without weights are left
    out. The gradients stay in the parameters, as after any `backward`.
    """
    model.zero_grad()
    loss.backward()
    norms = {}
    for name, stage in model.named_children():
        squares = [p.grad.square().sum() for p in stage.parameters() if p.grad is not None]
        if squares:
            norms[name] = sum(squares).sqrt().item()
    return norms


# Parts --------------------------------------------------------------------------------------------


def feature_maps(model: nn.Module, images: Tensor, *names: str) -> dict[str, Tensor]:
    """What the modules called `names` (such as "inception_3a.branch_5x5") give for `images`.

    The key "logits" of the answer holds the model's own output. The maps are part of the graph:
    where gradients are switched on, they can be derived by. Raises ValueError for unknown names.
    """
    found = {}

    def keep(name, _, output):
        found[name] = output
        return output.clone()  # a ReLU that works in place must not write over what we keep

    with evaluating(model), hooked(_find(model, names), keep):
        logits = model(images)
    return {name: found[name] for name in names} | {"logits": logits}


def branch_names(model: nn.Module, branch: str | None = None) -> list[str]:
    """Names of the branches in the order of the blocks: all, or one kind ("1x1", "5x5", "pool").

    Such as "inception_3a.branch_5x5". Raises ValueError when the model has none of that kind.
    """
    found = []
    for name, _ in model.named_modules():
        _, is_branch, kind = name.rpartition("branch_")
        if is_branch and "." not in kind and branch in (None, kind):
            found.append(name)
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no branch {branch or 'at all'}: "
            "take a network of Inception blocks; a branch is 1x1, 3x3, 5x5 or pool"
        )
    return found


@torch.no_grad()
def mean_maps(model: nn.Module, images: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """What the named modules give on average over `images`, at each place: (C, H, W) each."""
    sums = {}
    for batch in images.split(500):
        maps = feature_maps(model, batch, *names)
        for name in names:
            sums[name] = sums.get(name, 0) + maps[name].sum(0)
    return {name: total / len(images) for name, total in sums.items()}


def ablate(
    model: nn.Module, names: Sequence[str], means: Mapping[str, Tensor] | None = None
) -> AbstractContextManager[None]:
    """While the `with` lasts, the named modules give zeros for every picture, or their `means`.

    means: one map (C, H, W) for each name, see `mean_maps`. Raises ValueError for unknown names.
    """

    def replace(name, _, output):
        return torch.zeros_like(output) if means is None else means[name].expand_as(output)

    return hooked(_find(model, names), replace)


# Places -------------------------------------------------------------------------------------------


def cam(maps: Tensor, logits: Tensor, classes: Tensor) -> Tensor:
    """The core of Grad-CAM, for maps (N, C, H, W) that `logits` (N, classes) were made from."""
    score = logits.gather(1, classes[:, None]).sum()
    slopes = torch.autograd.grad(score, maps)[0]
    weights = slopes.mean((2, 3), keepdim=True)  # one number for each map
    return (weights * maps).sum(1).relu().detach()


def grad_cam(model: nn.Module, images: Tensor, layer: str, classes: Tensor | None = None) -> Tensor:
    """Grad-CAM (arXiv 1610.02391, section 3): where `layer` speaks for the class, (N, H, W), >= 0.

    H and W are those of the layer's maps. classes: (N,) class numbers; without them, the class
    that the model gives each picture.
    """
    with torch.enable_grad():
        found = feature_maps(model, images.detach().requires_grad_(), layer)
        maps, logits = found[layer], found["logits"]
        return cam(maps, logits, logits.argmax(1) if classes is None else classes)


@torch.no_grad()
def occlusion(
    model: nn.Module, images: Tensor, classes: Tensor, size: int = 7, step: int = 3
) -> Tensor:
    """How far the class's probability falls when a square of the picture is covered: (N, h, w).

    classes: (N,). The square has `size` pixels and moves by `step`; it is covered with each
    picture's smallest value, the background (arXiv 1311.2901, section 4.2).
    """
    height, width = images.shape[2:]
    tops, lefts = range(0, height - size + 1, step), range(0, width - size + 1, step)
    falls = []
    with evaluating(model):
        for image, label in zip(images, classes, strict=True):
            covered = image.repeat(len(tops) * len(lefts) + 1, 1, 1, 1)  # the last stays whole
            places = ((top, left) for top in tops for left in lefts)
            for copy, (top, left) in zip(covered, places, strict=False):
                copy[:, top : top + size, left : left + size] = image.min()
            odds = model(covered).softmax(1)[:, label]
            falls.append((odds[-1] - odds[:-1]).view(len(tops), len(lefts)))
    return torch.stack(falls)


def enlarge(maps: Tensor) -> Tensor:
    """Maps (N, h, w) at the size of the pictures, (N, 28, 28), bilinear."""
    return F.interpolate(maps[:, None], (28, 28), mode="bilinear", align_corners=False)[:, 0]


def likeness(a: Tensor, b: Tensor) -> Tensor:
    """Correlation of the maps a and b (N, H, W), picture by picture: (N,); 0 where one is flat."""
    a, b = (maps.flatten(1) - maps.flatten(1).mean(1, keepdim=True) for maps in (a, b))
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp_min(1e-12)


# Pictures -----------------------------------------------------------------------------------------


def maximise(score: Callable[[Tensor], Tensor], start: Tensor, steps: int = 100) -> Tensor:
    """Pictures that make `score(images)` (N,) large, climbed to from `start` (N, C, H, W).

    At each step the pictures are shifted at random by up to two pixels, so that no single pixel
    can do the work, then follow their gradient, its size taken out, and all values are drawn a
    little towards those of `start`. They stay between BLACK and WHITE, as `to_float` makes them.
    The shifts come from PyTorch's global generator.
    """
    rate, decay, shift = 0.1, 0.01, 2
    ground = start.detach()
    images = ground.clone()
    for _ in range(steps):
        rows, columns = torch.randint(-shift, shift + 1, (2,)).tolist()
        images.requires_grad_()
        with torch.enable_grad():
            total = score(images.roll((rows, columns), (2, 3))).sum()
            slope = torch.autograd.grad(total, images)[0]
        slope = slope / slope.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
        images = images.detach() + rate * slope
        images = (images + decay * (ground - images)).clamp(BLACK, WHITE)
    return images


# What a unit sees ---------------------------------------------------------------------------------


def gradient_energy(model: nn.Module, images: Tensor, layer: str, draws: int = 8) -> Tensor:
    """Squared gradient of the middle unit of `layer` for each pixel, (H, W), summed over `images`.

    The channels of the unit are added with random signs, `draws` times, so that they do not
    cancel in the same way each time (after Luo et al., arXiv 1701.04128, section 3). The signs are
    the same in every call.
    """
    images = images.detach().requires_grad_()
    random = torch.Generator().manual_seed(0)
    energy = torch.zeros_like(images[0, 0])
    with torch.enable_grad():
        maps = feature_maps(model, images, layer)[layer]
        unit = maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2]
        for _ in range(draws):
            signs = torch.randint(0, 2, unit.shape[1:], generator=random).to(unit) * 2 - 1
            slope = torch.autograd.grad((unit * signs).sum(), images, retain_graph=True)[0]
            energy += slope.square().sum((0, 1))
    return energy


def share_inside(energy: Tensor, field: ReceptiveField, unit: int, factor: float = 0.5) -> float:
    """Share of `energy` (H, W) inside the middle of the theoretical field of unit number `unit`.

    The square has the middle of the field, and its side times `factor`.
    """
    middle = field.start + unit * field.stride + (field.size - 1) / 2
    half = factor * field.size / 2
    rows, columns = (torch.arange(side, device=energy.device) for side in energy.shape)
    inside = ((rows - middle).abs() <= half)[:, None] & ((columns - middle).abs() <= half)
    return (energy[inside].sum() / energy.sum()).item()


# Helpers ------------------------------------------------------------------------------------------


def _find(model: nn.Module, names: Sequence[str]) -> list[tuple[str, nn.Module]]:
    known = dict(model.named_modules())
    for name in names:
        if name not in known:
            stages = ", ".join(child for child, _ in model.named_children())
            raise ValueError(
                f"{type(model).__name__} has no part {name!r}: its stages are {stages}; a branch "
                'is named like "inception_3a.branch_5x5"'
            )
    return [(name, known[name]) for name in names]

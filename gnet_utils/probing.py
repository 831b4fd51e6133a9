"""Looking inside a network while it works: what flows back, what its parts answer.

Offers `gradient_norms`; `feature_maps`, `branch_names`, `mean_maps` and `ablate` for the parts;
`cam`, `grad_cam`, `enlarge` and `likeness` for places of the picture.

Nothing here changes the network: hooks are taken off again and its mode is restored. Images are
float (N, C, H, W), as `to_float` makes them.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnet_utils.data import MEAN, STD
from gnet_utils.passes import evaluating, hooked

BLACK = -MEAN / STD  # after to_float


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


def enlarge(maps: Tensor) -> Tensor:
    """Maps (N, h, w) at the size of the pictures, (N, 28, 28), bilinear."""
    return F.interpolate(maps[:, None], (28, 28), mode="bilinear", align_corners=False)[:, 0]


def likeness(a: Tensor, b: Tensor) -> Tensor:
    """Correlation of the maps a and b (N, H, W), picture by picture: (N,); 0 where one is flat."""
    a, b = (maps.flatten(1) - maps.flatten(1).mean(1, keepdim=True) for maps in (a, b))
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp_min(1e-12)


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

"""Muon: gradient descent whose steps for convolutions are orthogonal matrices.

A gradient, seen as a matrix (output channels, inputs of one output), has a few large singular
values and many small ones, and plain descent moves along the few. Muon (Keller Jordan, 2024,
https://kellerjordan.github.io/posts/muon) brings the singular values near 1, so that each step
moves along nearly all directions alike. `torch.optim.Muon` is for matrices only; here are
convolutions.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from gnet_utils.models import ConvUnit

# Coefficients of the polynomial a x + b x^3 + c x^5, from the source above, which is applied again
# and again to the singular values, as shares of the matrix's norm. Three times bring those from
# 0.02 on between 0.68 and 1.20, and make the smaller ones about 40 times larger: 0.01 becomes 0.40.
# Five times bring those from 0.003 on there.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Muon for the groups with `orthogonal=True`, SGD with Nesterov momentum for the others.

    An orthogonal group holds weights of convolutions that batch norm follows, as
    `normed_convolutions` finds them: their size does not matter to the network, so it is set to the
    square root of the output channels before each step, and `lr` is the length of the step in
    relation to it. Without batch norm the network would be another one after that.
    """

    def __init__(self, groups: list[dict], lr: float, momentum: float = 0.6):
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": 0.0, "orthogonal": False}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self) -> None:
        """Move all parameters once along their gradients."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state, gradient = self.state[weight], weight.grad
                if group["weight_decay"]:
                    gradient = gradient.add(weight, alpha=group["weight_decay"])
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                momentum = state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)
                ahead = gradient.add(momentum, alpha=group["momentum"])
                if group["orthogonal"]:
                    weight.mul_(len(weight) ** 0.5 / weight.norm().clamp_min(1e-12))
                    ahead = orthogonalised(ahead.reshape(len(ahead), -1))
                weight.add_(ahead.view_as(weight), alpha=-group["lr"])


def orthogonalised(matrix: Tensor, steps: int = 3) -> Tensor:
    """A matrix with the same singular vectors as `matrix` (R, C), singular values near 1.

    Newton and Schulz's iteration: products of matrices alone, no decomposition. How near, and from
    which size on, is said at NEWTON_SCHULZ.
    """
    a, b, c = NEWTON_SCHULZ
    x = matrix / (matrix.norm() + 1e-7)  # no singular value above 1: the iteration needs that
    tall = len(x) > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


def normed_convolutions(net: nn.Module) -> Iterator[nn.Conv2d]:
    """The convolutions of `net` that a batch norm in training mode follows.

    Looked for in each `ConvUnit` and `nn.Sequential`, where the order of layers is the way of the
    pictures; in another module only its `forward` knows.
    """
    for module in net.modules():
        if type(module).forward in (nn.Sequential.forward, ConvUnit.forward):
            for conv, norm in pairwise(module.children()):
                followed = isinstance(norm, nn.BatchNorm2d) and norm.training
                if followed and isinstance(conv, nn.Conv2d) and conv.groups == 1:
                    yield conv

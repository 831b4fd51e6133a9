"""Muon: gradient descent whose steps for convolutions are orthogonal matrices.

A gradient, seen as a matrix (output channels, inputs of one output), has a few large singular
values and many small ones, and plain descent moves along the few. Muon (Keller Jordan, 2024,
https://kellerjordan.github.io/posts/muon) makes all singular values about 1, so that each step
moves along all directions alike. `torch.optim.Muon` is for matrices only; here are convolutions.
"""

import torch
from torch import Tensor

# Coefficients of the polynomial a x + b x^3 + c x^5, from the source above: applied again and
# again to the singular values it brings them all between 0.7 and 1.2, with the fewest steps.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Muon for the groups with `orthogonal=True`, SGD with Nesterov momentum for the others.

    An orthogonal group holds weights of convolutions that batch norm follows: their size does not
    matter to the network, so it is set to the square root of the output channels before each step,
    and `lr` is the length of the step in relation to it.
    """

    def __init__(self, groups: list[dict], lr: float, momentum: float = 0.6, steps: int = 3):
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": 0.0,
            "orthogonal": False,
            "steps": steps,
        }
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
                    weight.mul_(len(weight) ** 0.5 / weight.norm())
                    ahead = orthogonalised(ahead.reshape(len(ahead), -1), group["steps"])
                weight.add_(ahead.view_as(weight), alpha=-group["lr"])


def orthogonalised(matrix: Tensor, steps: int = 3) -> Tensor:
    """A matrix with the same singular vectors as `matrix` (R, C), all singular values about 1.

    Newton and Schulz's iteration: products of matrices alone, no decomposition.
    """
    a, b, c = NEWTON_SCHULZ
    x = matrix / (matrix.norm() + 1e-7)  # no singular value above 1: the iteration needs that
    tall = len(x) > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x

"""Right answers of many forms to notebook 05, and wrong ones with words of what they are told."""

import math
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from answers.forms import Calling, Running, forms
from gnet_utils.data import load_fashion_mnist


class Knows(nn.Module):
    """Gives the labels of the first ten training pictures, as sure as `size` says."""

    def __init__(self, size: float = 9.0, practised: float | None = None):
        super().__init__()
        self.sizes = size, size if practised is None else practised
        self.sharp = nn.Parameter(torch.ones(1))

    def forward(self, images):
        table = F.one_hot(load_fashion_mnist("train")[1][:10], 10)
        return self.sizes[self.training] * self.sharp * table


class WithHeads(Knows):
    """In train mode it gives a tuple, as GoogLeNet does with its heads."""

    def forward(self, images):
        logits = super().forward(images)
        return (logits, logits) if self.training else logits


class FiveClasses(nn.Sequential):
    """A wrong answer: a network whose last layer has the wrong size."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(784, 5))


class Exploded(nn.Sequential):
    """A wrong answer: what a learning rate far too large leaves behind."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(784, 10))
        nn.init.constant_(self[1].bias, math.nan)


class Untrained(nn.Sequential):
    """A wrong answer: the same logits for every picture."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(784, 10))
        nn.init.zeros_(self[1].weight)


def by_adding(steps: int) -> torch.Tensor:
    return torch.linspace(0.001, 10, steps)


def exponents(steps: int) -> torch.Tensor:
    return torch.linspace(-3, 1, steps)


def falling(steps: int) -> torch.Tensor:
    return torch.logspace(1, -3, steps)


def stops_early(steps: int) -> list[float]:
    return [0.001 * 10 ** (4 * step / steps) for step in range(steps)]


RIGHT = {
    "05.mean": [*forms(472 / 520), 0.908, np.float32(0.9077), torch.tensor(0.9077)],
    "05.error": [*forms(0.6), 100 * math.sqrt(0.09 / 2500), torch.tensor(0.6), "0.60"],
    "05.overfit": [
        Knows(),
        Knows().double(),
        Knows().half().eval(),
        Knows(practised=-9.0),
        nn.Sequential(WithHeads()),
        nn.Sequential(nn.Upsample(scale_factor=2), Knows()),
    ],
    "05.time": [*forms(17.578125), 17.6, np.float32(17.58), "17.6"],
    "05.range": [
        lambda steps: torch.logspace(-3, 1, steps),
        partial(torch.logspace, -3, 1),
        partial(np.geomspace, 0.001, 10),
        Calling(lambda steps: [0.001 * 10 ** (4 * step / (steps - 1)) for step in range(steps)]),
        lambda steps: tuple(10 ** torch.linspace(-3, 1, steps)),
        lambda steps: np.float32(np.logspace(-3, 1, steps)),
        lambda steps: torch.linspace(math.log(0.001), math.log(10), steps).exp()[:, None],
    ],
    "05.width": [*forms(4), 4.0, 3.99, torch.tensor(4)],
}

WRONG = {
    "05.mean": [(0.91, "rounded too far"), (0.5, "too small")],
    "05.overfit": [
        (nn.Linear, "not a module made of it"),
        ([0.1, 0.05], "a module is asked for"),
        (FiveClasses(), "ten logits each"),
        (Exploded(), "not finite"),
        (Untrained(), "of the ten"),
        (Knows(practised=9.0, size=-9.0), "batch norm lag behind"),
        (Knows(size=1.0), "not surely"),
        (nn.Conv2d(3, 8, 3), "convolution 1 reads 3 channels, 1 come"),
        (Running(forward=lambda layers, x: (x, x)), "it gives a tuple"),
    ],
    "05.time": [(18, "rounded too far"), ((17, 6), "without a comma")],
    "05.range": [
        (0.1, "a function is asked for"),
        (by_adding, "grows by adding"),
        (exponents, "these are the exponents"),
        (falling, "it falls"),
        (stops_early, "not at 10"),
        (lambda steps: torch.logspace(0.001, 10, steps), "taken as exponents of 10"),
        (lambda steps: torch.linspace(-3, 1, steps).exp(), "raised e to the exponents"),
        (lambda steps: torch.linspace(0.001, 10, steps), "by adding"),
        (lambda steps: (rate for rate in [0.001, 10]), "a list or a tensor"),
    ],
}

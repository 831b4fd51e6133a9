"""Forms in which an answer may come: a number, a callable object, a module."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import torch
from torch import nn


def forms(value: float) -> list:
    """One number as Python, NumPy, PyTorch and text have it."""
    kinds = [value, float(value), str(value), f"{value:,}", Fraction(value), [value]]
    return [*kinds, np.array(value), np.float64(value), torch.tensor(value, dtype=torch.float64)]


class Calling:
    """A callable object around a function."""

    def __init__(self, function: Callable):
        self.function = function

    def __call__(self, *args, **kwargs):
        return self.function(*args, **kwargs)


class AsModule(nn.Module):
    """A module whose forward pass is a function."""

    def __init__(self, function: Callable):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


class Running(nn.Module):
    """A module whose forward pass is a function of its layers and the input."""

    def __init__(self, *layers: nn.Module, forward: Callable):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.run = forward

    def forward(self, x):
        return self.run(self.layers, x)


def used(module: nn.Module, *shape: int) -> nn.Module:
    """The module after training steps: moved statistics, gradients, train mode."""
    for _ in range(5):
        module.train()(torch.randn(2, *shape) * 5 + 9).sum().backward()
    return module

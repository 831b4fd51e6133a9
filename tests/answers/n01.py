"""Right answers of many forms to notebook 01, and wrong ones with words of what they are told."""

from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from answers.forms import Calling, forms
from gnet_utils.exercises.n01 import LUMA, gray_layer, learn


def gray(weights=LUMA, *sizes: int, bias=False) -> nn.Conv2d:
    """A convolution with given weights, from 3 channels to 1 with a window of one pixel."""
    layer = nn.Conv2d(*(sizes or (3, 1, 1)), bias=bias)
    if not sizes:
        layer.weight.data[:] = torch.tensor(weights).view(1, 3, 1, 1)
    return layer


def squares(guess, targets):
    return ((guess - targets) ** 2).mean()


def loop(loss_of=squares, order="clear backward step", optimizer=torch.optim.SGD):
    """The loop that exercise 1.4 asks for, some of its lines made otherwise."""

    def learn(layer, pictures, targets, steps=4000, rate=1.0):
        optimizer_ = optimizer(layer.parameters(), lr=rate)
        losses, path = [], []
        for _ in range(steps):
            path.append(layer.weight.flatten().tolist())
            loss = loss_of(layer(pictures), targets)
            lines = {
                "clear": optimizer_.zero_grad,
                "backward": loss.backward,
                "step": optimizer_.step,
            }
            for line in order.split():
                lines[line]()
            losses.append(loss.item())
        return losses, path

    return learn


def by_hand(layer, pictures, targets, steps=4000, rate=1.0):
    losses, path = [], []
    for _ in range(steps):
        path.append(layer.weight.flatten().tolist())
        loss = F.mse_loss(layer(pictures), targets)
        (slope,) = torch.autograd.grad(loss, [layer.weight])
        layer.weight.data -= rate * slope
        losses.append(loss.item())
    return losses, path


RIGHT = {
    "01.gray": [
        gray_layer(),
        gray((0.299, 0.587, 0.114)),
        gray().double(),
        gray().requires_grad_(False),
    ],
    "01.parameters": forms(18_528),
    "01.reveal": [
        [2, 0, -1],
        np.array([[2, -0.5, -0.5]]),
        torch.tensor([-1.0, 0.0, 2.0], requires_grad=True),
        (np.float32(1.5), 0, Fraction(-1, 2)),
        torch.tensor([2.0, 0, -1], dtype=torch.bfloat16).view(1, 3, 1, 1),
    ],
    "01.learn": [
        learn,
        loop(),
        loop(F.mse_loss),
        loop(order="backward step clear"),
        by_hand,
        Calling(by_hand),
    ],
}

WRONG = {
    "01.gray": [
        (..., "the two places"),
        (gray(LUMA[::-1]), "red and blue are exchanged"),
        (gray((0.587, 0.2989, 0.114)), "another order"),
        (gray((76.2, 149.7, 29.07)), "not to 1"),
        (gray((1 / 3, 1 / 3, 1 / 3)), "all three weights are equal"),
        (gray((0.4, -0.2, 0.1)), "still the random ones"),
        (gray(bias=True), "bias=False"),
        (gray(LUMA, 3, 1, 3), "larger than one pixel"),
        (gray(LUMA, 1, 3, 1), "it goes from 1 to 3"),
        (nn.Linear(3, 1, bias=False), "an nn.Conv2d is asked for"),
        (nn.Conv2d, "add brackets"),
        (LUMA, "a module is asked for"),
    ],
    "01.reveal": [
        ((0.2989, 0.587, 0.114), "weights of luma"),
        ((1 / 3, 1 / 3, 1 / 3), "The mean"),
        ((0, 1, 0), "In green"),
        ((0.5, 0.4, 0.1), "Go further"),
        ((1, 0, 0), "only 100 gray levels apart"),
        ((0.5, 0, 0.5), "you raised both"),
        ((1, -1, 1), "another takes back"),
        ((1, 0, -1), "sum to 0"),
        ((1, 0), "three weights"),
    ],
    "01.learn": [
        (loop(lambda guess, targets: ...), "the four places"),
        (loop(order="backward step"), "clear them in every step"),
        (loop(order="clear step"), "loss.backward() is missing"),
        (loop(order="backward clear step"), "or the gradients are cleared after it"),
        (loop(order="clear backward"), "no step uses them"),
        (loop(order="clear step backward"), "no step uses them"),
        (loop(lambda guess, targets: ((guess - targets) ** 2).sum()), "take their mean"),
        (loop(F.l1_loss), "square it"),
        (loop(lambda guess, targets: (guess - targets).mean()), "plus and minus cancel"),
        (loop(lambda guess, targets: (guess - targets).mean() ** 2), "before the square"),
        (loop(lambda guess, targets: (guess - targets) ** 2), "RuntimeError"),
        (loop(optimizer=torch.optim.Adam), "not those of gradient descent"),
        (lambda *_, **__: None, "should return losses and path"),
        (3, "the function learn is asked for"),
    ],
}

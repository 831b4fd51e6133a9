"""Right answers of many forms to notebook 05, and wrong ones with words of what they are told."""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from answers.forms import Calling, Running
from gnet_utils.data import load_fashion_mnist, to_float
from gnet_utils.experiments import loop
from gnet_utils.experiments.loop import batches
from gnet_utils.training import evaluate


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


SGD = {"momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}


def loop_with(
    order: str = "clear loss backward step schedule",
    schedule: Callable = torch.optim.lr_scheduler.OneCycleLR,
    after: str = "",
    mode: bool = True,
    of: Callable = F.cross_entropy,
    **arguments,
) -> Callable:
    """The loop that exercise 5.2 asks for, its lines in some order, with some schedule."""

    def train(net, data, steps, learning_rate, half=False, look=None):
        optimiser = torch.optim.SGD(net.parameters(), lr=learning_rate, **SGD)
        options = {"max_lr": learning_rate, "total_steps": steps} | arguments
        rates = schedule(optimiser, **options) if schedule else None
        net.train(mode)
        for images, labels in batches(data, steps):
            logits, loss = net(images), ...
            for line in order.split():
                if line == "loss":
                    loss = of(logits, labels)
                elif line == "backward":
                    loss.backward()
                else:
                    DO[line](optimiser, rates)
            if look:
                look(loss)
        if after:
            DO[after](optimiser, rates)

    return train


DO = {
    "clear": lambda optimiser, _: optimiser.zero_grad(),
    "step": lambda optimiser, _: optimiser.step(),
    "schedule": lambda _, rates: rates.step(),
}


def share(net, data, mode=False, grad=False, after=True, of=lambda right: sum(right) / 1030):
    """Right answers in batches of 500, and what `of` makes of them."""
    right = []
    net.train(mode)
    with torch.set_grad_enabled(grad):
        for images, labels in zip(*(part.split(500) for part in data), strict=True):
            right.append((net(to_float(images)).argmax(1) == labels).sum().item())
    net.train(after)
    return of(right)


def stub_of_evaluate(net, data, eval_mode=False):
    net.train(not eval_mode)
    right, counted = 0, ...
    net(to_float(data[0]))
    right += counted
    return right


RIGHT = {
    "05.evaluate": [
        loop.evaluate_plainly,
        share,
        partial(share, of=lambda right: torch.tensor(sum(right) / 1030)),
        Calling(lambda net, data: evaluate(net, data)[1]),
    ],
    "05.loop": [
        loop.train,
        loop_with(),
        loop_with("loss clear backward step schedule"),
        loop_with("loss backward step clear schedule"),
        loop_with(pct_start=0.2, cycle_momentum=False, anneal_strategy="linear"),
        Calling(loop_with()),
    ],
    "05.overfit": [
        Knows(),
        Knows().double(),
        Knows().half().eval(),
        Knows(practised=-9.0),
        nn.Sequential(WithHeads()),
        nn.Sequential(nn.Upsample(scale_factor=2), Knows()),
    ],
}

WRONG = {
    "05.evaluate": [
        (stub_of_evaluate, "the three places"),
        (partial(stub_of_evaluate, eval_mode=True), "how many answers"),
        (partial(share, mode=True), "in train() mode"),
        (partial(share, grad=True), "inside torch.no_grad()"),
        (partial(share, after=False), "still in eval() mode"),
        (partial(share, of=sum), "divide by the number of pictures"),
        (
            partial(share, of=lambda right: (sum(right[:2]) / 500 + right[2] / 30) / 3),
            "mean of the batches' means",
        ),
        (partial(share, of=lambda right: 2 / 1030), "count the right answers, their sum"),
        (partial(share, of=lambda right: 100 * sum(right) / 1030), "in percent"),
        (partial(share, of=lambda right: 1 - sum(right) / 1030), "wrong answers"),
        (partial(share, of=lambda right: None), "it returns nothing"),
        (
            lambda net, data: int((net.eval()(to_float(data[0])).argmax(0) == data[1]).sum()),
            "argmax(1)",
        ),
        (lambda net, data: 0.97, "never asks the network"),
        (0.97, "a function is asked for"),
    ],
    "05.loop": [
        (loop_with("", schedule=None), "the six places"),
        (loop_with("clear step schedule"), "still to fill in: the loss"),
        (loop_with(schedule=lambda *_, **__: ...), "still to fill in: the schedule"),
        (loop_with("loss backward step schedule"), "gradients add up"),
        (loop_with("clear loss step backward schedule"), "the step comes before backward"),
        (loop_with("loss step clear backward schedule"), "the step comes before backward"),
        (loop_with("loss backward clear step schedule"), "cleared between backward and the step"),
        (loop_with("clear loss step schedule"), "no gradient is computed"),
        (loop_with("clear loss backward schedule"), "never makes a step: call its step()"),
        (loop_with("clear loss backward step", schedule=None), "where is the schedule"),
        (loop_with("clear loss backward step"), "once after each batch"),
        (loop_with("clear loss backward step", after="schedule"), "once after each batch"),
        (loop_with(total_steps=800), "total_steps=steps"),
        (loop_with(max_lr=1.0), "max_lr=learning_rate"),
        (loop_with(max_lr=0.1), "max_lr=learning_rate"),
        (loop_with("clear loss backward schedule step"), "comes after optimiser.step()"),
        (loop_with(mode=False), "call net.train()"),
        (
            loop_with(of=lambda logits, labels: F.cross_entropy(logits.softmax(1), labels)),
            "softmax",
        ),
        (
            loop_with(of=lambda logits, labels: logits.square().mean()),
            "not that of the cross-entropy",
        ),
        (loop_with(of=lambda logits, labels: F.cross_entropy(labels, logits)), "logits first"),
        (loop_with(of=nn.CrossEntropyLoss), "F.cross_entropy(logits, labels)"),
        (
            loop_with(schedule=lambda *_, **__: torch.optim.OneCycleLR),
            "torch.optim.lr_scheduler.OneCycleLR",
        ),
        (nn.Linear(3, 3), "a function is asked for"),
    ],
    "05.overfit": [
        (nn.Linear, "not a module made of it"),
        ([0.1, 0.05], "a module is asked for"),
        (FiveClasses(), "ten logits each"),
        (Exploded(), "not finite"),
        (Untrained(), "images[:10] and labels[:10], in one call of train"),
        (Knows(practised=9.0, size=-9.0), "batch norm lag behind"),
        (Knows(size=1.0), "not surely"),
        (nn.Conv2d(3, 8, 3), "convolution 1 reads 3 channels, 1 come"),
        (Running(forward=lambda layers, x: (x, x)), "it gives a tuple"),
    ],
}

"""Exercises and predictions of notebook 05, training on Fashion-MNIST."""

import copy
import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from gnet_utils.data import load_fashion_mnist, to_float
from gnet_utils.exercises import Blank, Exercise, Mistake, Prediction
from gnet_utils.exercises.trials import check_function, filled, named, run
from gnet_utils.experiments import loop

# 05.evaluate --------------------------------------------------------------------------------------


class Tiny(nn.Module):
    """A small network with all that has two modes; it notes how it was asked."""

    def __init__(self, dropout: float = 0.0):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 7, stride=7)
        self.norm = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(64, 10)
        self.modes: list[tuple[bool, bool]] = []  # train mode? gradients kept?

    def forward(self, x: Tensor) -> Tensor:
        self.modes.append((self.training, torch.is_grad_enabled()))
        return self.linear(self.dropout(self.norm(self.conv(x)).relu().flatten(1)))


def tiny_data(count: int) -> loop.Data:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 1, 28, 28), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (count,), generator=generator)
    return images, labels


def tiny_net(dropout: float = 0.0) -> Tiny:
    torch.manual_seed(0)
    return Tiny(dropout)


def judge_evaluate(answer: Any) -> str | None:
    """Whether a function (net, data) gives the share of right answers, in eval mode."""
    check_function(answer)
    net, data = tiny_net(dropout=0.5), tiny_data(1030)
    with torch.no_grad():
        guesses = net.eval()(to_float(data[0])).argmax(1)
    data = data[0], torch.where(torch.arange(1030) < 1000, guesses, (guesses + 1) % 10)
    net.train().modes.clear()
    try:
        share = answer(net, data)
    except TypeError as error:
        if "ellipsis" not in str(error):
            raise
        if net.modes and net.modes[0][0]:  # the stub as it is
            raise Blank("the three places marked ...") from None
        return "still to fill in: how many answers of the batch are right."
    except RuntimeError as error:
        if "(10) must match" not in str(error):
            raise
        return "argmax(0) looks for one picture in each column: argmax(1) answers for each picture."
    if not net.modes:
        return "it never asks the network."
    if any(training for training, _ in net.modes):
        return (
            "the network answers in train() mode, where dropout drops and batch norm uses the "
            "batch: call net.eval() first, with its brackets."
        )
    if any(gradients for _, gradients in net.modes):
        return "it keeps all maps for a gradient: ask inside torch.no_grad()."
    if share is None or share is ...:
        return "it returns nothing: return the share of right answers."
    share = float(share)
    slips = {
        "that is the number of right answers: divide by the number of pictures.": 1000.0,
        "that is the mean of the batches' means: the last batch is small, it counts less.": 2 / 3,
        "that is in percent: give a share between 0 and 1.": 100_000 / 1030,
        "that is the share of wrong answers.": 30 / 1030,
        "no answer is right: argmax() alone gives one place of the whole batch.": 0.0,
        "each batch counts a share, its mean: count the right answers, their sum.": 2 / 1030,
    }
    if slip := named(slips, lambda wrong: abs(share - wrong) <= 1e-3 * wrong):
        return slip
    if abs(share - 1000 / 1030) > 1e-4:
        return f"1,000 of 1,030 answers are right, a share of 0.971; it returns {share:.4g}."
    if not net.training:
        return "afterwards the network is still in eval() mode: training could not go on."
    return None


# 05.loop ------------------------------------------------------------------------------------------

STEPS, RATE = 8, 0.07  # a rate that stands nowhere in the lesson


class Witness:
    """Sees each step of whatever optimiser steps on `net`: its rate and its gradient."""

    def __init__(self, net: Tiny, data: loop.Data):
        self.net, self.data = net, data
        self.rates, self.given, self.wanted = [], [], []
        self.backwards = 0
        net.linear.weight.register_hook(self.backward)

    def backward(self, gradient: Tensor) -> None:
        self.backwards += 1

    def gradient(self, softmax: bool = False) -> Tensor:
        """The gradient that the weights as they are should get from all pictures."""
        twin = copy.deepcopy(self.net).train()
        logits = twin(to_float(self.data[0]))
        loss = F.cross_entropy(logits.softmax(1) if softmax else logits, self.data[1])
        return torch.cat([part.flatten() for part in torch.autograd.grad(loss, twin.parameters())])

    def __call__(self, optimiser: torch.optim.Optimizer, *_: object) -> None:
        parts = [parameter.grad for parameter in self.net.parameters()]
        missing = any(part is None for part in parts)
        self.rates.append(optimiser.param_groups[0]["lr"])
        self.given.append(None if missing else torch.cat([part.flatten() for part in parts]))
        self.wanted.append((self.gradient(), self.gradient(softmax=True)))


STOPS = {  # words of PyTorch's error: the slip that led to it
    "modified by an inplace operation": "the step comes before backward: it changes weights that "
    "the gradient still needs.",
    "not implemented for 'Long'": "cross_entropy takes the logits first, then the labels.",
    "Boolean value of Tensor": "nn.CrossEntropyLoss is a class: F.cross_entropy(logits, labels) "
    "is the function.",
    "has no attribute 'OneCycleLR'": "it is torch.optim.lr_scheduler.OneCycleLR; the lesson has "
    "imported it as OneCycleLR.",
}


def judge_loop(answer: Any) -> str | None:
    """Whether a function trains: at each step the rate and the gradient are the right ones."""
    check_function(answer)
    net, data, looked = tiny_net(), tiny_data(100), []  # one batch an epoch: no order matters
    witness = Witness(net, data)
    hook = register_optimizer_step_pre_hook(witness)
    try:
        with filled(Mistake("still to fill in: the schedule.")), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the verdict says it better
            answer(net, data, STEPS, RATE, look=looked.append)
    except (RuntimeError, AttributeError) as error:
        if slip := next((slip for words, slip in STOPS.items() if words in str(error)), None):
            return slip
        raise
    finally:
        hook.remove()
    if ... in looked:
        if witness.backwards or witness.rates:
            return "still to fill in: the loss."
        raise Blank("the six places marked ...")
    if any(not training for training, _ in net.modes):
        return "the network is in eval() mode: call net.train() before the first batch."
    return _gradients_wrong(witness) or _rates_wrong(witness.rates)


def _gradients_wrong(witness: Witness) -> str | None:
    """What is wrong with the order of the four lines, or with the loss."""
    if not witness.backwards:
        return "no gradient is computed: the loss has a method for that."
    if not witness.rates:
        return "the optimiser never makes a step: call its step(), with the brackets."
    if len(witness.rates) != STEPS:
        return f"{STEPS} steps were asked for, it makes {len(witness.rates)}."
    if all(given is None for given in witness.given):
        if witness.net.linear.weight.grad is None:
            return "the gradient is cleared between backward and the step: nothing is left for it."
        return "the step comes before backward: the gradient it needs is not there yet."
    total = torch.zeros(())
    for given, (wanted, of_softmax) in zip(witness.given, witness.wanted, strict=True):
        if given is None:
            return "the step comes before backward: it has no gradient, or an old one."
        total = total + wanted
        if _same(given, wanted):
            continue
        if _same(given, total):
            return "gradients add up from step to step: call optimiser.zero_grad() in every step."
        if _same(given, of_softmax):
            return "cross_entropy takes the logits as they are: it has a softmax inside."
        return "the gradient is not that of the cross-entropy of this batch's logits and labels."
    return None


def _rates_wrong(rates: list[float]) -> str | None:
    """What is wrong with the learning rates of the steps."""
    highest = max(rates)
    if max(rates) - min(rates) < 1e-6:
        if abs(highest - RATE) < 1e-6:
            return "the learning rate stays the same in all steps: where is the schedule?"
        return (
            f"all {STEPS} steps have the first rate, {highest:.3g}: the schedule steps "
            "once after each batch, inside the loop."
        )
    if not 0.8 * RATE < highest < 1.02 * RATE and rates[-1] < highest:
        return f"the highest rate is {highest:.3g}, asked for was {RATE}: max_lr=learning_rate."
    if highest < 0.8 * RATE or rates[-1] > 0.3 * RATE:
        return (
            f"the rate ends at {rates[-1]:.3g}; it should rise to {RATE} and end near zero after "
            "all steps: total_steps=steps."
        )
    if rates[0] > 0.5 * RATE:
        return (
            f"the first rate is {rates[0]:.3g}: OneCycleLR begins with a small one. "
            "schedule.step() comes after optimiser.step()."
        )
    return None


def _same(given: Tensor, wanted: Tensor) -> bool:
    return (given - wanted).norm() < 1e-3 * wanted.norm()


# 05.overfit ---------------------------------------------------------------------------------------


def judge_overfit(answer: Any) -> str | None:
    """Whether a network knows the first ten training pictures by heart, in eval mode."""
    images, labels = load_fashion_mnist("train")
    batch, labels = to_float(images[:10]), labels[:10]
    logits, _ = run(answer, batch)
    if logits.shape != (10, 10):
        shape = tuple(logits.shape)
        return f"ten pictures should give ten logits each, (10, 10), they give {shape}."
    if not torch.isfinite(logits).all():
        return "its logits are not finite: the learning rate was too large."
    right = int((logits.argmax(1) == labels).sum())
    if right < 10:
        with torch.no_grad():
            practised = answer.train()(batch)
        if torch.equal(practised.argmax(1), labels):
            return (
                f"in train() mode it knows all ten, in eval() mode {right}: the running averages "
                "of batch norm lag behind; take some more steps."
            )
        return (
            f"it knows {right} of the ten. Give the network itself; train it on images[:10] and "
            "labels[:10], in one call of train with all 60 steps."
        )
    loss = F.cross_entropy(logits, labels).item()
    if loss > 0.1:
        return (
            f"all ten are right, but not surely: the loss is {loss:.2f}. 60 steps with the rate "
            "0.05 bring it below 0.1."
        )
    return None


# The table ----------------------------------------------------------------------------------------

EXERCISES = {
    "evaluate": Exercise(
        judge_evaluate,
        right="eval mode, no gradients, right answers by pictures, and train mode afterwards.",
        hints=[
            "Two blanks are about the mode of the network; the third one counts.",
            "logits.argmax(1) is the answer for each picture: compare it with the labels, and sum.",
            "(torch.tensor([3, 1, 4]) == torch.tensor([3, 1, 5])).sum().item() is 2. A dropout "
            "layer is switched off by dropout.eval() and on again by dropout.train().",
        ],
        course=lambda: loop.evaluate_plainly,
    ),
    "loop": Exercise(
        judge_loop,
        right="in each of its steps the gradient and the learning rate are the right ones.",
        hints=[
            "schedule and loss are results of calls, OneCycleLR(...) and F.cross_entropy(...). The "
            "other four are calls alone: of the optimiser, the loss and the schedule.",
            "The optimiser can forget the gradients: before backward. Both optimiser and schedule "
            "have a step(); OneCycleLR wants the optimiser, max_lr and total_steps; it then "
            "sets the momentum too.",
            "For one weight w: optimiser.zero_grad(); error = F.mse_loss(w * 2, target); "
            "error.backward(); optimiser.step(). Another schedule: StepLR(optimiser, 10), then "
            "schedule.step() after each step of the optimiser.",
        ],
        course=lambda: loop.train,
    ),
    "overfit": Exercise(
        judge=judge_overfit,
        right="it knows all ten by heart, so the loop and the gradients work.",
        hints=[
            "Make the network, then call train on ten pictures; `answer` is the network.",
            "images[:10], labels[:10] is the data. Each step shows all ten.",
            "Five pictures and a wider net: train(wide, (images[:5], labels[:5]), steps=80, "
            "learning_rate=0.02).",
        ],
    ),
}

PREDICTIONS = {
    "first_loss": Prediction(
        options=("0", "about 0.1", "about 0.9", "about 2.3"),
        right=3,
        because="Who gives each of ten classes a tenth has the loss ln 10, about 2.303; the first "
        "logits are not all equal, so it is a little more.",
    ),
    "twice": Prediction(
        options=("the same as after once", "twice as much", "zero"),
        right=1,
        because="backward adds to what lies in .grad; only zero_grad takes it away.",
    ),
    "rate": Prediction(
        options=("0.01 or 0.03", "0.1 or 0.3", "1"),
        right=1,
        because="0.01 is too slow for half an epoch; with 1 the loss falls first, then lags.",
    ),
    "hardest": Prediction(
        options=("Coat", "Pullover", "Shirt", "T-shirt/top"),
        right=2,
        because="Shirts are taken for all three others: see the row of Shirt in the matrix.",
        held=(1, 2, 3),
    ),
}

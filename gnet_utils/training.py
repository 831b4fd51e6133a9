"""Training: `train_epoch`, the loop of the whole course, and `fit`, which stands around it.

Data are pairs (images, labels): uint8 (N, 1 or 3, H, W) and int64 (N,), on the device of the
network, where they stay; a batch is cut out of them, normalised and augmented there. What does not
fit into memory comes as a DataLoader. How a network is asked is in evaluation.py, what is kept of a
run in runs.py.
"""

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from datetime import date
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gnet_utils import augment, parallel
from gnet_utils.base import Timer, is_quick  # noqa: F401 - for notebooks
from gnet_utils.evaluation import (
    Data,
    answers_of,
    as_float,
    check_data,
    classes_of,
    evaluate,
    in_layout,
    no_better_than_guessing,
    resized,
)
from gnet_utils.live import Progress
from gnet_utils.models import fused
from gnet_utils.passes import graphed, has_graphs, leaves_as_found
from gnet_utils.recipes import Recipe, get_recipe, learning_rate, optimiser_of
from gnet_utils.runs import (  # noqa: F401 - notebooks have load_trained from here
    History,
    fingerprint,
    load_state,
    load_trained,
    restore,
    save_state,
    snapshot,
    this_machine,
)

BY_HAND = "stopped by hand"  # how History.stopped begins after the stop button
QUICK_STEPS = 12  # with GNET_QUICK a run ends after so many steps
# Steps between two looks at loss and accuracy: to look, a GPU has to be waited for. With batches of
# 1,024 an epoch has 58 steps, so it is looked at once, at the end.
LOOK_EVERY = {"cpu": 1}
HEAD_WEIGHT = 0.3  # of the loss of each auxiliary head (arXiv 1409.4842, section 5)


def train_epoch(
    net: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    rates: Iterable[float],
    optimiser: torch.optim.Optimizer,
    *,
    prepare: Callable[[Tensor], Tensor],
    label_smoothing: float = 0.0,
    head_weight: float = HEAD_WEIGHT,
    half: bool = False,
    classes: int = 1,
) -> Iterator[tuple[list[Tensor], Tensor, Tensor]]:
    """Train `net` on one batch after the other: the loop of the whole course.

    Yields (losses, logits, labels) between `backward` and the step, when the gradients lie in the
    weights and can be looked at; the step is made when the next batch is asked for.

    batches, rates: (images, labels) of each step, uint8 (B, C, H, W) and int64 (B,), and its
        learning rate; `cut` makes such batches.
    prepare: makes of uint8 images what the network reads: to float, augmented, resized.
    losses: the last head's loss, then those of the auxiliary heads, which count `head_weight`.
    half: compute the forward pass in bfloat16.
    classes: how many logits the network must give; ValueError for fewer.
    """
    for (images, labels), rate in zip(batches, rates, strict=True):
        pictures = prepare(images)
        for group in optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
            heads = answers_of(net(pictures), classes)
        losses = [
            F.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)
            for logits in heads
        ]
        optimiser.zero_grad()
        (losses[0] + head_weight * sum(losses[1:])).backward()
        yield losses, heads[0], labels
        optimiser.step()


def cut(data: tuple[Tensor, Tensor], batches: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """(images, labels) of each batch, of which `batches` has the rows, (B,)."""
    return ((data[0][rows], data[1][rows]) for rows in batches)


@leaves_as_found
def fit(
    model: nn.Module,
    train: Data,
    val: Data | None,
    recipe: Recipe | str,
    *,
    seed: int = 0,
    progress: bool = True,
    state: str | os.PathLike | None = None,
    after_epoch: Callable[[History], None] | None = None,
) -> History:
    """Train `model` in place by `recipe` and return what happened.

    model: gives logits (N, classes), or with auxiliary heads a `GoogLeNetOutput`; each head's loss
        then counts HEAD_WEIGHT. Parts in eval mode stay so when the model itself is in train mode;
        a model in eval mode is trained whole.
    train, val: (images, labels) on the model's device, or a DataLoader, whose batch size then
        counts in place of the recipe's; val may be None. Pictures are resized to the recipe's
        `picture_size`.
    seed: of batch order, augmentation and dropout; on a CPU the same seed repeats exactly. The
        caller's own random numbers go on after `fit` as if it had drawn none.
    state: a file that keeps everything after each epoch; when it exists, training goes on from it,
        and ends with the same weights as without the interruption.
    after_epoch: called with the history after each epoch, when `model` has the weights so far.

    The stop button ends training cleanly: the weights learned so far are in `model`, and
    `history.stopped` says so. So does a loss that is no longer a number; the weights are then
    those after the last good epoch. With `progress`, a run that ends at guessing says that too.
    Raises ValueError for data or a recipe that cannot work and for a state that belongs to another
    run, CourseError for one that cannot be read.
    """
    recipe = get_recipe(recipe) if isinstance(recipe, str) else recipe
    classes = _checked(model, train, val)
    loads, device = isinstance(train, DataLoader), next(model.parameters()).device
    batch_size = train.batch_size if loads else min(recipe.batch_size, len(train[0]))
    parallel.check_share(batch_size)
    epoch_steps = len(train) if loads else len(train[0]) // batch_size
    if is_quick():
        recipe = replace(recipe, epochs=min(recipe.epochs, QUICK_STEPS / epoch_steps))
    total = max(1, round(recipe.epochs * epoch_steps))

    net = _in_fast_form(model, recipe)
    optimiser, shared = optimiser_of(net, recipe), parallel.shared(net)
    history = History(
        recipe=asdict(recipe),
        seed=seed,
        parameters=sum(p.numel() for p in model.parameters()),
        machine=parallel.gathered(this_machine(device))[0],
        date=date.today().isoformat(),
    )
    if state is not None:
        pictures = [len(train.dataset)] if loads else fingerprint(train)
        history = load_state(state, net, optimiser, history, pictures)
        parallel.agree(len(history.epochs), "numbers of epochs to go on from")
    good = snapshot(net, optimiser)  # to go back to when the loss goes astray

    def bring_back() -> None:
        if recipe.merged:
            fused.unmerge_into(net, model)

    half = recipe.precision == "auto" and history.machine["bfloat16"]
    if recipe.cuda_graph and not loads and has_graphs(device) and parallel.world() == 1:
        shared = graphed(net, _prepared(train[0][:batch_size], recipe), half)
    leads = parallel.rank() == 0
    done = min(len(history.epochs) * epoch_steps, total)
    with Progress(total, epoch_steps, done, bar=progress and leads) as shown:
        try:
            for epoch in range(len(history.epochs), shown.epochs):
                steps = range(shown.done, min(shown.done + epoch_steps, total))
                shown.epoch(epoch + 1)
                watch = _Watch(history, shown, last=steps.stop)
                for losses, logits, labels in train_epoch(
                    shared,
                    _batches(train, batch_size, seed, epoch, len(steps), device),
                    [learning_rate(recipe, step, total) for step in steps],
                    optimiser,
                    prepare=lambda images: _prepared(images, recipe),
                    label_smoothing=recipe.label_smoothing,
                    half=half,
                    classes=classes,
                ):
                    watch.step(losses[0], logits, labels)
                watch.end_epoch(net, val)
                good = snapshot(net, optimiser)
                if state is not None and leads:
                    save_state(state, good, history, pictures)
                if after_epoch is not None:
                    bring_back()
                    after_epoch(history)
        except KeyboardInterrupt:
            history.stopped = f"{BY_HAND} after {shown.done} of {total} steps"
        except FloatingPointError as error:
            history.stopped = str(error)
            restore(good, net, optimiser)
    bring_back()
    if progress and leads:
        if history.stopped:
            print(f"Training ended early: {history.stopped}.")
        elif not loads and (words := no_better_than_guessing(history, net, train[1], total)):
            print(words)
    return history


# What `fit` stands on ---------------------------------------------------------------------------


def _checked(model: nn.Module, train: Data, val: Data | None) -> int:
    """How many classes the labels ask for; ValueError where network or data cannot work."""
    if next(model.parameters(), None) is None:
        raise ValueError(f"model has no weights to train, got {type(model).__name__}")
    check_data(train, "train", fewest=2)
    if val is not None:
        check_data(val, "val")
    return max(classes_of(data) for data in (train, val) if data is not None)


def _in_fast_form(model: nn.Module, recipe: Recipe) -> nn.Module:
    """What is trained in place of `model`; `fused.unmerge_into` brings its weights back."""
    net = fused.merge(model) if recipe.merged else model
    if not model.training:
        net.train()
    return net.to(memory_format=torch.channels_last) if recipe.channels_last else net


def _batches(
    train: Data, batch_size: int, seed: int, epoch: int, steps: int, device: torch.device
) -> Iterable[tuple[Tensor, Tensor]]:
    """(images, labels) of each step of an epoch; of several processes, this one's share of each.

    One seed for each epoch: a run that was cut off between epochs repeats exactly.
    """
    chance, rank = 1_000_003 * seed + epoch, parallel.rank()
    torch.manual_seed(chance)
    if isinstance(train, DataLoader):  # it shuffles by itself
        loaded = islice(train, steps)
        return ((images.to(device), labels.to(device)) for images, labels in loaded)
    order = torch.randperm(len(train[0])).to(device)
    if rank:  # the same order in all processes, augmentation of its own in each
        torch.manual_seed(chance + 7919 * rank)
    batches = order.split(batch_size)[:steps]
    return cut(train, [rows[rank :: parallel.world()] for rows in batches])


def _prepared(images: Tensor, recipe: Recipe) -> Tensor:
    """What a network reads of a batch: float, augmented and resized as the recipe says."""
    batch = as_float(images)
    if recipe.mirror:
        batch = augment.random_mirror(batch)
    if recipe.shift:
        batch = augment.random_shift(batch, recipe.shift)
    if recipe.erase:
        batch = augment.random_erase(batch, recipe.erase)
    batch = resized(batch, recipe.picture_size)
    return in_layout(batch) if recipe.channels_last else batch


class _Watch:
    """Loss and accuracy of one epoch while it lasts, for the record and for who looks on.

    Raises FloatingPointError, in all processes, when a number goes astray in one of them.
    last: step that ends the epoch, counted from 1.
    """

    def __init__(self, history: History, shown: Progress, last: int):
        self.history, self.shown, self.last = history, shown, last
        self.loss = self.right = self.pictures = 0.0  # sums over the epoch so far
        self.unseen = []  # what was not looked at yet: (loss, right answers, pictures) of a step
        self.began = time.perf_counter() - history.seconds

    def step(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count a step; look at it, and those before it, when it is time."""
        self.shown.step()
        self.unseen.append((loss.detach(), (logits.argmax(1) == labels).sum(), len(labels)))
        every = LOOK_EVERY.get(loss.device.type, 58)
        if self.shown.done == self.last or len(self.unseen) == every:
            self.look()

    def look(self) -> None:
        losses, rights, counts = zip(*self.unseen, strict=True)
        numbers = torch.stack(losses).tolist(), torch.stack(rights).tolist(), counts
        first, every = self.shown.done - len(counts) + 1, max(1, self.shown.total // 300)
        self.unseen, astray = [], ""
        for step, (loss, right, count) in enumerate(zip(*numbers, strict=True), first):
            if not math.isfinite(loss):
                astray = f"the loss became {loss} at step {step}"
                break
            self.loss += loss * count
            self.right += right
            self.pictures += count
            if step % every == 0:
                self.history.losses.append([step, round(loss, 4)])
        self.stop_if(astray)
        self.history.seconds = time.perf_counter() - self.began
        self.shown.look(self.loss / self.pictures, self.right / self.pictures)

    def end_epoch(self, net: nn.Module, val: Data | None) -> None:
        """Note the epoch in the record, when the last step is made."""
        history, state = self.history, net.state_dict()
        # The loss was that of the weights before the last step: look at those after it. A GPU is
        # waited for here, so the seconds are those of the last step too.
        finite = torch.stack([tensor.isfinite().all() for tensor in state.values()]).tolist()
        history.seconds = time.perf_counter() - self.began
        astray = [name for name, good in zip(state, finite, strict=True) if not good]
        where = f"after step {self.shown.done}"
        self.stop_if(f"{astray[0]} is no longer finite {where}" if astray else "")
        sums = parallel.gathered([self.loss, self.right, self.pictures])
        loss, right, pictures = map(sum, zip(*sums, strict=True))
        entry = {
            "epoch": len(history.epochs) + 1,
            "train_loss": round(loss / pictures, 5),
            "train_accuracy": round(right / pictures, 5),
            "seconds": round(history.seconds, 2),
        }
        if val is not None:
            loss, share = evaluate(net, val, picture_size=history.recipe["picture_size"])
            entry |= {"val_loss": round(loss, 5), "val_accuracy": round(share, 5)}
        history.epochs.append(entry)

    def stop_if(self, astray: str) -> None:
        if words := next(filter(None, parallel.gathered(astray)), ""):
            raise FloatingPointError(
                f"{words} of {self.shown.total}; the weights are those after epoch "
                f"{len(self.history.epochs)}; try a smaller learning rate than "
                f"{self.history.recipe['learning_rate']:g}"
            )

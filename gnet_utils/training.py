"""Training: the loop of notebook 05 with what a long run needs around it.

Offers `train_epoch`, `fit`, `evaluate`, `accuracy`, `Timer` and `Accumulator`; records and stored
networks are in runs.py. Data are pairs (images, labels): uint8 (N, 1, 28, 28) and
int64 (N,), on the device of the network, where they stay; a batch is cut out of them, normalised
and augmented there.
"""

import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from datetime import date
from functools import cache, wraps
from pathlib import Path
from typing import Any

import safetensors
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from gnet_utils import augment
from gnet_utils.base import CourseError, UsageError, is_quick, written_aside
from gnet_utils.course import parallel
from gnet_utils.data import to_float
from gnet_utils.live import Progress
from gnet_utils.models import fused
from gnet_utils.muon import Muon, normed_convolutions
from gnet_utils.passes import evaluating
from gnet_utils.recipes import Recipe, get_recipe, other_settings
from gnet_utils.runs import (  # noqa: F401 - notebooks import some of them from here
    CHECKPOINTS,
    UNREADABLE,
    History,
    load_checkpoint,
    load_trained,
    misfit_of,
    save_checkpoint,
    smooth,
)

Data = tuple[Tensor, Tensor]

BY_HAND = "stopped by hand"  # how History.stopped begins after the stop button
QUICK_STEPS = 12  # with GNET_QUICK a run ends after so many steps
# Steps between two looks at loss and accuracy: to look, a GPU has to be waited for.
LOOK_EVERY = {"cuda": 20, "cpu": 1}
HEAD_WEIGHT = 0.3  # of the loss of each auxiliary head (arXiv 1409.4842, section 5)


# Small tools ------------------------------------------------------------------------------------


class Timer:
    """Counts seconds: `with Timer() as timer: ...`, then `timer.seconds`."""

    def __enter__(self) -> "Timer":
        self.start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self.start


class Accumulator:
    """Adds up several numbers side by side: `sums.add(2, 10)`, then `sums[0] / sums[1]`."""

    def __init__(self, count: int):
        self.totals = [0.0] * count

    def add(self, *values: float) -> None:
        self.totals = [total + value for total, value in zip(self.totals, values, strict=True)]

    def __getitem__(self, index: int) -> float:
        return self.totals[index]


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of pictures whose largest logit is that of the right class.

    logits (N, classes), labels (N,).
    """
    return (logits.argmax(1) == labels).float().mean().item()


@torch.no_grad()
def evaluate(
    model: nn.Module,
    data: Data,
    *,
    views: int = 1,
    picture_size: int = 28,
    batch_size: int = 250,
) -> tuple[float, float]:
    """Mean loss and accuracy of `model` on (images, labels), in eval mode and float32.

    views: how many copies of each picture (`augment.views`), probabilities averaged.
    Afterwards each part of the model is in its own mode again. Raises ValueError for data of
    another form, a number of views that does not exist, and a model with too few classes.
    """
    check_data(data, "data")
    sums, classes = Accumulator(3), 1 + int(data[1].max())
    with evaluating(model):
        for images, labels in zip(*(part.split(batch_size) for part in data), strict=True):
            batch = resized(to_float(images), picture_size)
            shown = augment.views(batch, views)
            answers = (answers_of(model(in_layout(view)), classes)[0] for view in shown)
            odds = sum(logits.softmax(1) for logits in answers) / views
            loss = F.nll_loss(odds.clamp_min(1e-12).log(), labels, reduction="sum")
            sums.add(loss.item(), accuracy(odds, labels) * len(labels), len(labels))
    return sums[0] / sums[2], sums[1] / sums[2]


def answers_of(output: Any, classes: int) -> list[Tensor]:
    """The logits that a model gave, and after them those of its auxiliary heads, if it has any.

    output: logits (N, classes), or a named tuple of such that begins with `logits`, as GoogLeNet
        gives in `train()`, torchvision's too. Raises ValueError for another form.
    """
    headed = getattr(output, "_fields", ())[:1] == ("logits",)
    answers = [part for part in output if part is not None] if headed else [output]
    for logits in answers:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        if not (isinstance(logits, Tensor) and len(shape) == 2 and shape[1] >= classes):
            raise ValueError(
                f"model must give (N, {classes}) logits or more for labels up to {classes - 1}, "
                f"got {shape}"
            )
    return answers


def this_machine(device: torch.device) -> dict:
    """Versions and hardware, for the record of a run."""
    processor = getattr(torch.cpu, "get_capabilities", dict)().get("cpu_name")
    name = processor or platform.machine()
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": device.type,
        "name": torch.cuda.get_device_name(device) if device.type == "cuda" else name,
        "bfloat16": bfloat16_is_fast(device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": parallel.world(),
    }


# The loop ---------------------------------------------------------------------------------------


def train_epoch(
    net: nn.Module,
    data: Data,
    batches: Iterable[Tensor],
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

    data: uint8 images (N, 1, 28, 28) and labels (N,).
    batches, rates: which pictures each batch has, (B,), and the learning rate of its step.
    prepare: makes of uint8 images what the network reads: to float, augmented, resized.
    losses: the last head's loss, then those of the auxiliary heads, which count `head_weight`.
    half: compute the forward pass in bfloat16.
    classes: how many logits the network must give; ValueError for fewer.
    """
    images, labels = data
    for rows, rate in zip(batches, rates, strict=True):
        batch, answers = prepare(images[rows]), labels[rows]
        for group in optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
            heads = answers_of(net(batch), classes)
        losses = [
            F.cross_entropy(logits.float(), answers, label_smoothing=label_smoothing)
            for logits in heads
        ]
        optimiser.zero_grad()
        (losses[0] + head_weight * sum(losses[1:])).backward()
        yield losses, heads[0], answers
        optimiser.step()


def shuffled(count: int, batch_size: int, steps: int, seed: int) -> Iterator[Tensor]:
    """Rows of `steps` batches: all `count` pictures in a new order, again and again."""
    generator = torch.Generator().manual_seed(seed)
    while steps > 0:
        for rows in torch.randperm(count, generator=generator).split(batch_size)[:steps]:
            steps -= 1
            yield rows


def _gives_back(train_by: Callable[..., "History"]) -> Callable[..., "History"]:
    """`fit` so that the caller finds the random state, modes and memory layout as they were."""

    @wraps(train_by)
    def wrapped(model: nn.Module, *arguments: Any, **options: Any) -> "History":
        plain = [parameter for parameter in model.parameters() if parameter.is_contiguous()]
        gpus = {p.device for p in model.parameters() if p.device.type == "cuda"}
        modes = [(module, module.training) for module in model.modules()]
        with torch.random.fork_rng(gpus):
            try:
                return train_by(model, *arguments, **options)
            finally:
                for module, training in modes:
                    module.training = training
                for parameter in plain:
                    parameter.data = parameter.data.contiguous()

    return wrapped


@_gives_back
def fit(
    model: nn.Module,
    train: Data,
    val: Data | None,
    recipe: Recipe | str,
    *,
    seed: int = 0,
    progress: bool = True,
    live_plot: bool = False,
    state: str | os.PathLike | None = None,
    after_epoch: Callable[[History], None] | None = None,
) -> History:
    """Train `model` in place by `recipe` and return what happened.

    model: gives logits (N, classes), or with auxiliary heads a `GoogLeNetOutput`; each head's loss
        then counts HEAD_WEIGHT. Parts in eval mode stay so when the model itself is in train mode;
        a model in eval mode is trained whole.
    train, val: (images, labels) on the model's device; val may be None.
    seed: of batch order, augmentation and dropout; on a CPU the same seed repeats exactly. The
        caller's own random numbers go on after `fit` as if it had drawn none.
    live_plot: draw loss and accuracy while training, in a notebook.
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
    first = next(model.parameters(), None)
    if first is None:
        raise ValueError(f"model has no weights to train, got {type(model).__name__}")
    device = first.device
    check_data(train, "train", device, fewest=2)
    if val is not None:
        check_data(val, "val", device)
    run = _Run(model, train, val, recipe, seed, device)
    if state is not None:
        run.load(Path(state))
        parallel.agree(run.step, "numbers of steps to go on from")
    bar = progress and run.rank == 0
    shown = Progress(
        run.history, run.total_steps, run.epochs, done=run.step, bar=bar, plot=live_plot
    )
    with shown:
        try:
            while run.step < run.total_steps:
                shown.epoch(run.epoch + 1)
                run.one_epoch(shown)
                if state is not None and run.rank == 0:
                    try:
                        run.save(Path(state))
                    except (OSError, safetensors.SafetensorError) as error:
                        print(
                            f"{state} cannot be written ({error}): training goes on, but could not "
                            "be resumed from here.",
                            file=sys.stderr,
                        )
                if after_epoch is not None:
                    run.bring_back()
                    after_epoch(run.history)
        except KeyboardInterrupt:
            run.stopped = f"{BY_HAND} after {run.step} of {run.total_steps} steps"
        except FloatingPointError as error:
            run.stopped = str(error)
            run.restore()
    run.history.stopped = run.stopped
    run.bring_back()
    if progress and run.rank == 0:
        if run.stopped:
            print(f"Training ended early: {run.stopped}.")
        elif words := run.guessing():
            print(words)
    return run.history


class _Run:
    """One training run: the network in its fast form, the optimiser, and where it stands."""

    def __init__(self, model, train, val, recipe, seed, device):
        self.model, self.train, self.val = model, train, val
        self.recipe, self.seed, self.device = recipe, seed, device
        count = len(train[0])
        self.classes = 1 + max(int(data[1].max()) for data in (train, val) if data is not None)
        self.batch_size = min(recipe.batch_size, count)
        self.epoch_steps = count // self.batch_size
        self.total_steps = max(1, round(recipe.epochs * self.epoch_steps))
        if is_quick() and self.total_steps > QUICK_STEPS:
            self.total_steps = QUICK_STEPS
            recipe = self.recipe = replace(recipe, epochs=QUICK_STEPS / self.epoch_steps)
        self.epochs = math.ceil(self.total_steps / self.epoch_steps)
        self.step = self.epoch = 0
        self.stopped = ""

        self.net = fused.merge(model) if recipe.merged else model
        if not model.training:
            self.net.train()
        if recipe.channels_last:
            self.net.to(memory_format=torch.channels_last)
        self.optimiser = optimiser_of(self.net, recipe)
        self.shared = parallel.shared(self.net)
        self.rank, self.world = parallel.rank(), parallel.world()
        if self.world > 1 and self.batch_size < 2 * self.world:
            raise UsageError(
                f"batch_size {self.batch_size} is too small for {self.world} processes: batch norm "
                "needs 2 pictures or more in each"
            )
        self.history = History(
            recipe=asdict(recipe),
            seed=seed,
            parameters=sum(p.numel() for p in model.parameters()),
            machine=parallel.broadcast(this_machine(device)),
            date=date.today().isoformat(),
        )
        self.good = self.snapshot()

    def one_epoch(self, shown: Progress) -> None:
        recipe, sums, unseen = self.recipe, Accumulator(3), []
        # One seed for each epoch: a run that was cut off between epochs repeats exactly.
        torch.manual_seed(1_000_003 * self.seed + self.epoch)
        order = torch.randperm(len(self.train[0])).to(self.device)
        if self.rank:  # the same order in all processes, augmentation of its own in each
            torch.manual_seed(1_000_003 * self.seed + self.epoch + 7919 * self.rank)
        steps = min(self.epoch_steps, self.total_steps - self.step)
        last = self.step + steps
        began, earlier = time.perf_counter(), self.history.seconds
        batches = (b[self.rank :: self.world] for b in order.split(self.batch_size)[:steps])
        rates = (learning_rate(recipe, k, self.total_steps) for k in range(self.step, last))
        training = train_epoch(
            self.shared,
            self.train,
            batches,
            rates,
            self.optimiser,
            prepare=self.augmented,
            label_smoothing=recipe.label_smoothing,
            half=recipe.precision == "auto" and self.history.machine["bfloat16"],
            classes=self.classes,
        )
        for losses, logits, labels in training:
            self.step += 1
            shown.step()
            unseen.append((losses[0].detach(), (logits.argmax(1) == labels).sum(), len(labels)))
            if self.step == last or len(unseen) == LOOK_EVERY.get(self.device.type, 1):
                self.look(unseen, sums)
                self.history.seconds = earlier + time.perf_counter() - began
                passes = self.step / self.epoch_steps
                shown.look(passes, sums[0] / sums[2], sums[1] / sums[2])
        self.history.seconds = earlier + time.perf_counter() - began  # with the last step
        # The loss was that of the weights before the last step: look at those after it.
        astray = [name for name, t in self.net.state_dict().items() if not t.isfinite().all()]
        self.stop_if(f"{astray[0]} is no longer finite after step {self.step}" if astray else "")
        totals = parallel.summed(sums.totals)
        self.epoch += 1
        entry = {
            "epoch": self.epoch,
            "train_loss": round(totals[0] / totals[2], 5),
            "train_accuracy": round(totals[1] / totals[2], 5),
            "seconds": round(self.history.seconds, 2),
        }
        if self.val is not None:
            loss, share = evaluate(self.net, self.val, picture_size=recipe.picture_size)
            entry |= {"val_loss": round(loss, 5), "val_accuracy": round(share, 5)}
        self.history.epochs.append(entry)
        self.good = self.snapshot()

    def stop_if(self, astray: str) -> None:
        """Raise FloatingPointError, in all processes, when one of them says what went astray."""
        words = next(filter(None, parallel.gathered(astray)), "")
        if words:
            raise FloatingPointError(
                f"{words} of {self.total_steps}; the weights are those after epoch {self.epoch}; "
                f"try a smaller learning rate than {self.recipe.learning_rate:g}"
            )

    def guessing(self) -> str:
        """That the run ended no better than a guess, with the likeliest cause; else "".

        A guess gives each class its share of the training pictures, whatever the picture shows.
        """
        shares = self.train[1].bincount() / len(self.train[1])
        guess = -(shares[shares > 0] * shares[shares > 0].log()).sum().item()
        losses = [loss for _, loss in self.history.losses]
        end = losses[-max(5, len(losses) // 10) :]
        end = sum(end) / len(end)
        if not guess or end < 0.99 * guess:
            return ""
        rate = self.recipe.learning_rate
        if max(losses) > 2 * max(losses[0], guess) or min(smooth(losses)) < 0.9 * guess:
            cause = f"the learning rate {rate:g} is too large, try a tenth of it"
        elif not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in self.net.modules()):
            cause = "a deep network without batch norm starts like this, give it batch norm"
        else:
            cause = f"{self.step} steps are too few, or the labels do not belong to the pictures"
        return (
            f"The network is no better than a guess: its loss ends at {end:.3g}, and guessing "
            f"without a look at the picture has {guess:.3g}. The likeliest cause: {cause}."
        )

    def look(self, unseen: list[tuple[Tensor, Tensor, int]], sums: Accumulator) -> None:
        """Count the steps in `unseen` (loss, right answers, pictures), note losses, empty it."""
        values = torch.stack([loss for loss, _, _ in unseen]).tolist()
        rights = torch.stack([right for _, right, _ in unseen]).tolist()
        counts = [count for _, _, count in unseen]
        first, every = self.step - len(unseen) + 1, max(1, self.total_steps // 300)
        unseen.clear()
        astray = ""
        for step, value, right, count in zip(
            range(first, self.step + 1), values, rights, counts, strict=True
        ):
            if not math.isfinite(value):
                astray = f"the loss became {value} at step {step}"
                break
            sums.add(value * count, right, count)
            if step % every == 0:
                self.history.losses.append([step, round(value, 4)])
        self.stop_if(astray)

    def augmented(self, images: Tensor) -> Tensor:
        recipe, batch = self.recipe, to_float(images)
        if recipe.mirror:
            batch = augment.random_mirror(batch)
        if recipe.shift:
            batch = augment.random_shift(batch, recipe.shift)
        if recipe.erase:
            batch = augment.random_erase(batch, recipe.erase)
        batch = resized(batch, recipe.picture_size)
        return in_layout(batch) if recipe.channels_last else batch

    def bring_back(self) -> None:
        """Bring what was learned so far into the caller's network."""
        if self.recipe.merged:
            fused.unmerge_into(self.net, self.model)

    def snapshot(self) -> dict[str, Tensor]:
        """Copies of all numbers of the run: weights, running statistics, momentum."""
        tensors = {f"net.{k}": v for k, v in self.net.state_dict().items()}
        for index, parameter in enumerate(self._parameters()):
            momentum = self.optimiser.state[parameter].get("momentum_buffer")
            if momentum is not None:
                tensors[f"momentum.{index}"] = momentum
        return {name: tensor.detach().clone() for name, tensor in tensors.items()}

    def restore(self, tensors: dict[str, Tensor] | None = None) -> None:
        tensors = self.good if tensors is None else tensors

        def part(prefix):
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        self.net.load_state_dict(part("net."))
        for index, momentum in part("momentum.").items():
            parameter = self._parameters()[int(index)]
            kept = torch.empty_like(parameter).copy_(momentum)  # in the layout of its weight
            self.optimiser.state[parameter]["momentum_buffer"] = kept

    def _parameters(self) -> list[nn.Parameter]:
        return [p for group in self.optimiser.param_groups for p in group["params"]]

    def fingerprint(self) -> list[int]:
        """Tells one set of training pictures from another, such as the stand-in from the real."""
        images, labels = self.train
        return [len(images), int(images.sum()), int(labels.sum())]

    def save(self, path: Path) -> None:
        place = {"step": self.step, "epoch": self.epoch, "data": self.fingerprint()}
        place["history"] = asdict(self.history)
        tensors = {name: tensor.contiguous() for name, tensor in self.good.items()}
        with written_aside(path) as aside:
            save_file(tensors, aside, metadata={"run": json.dumps(place)})

    def load(self, path: Path) -> None:
        if not path.exists():
            return
        unfit = f"{path} does not hold the state of a run"
        net = {f"net.{name}": tensor for name, tensor in self.net.state_dict().items()}
        momentum = {f"momentum.{index}": p for index, p in enumerate(self._parameters())}
        try:
            with safetensors.safe_open(path, "pt", device=str(self.device)) as file:
                place = json.loads(file.metadata()["run"])
                history = History.of(place["history"])
                step, epoch, pictures = int(place["step"]), int(place["epoch"]), place["data"]
                misfit = misfit_of(file, net, momentum)
                names = [] if misfit else file.keys()
                tensors = {name: file.get_tensor(name) for name in names}
                for name in names:
                    if not tensors[name].isfinite().all():
                        raise ValueError(f"{name} holds values that are not finite numbers")
        except (*UNREADABLE, TypeError, KeyError, AttributeError) as error:
            raise CourseError(f"{unfit} ({error}): delete it to begin again") from None
        other = other_settings(self.recipe, history.recipe)
        if other or history.seed != self.seed:
            raise UsageError(
                f"{path} belongs to recipe {history.recipe.get('name')!r}, seed {history.seed}, "
                f"not to {self.recipe.name!r}, seed {self.seed} "
                f"(other: {', '.join(other) or 'seed'}): delete it to begin again, or choose "
                "another file"
            )
        if pictures != self.fingerprint():
            raise UsageError(
                f"{path} belongs to a run on other training pictures: delete it to begin again, "
                "or choose another file"
            )
        if step != min(epoch * self.epoch_steps, self.total_steps) or epoch != len(history.epochs):
            misfit = misfit or f"step {step} is not the end of epoch {epoch} here"
        if misfit:
            raise CourseError(
                f"{unfit} of this length and network ({misfit}): delete it to begin again"
            )
        # On the same kind of processor the stopwatch is not asked again whether bfloat16 is faster.
        here, there = self.history.machine, history.machine
        same = all(there.get(key) == here[key] for key in ("device", "name"))
        if not (same and isinstance(there.get("bfloat16"), bool)):
            history.machine = here
        self.step, self.epoch, self.history = step, epoch, history
        self.restore(tensors)
        self.good = self.snapshot()


def optimiser_of(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimiser of `recipe` for the parameters of `net`.

    Raises ValueError for Muon where batch norm follows no convolution.
    """
    kernels = set()
    if recipe.optimiser == "muon":
        kernels = {conv.weight for conv in normed_convolutions(net)}
        if not kernels:
            raise ValueError(
                "muon needs convolutions with a batch norm after them in an nn.Sequential, got "
                f"{type(net).__name__} without: take a recipe with optimiser='sgd'"
            )
    rest = [p for p in net.parameters() if p not in kernels]
    groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimiser == "sgd":
        momentum = {"momentum": recipe.momentum, "nesterov": recipe.momentum > 0}
        return torch.optim.SGD(groups, lr=recipe.learning_rate, **momentum)
    orthogonal = [p for p in net.parameters() if p in kernels]
    groups.insert(0, {"params": orthogonal, "orthogonal": True, "momentum": recipe.momentum})
    return Muon(groups, lr=recipe.learning_rate, momentum=recipe.other_momentum)


def learning_rate(recipe: Recipe, step: int, total: int) -> float:
    """Learning rate of step number `step` of `total`, counted from 0."""
    if recipe.schedule == "constant":
        return recipe.learning_rate
    rising = recipe.warmup * total
    if step < rising:
        return recipe.learning_rate * min(1, (step + 1) / rising)
    return recipe.learning_rate * (total - step) / (total - rising)


@cache
def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 faster than float32.

    A CPU that has instructions for it is asked by a stopwatch: an Intel Xeon without AMX has them,
    and is half as fast with them.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    found = torch.cpu.get_capabilities()
    if not (found.get("amx_bf16") or found.get("avx512_bf16")):
        return False  # one product could take a minute
    return product_seconds(torch.float32) > 1.2 * product_seconds(torch.bfloat16)


def product_seconds(kind: torch.dtype) -> float:
    """Seconds of the fastest of eight products of two 512x512 matrices on the CPU."""
    matrix = torch.ones(512, 512, dtype=kind)
    seconds = []
    for _ in range(8):
        with Timer() as timer:
            matrix @ matrix
        seconds.append(timer.seconds)
    return min(seconds)


def resized(images: Tensor, size: int) -> Tensor:
    """Pictures (N, C, H, W) as (N, C, size, size), bilinear."""
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)


def in_layout(images: Tensor) -> Tensor:
    """The same pictures, channels last in memory: convolutions read them faster."""
    return images.contiguous(memory_format=torch.channels_last)


def check_data(data: Data, name: str, device: torch.device | None = None, fewest: int = 1) -> None:
    """Raise ValueError unless `data` is (images, labels) of the form this module expects."""
    expected = "a pair (images uint8 (N, 1, 28, 28), labels int64 (N,))"
    if not (isinstance(data, (tuple, list)) and len(data) == 2):
        raise ValueError(f"{name} must be {expected}, got {type(data).__name__}")
    images, labels = data
    if not (isinstance(images, Tensor) and isinstance(labels, Tensor)):
        raise ValueError(
            f"{name} must be {expected} of tensors, got {type(images).__name__} and "
            f"{type(labels).__name__}: turn each into one with torch.as_tensor"
        )
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1:] != (1, 28, 28):
        raise ValueError(
            f"{name} images must be (N, 1, 28, 28) uint8, got {tuple(images.shape)} "
            f"{str(images.dtype).removeprefix('torch.')}: take them from load_fashion_mnist"
        )
    if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
        raise ValueError(
            f"{name} labels must be ({len(images)},) int64, got {tuple(labels.shape)} "
            f"{str(labels.dtype).removeprefix('torch.')}: one class number for each picture"
        )
    if len(images) < fewest:
        pictures = "pictures" if fewest > 1 else "picture"
        raise ValueError(f"{name} must hold {fewest} {pictures} or more, got {len(images)}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > 9:
        raise ValueError(f"{name} labels must be 0 to 9, got {low} to {high}")
    if device is not None and {images.device, labels.device} != {device}:
        raise ValueError(
            f"{name} must be on {device} like the network, got {images.device} and "
            f"{labels.device}: load with load_fashion_mnist(split, device={str(device)!r})"
        )


def begun_with(state: Path, recipe: Recipe) -> Recipe | None:
    """`recipe` with the epochs of the unfinished run whose state that file keeps, or None.

    Nothing else is taken from the file: a forged one could ask for a network of any size.
    """
    try:
        with safetensors.safe_open(state, "pt") as file:
            stored = json.loads(file.metadata()["run"])["history"]["recipe"]
        return replace(recipe, epochs=float(stored["epochs"]))
    except (*UNREADABLE, TypeError, KeyError, AttributeError):
        return None  # there is none, or `fit` will say what is wrong with it

"""Deeper networks with and without shortcuts, and GoogLeNet against ResNet (notebook 07).

    python -m gnet_utils.experiments.depth long_plain_44       many passes; stopped, it goes on

Plain and residual nets of three depths, and a narrow GoogLeNet beside residual nets of the same
number of parameters and of the same number of multiply-adds. All are trained by the loop of lesson
05, with the same pictures, made half as wide and high (14x14): a quarter of the work, so that three
seeds of all nets take minutes.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from gnet_utils import experiments
from gnet_utils.base import CourseError, written_aside
from gnet_utils.counting import count_macs, count_parameters
from gnet_utils.data import load_fashion_mnist, to_float
from gnet_utils.evaluation import Data, evaluate, in_layout, resized
from gnet_utils.experiments import loop
from gnet_utils.models import FashionGoogLeNet, FashionResNet
from gnet_utils.recipes import bfloat16_is_fast

SIDE = 14  # pixels: pictures of 28 averaged over 2x2
DEPTHS = (8, 20, 44)
BATCH = 128
LEARNING_RATE = 0.1  # the highest; of the other numbers `loop.one_cycle` has its say


@dataclass(frozen=True)
class Net:
    """Which network, and how many steps of 128 pictures it gets.

    kind: "plain", "residual" (FashionResNet without and with sums) or "googlenet"
        (FashionGoogLeNet without dropout; it has no depth to choose).
    """

    kind: str
    width: float
    depth: int = 0
    steps: int = 150

    def build(self) -> nn.Module:
        """The untrained network, its weights drawn from torch's current random state."""
        if self.kind == "googlenet":
            return FashionGoogLeNet(self.width, dropout=0.0)
        return FashionResNet(self.depth, self.width, residual=self.kind == "residual")


# Equal size ---------------------------------------------------------------------------------------


def matched_width(target: int, count: Callable[[nn.Module], int], depth: int = 20) -> float:
    """The width, in steps of 1/64, whose residual net is nearest to `target`.

    count: what is to be equal, such as `count_parameters`; it grows with the width. Raises
    ValueError when even the nearest is more than 3% off.
    """

    def counted(sixty_fourths: int) -> int:
        with torch.device("meta"):  # no memory, no work: only shapes are needed
            return count(FashionResNet(depth, sixty_fourths / 64))

    above = bisect_left(range(8, 257), target, key=counted) + 8
    best = min(above, max(above - 1, 8), key=lambda n: abs(counted(n) - target))
    if abs(counted(best) / target - 1) > 0.03:
        raise ValueError(
            f"no width of depth {depth} comes within 3% of {target:,}, the nearest is "
            f"{best / 64:g} with {counted(best):,}: try another depth"
        )
    return best / 64


def fashion_macs(net: nn.Module) -> int:
    """Multiply-adds of `net` for one picture of `SIDE` x `SIDE` pixels."""
    return count_macs(net, (1, 1, SIDE, SIDE))


LADDER = {
    f"{kind}_{depth}": Net(kind, 0.5, depth) for depth in DEPTHS for kind in ("plain", "residual")
}
DUEL = {  # the widths are what `matched_width` finds, see the tests
    "googlenet": Net("googlenet", 0.125, steps=200),
    "equal_parameters": Net("residual", 0.59375, 20, steps=200),
    "equal_macs": Net("residual", 0.71875, 20, steps=200),
}


# One run ------------------------------------------------------------------------------------------


def layer_gradients(net: nn.Module) -> list[float]:
    """Norm of the gradient of each convolution's weights, from the picture to the answer."""
    convs = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    return [conv.weight.grad.norm().item() for conv in convs]


def small_batches(data: Data, steps: int, seed: int) -> Iterator[Data]:
    """`steps` batches of 128 pictures, (B, 1, 14, 14), and labels; another order for each seed.

    data: uint8 images (N, 1, 28, 28) and labels (N,), begun again when they are used up.
    """
    images, labels = data
    for rows in experiments.shuffled(len(images), BATCH, steps, seed):
        yield in_layout(resized(to_float(images[rows]), SIDE)), labels[rows]


def train(
    net: nn.Module,
    data: Data,
    steps: int,
    seed: int = 0,
    note: Callable[[float], None] = lambda loss: None,
    begun: tuple | None = None,
) -> None:
    """Train `net` by the loop of lesson 05; `note` gets each loss, the net has its gradients then.

    begun: optimiser and schedule of a longer run, see `loop.train`.
    """
    half = bfloat16_is_fast(data[0].device)
    loop.train(
        net.to(memory_format=torch.channels_last),
        data,
        steps,
        LEARNING_RATE,
        half,
        lambda loss: note(loss.item()),
        batches=lambda data, steps: small_batches(data, steps, seed),
        begun=begun,
    )


def run_net(setting: Net, seed: int, data: Data, test: Data, kept: int = 5000) -> dict:
    """Train one net; its losses, gradients and errors.

    `loss` has one entry for each step, `gradients` (step, one norm for each convolution) for six
    steps. The training error is that on the first `kept` training pictures in eval mode.
    """
    torch.manual_seed(seed)
    net = setting.build()
    losses, gradients = [], []
    wanted = {round(k * (setting.steps - 1) / 5) for k in range(6)}

    def note(loss: float) -> None:
        if len(losses) in wanted:
            norms = [float(f"{norm:.3g}") for norm in layer_gradients(net)]
            gradients.append([len(losses), norms])
        losses.append(round(loss, 4))

    began = time.process_time()
    train(net, data, setting.steps, seed, note)
    seconds = time.process_time() - began
    part = tuple(part[:kept] for part in data)
    train_loss, train_accuracy = evaluate(net, part, picture_size=SIDE)
    _, test_accuracy = evaluate(net, test, picture_size=SIDE)
    return {
        "parameters": count_parameters(net),
        "macs": fashion_macs(net),
        "pictures": setting.steps * BATCH,
        "loss": losses,
        "gradients": gradients,
        "processor_seconds": round(seconds, 1),
        "train_loss": round(train_loss, 4),
        "train_error": round(100 * (1 - train_accuracy), 2),
        "test_accuracy": round(100 * test_accuracy, 2),
    }


LONG_PASSES = 20  # a quarter of an hour for a net of 44 layers on one older core
PASS = 469  # batches that show each of the 60,000 pictures once; the last has 96
LONG = {
    f"long_{kind}_{depth}": Net(kind, 0.5, depth, steps=LONG_PASSES * PASS)
    for depth in (20, 44)
    for kind in ("plain", "residual")
}


def run_long(
    setting: Net, seed: int, data: Data, test: Data, state: Path, kept: int = 5000
) -> dict:
    """Train one net for many passes over `data`; its errors after each of them.

    The training errors are those on the first `kept` training pictures, in eval mode: after one
    pass the net has seen all of them. Each pass is kept in the file `state`; when it exists, the
    run goes on from it and ends as if it had not been interrupted.
    """
    torch.manual_seed(seed)
    net = setting.build()
    begun = optimiser, schedule = loop.one_cycle(net, LEARNING_RATE, setting.steps)
    pass_steps = -(-len(data[0]) // BATCH)
    seen = tuple(part[:kept] for part in data)
    found = {"loss": [], "train_errors": [], "train_losses": [], "training_seconds": 0.0}
    parts = {"net": net, "optimiser": optimiser, "schedule": schedule}
    if state.exists():
        found = _go_on(state, parts, setting)
    for passed in range(len(found["loss"]), setting.steps // pass_steps):
        losses, began = [], time.perf_counter()
        train(net, data, pass_steps, 1000 * seed + passed, losses.append, begun)
        found["training_seconds"] += time.perf_counter() - began
        loss, accuracy = evaluate(net, seen, picture_size=SIDE)
        found["loss"].append(round(sum(losses) / len(losses), 4))  # mean of the pass
        found["train_errors"].append(round(100 * (1 - accuracy), 2))
        found["train_losses"].append(round(loss, 4))
        numbers = {name: part.state_dict() for name, part in parts.items()}
        with written_aside(state) as aside:
            torch.save({**numbers, "found": found, "setting": asdict(setting)}, aside)
        print(f"pass {passed + 1}: {found['train_errors'][-1]}% of the seen wrong", flush=True)
    _, test_accuracy = evaluate(net, test, picture_size=SIDE)
    return {
        "parameters": count_parameters(net),
        "macs": fashion_macs(net),
        "pictures": len(found["loss"]) * len(data[0]),
        **found,
        "train_error": found["train_errors"][-1],
        "test_accuracy": round(100 * test_accuracy, 2),
        "training_seconds": round(found["training_seconds"], 1),
    }


def _go_on(state: Path, parts: dict, setting: Net) -> dict:
    """Bring the numbers kept in `state` into `parts`; returns what was found so far."""
    stored = torch.load(state, weights_only=True)
    if stored["setting"] != asdict(setting):
        raise CourseError(f"{state} belongs to another run: delete it to begin again")
    for name, part in parts.items():
        part.load_state_dict(stored[name])
    return stored["found"]


def record(name: str, seed: int) -> None:
    """Run `name` and write its JSON file, unless that is there."""
    setting = (LADDER | DUEL | LONG)[name]
    state = experiments.RUNS / "depth" / f"{name}-seed{seed}.state.tmp"  # not for git

    def run() -> dict:
        torch.set_num_threads(1)  # seconds of one core, alike on any machine
        data = load_fashion_mnist("train", source="real")
        test = load_fashion_mnist("test", source="real")
        if name in LONG:
            return run_long(setting, seed, data, test, state)
        return run_net(setting, seed, data, test)

    recipe = {
        "optimiser": "SGD, Nesterov momentum 0.9, weight decay 0.0005, OneCycleLR",
        "learning_rate": LEARNING_RATE,
        "batch": BATCH,
        "picture_size": SIDE,
    }
    experiments.record("depth", name, seed, run, setting=asdict(setting), recipe=recipe)
    state.unlink(missing_ok=True)


if __name__ == "__main__":
    experiments.run_all(__doc__, [*LADDER, *DUEL, *LONG], record)

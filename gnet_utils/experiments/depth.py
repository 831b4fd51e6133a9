"""Deeper networks with and without shortcuts, and GoogLeNet against ResNet (notebook 07).

    python -m gnet_utils.experiments.depth long_plain_44       40 passes; stopped, it goes on

Plain and residual nets of three depths, and a narrow GoogLeNet beside residual nets of the same
number of parameters and of the same number of multiply-adds. All get the same recipe and the same
number of pictures, made half as wide and high (14x14): a quarter of the work, so that three seeds
of all nets take minutes.
"""

import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from gnet_utils import experiments
from gnet_utils.counting import count_macs, count_parameters
from gnet_utils.data import load_fashion_mnist, to_float
from gnet_utils.evaluation import Data, evaluate, in_layout, resized
from gnet_utils.models import FashionGoogLeNet, FashionResNet
from gnet_utils.recipes import Recipe, bfloat16_is_fast, learning_rate, optimiser_of
from gnet_utils.training import cut, fit, train_epoch

SIDE = 14  # pixels: pictures of 28 averaged over 2x2
DEPTHS = (8, 20, 44)
RECIPE = Recipe(
    name="depth",
    purpose="the same short training for nets of any depth",
    epochs=1,
    batch_size=64,
    learning_rate=0.1,
    picture_size=SIDE,
    merged=False,
)


@dataclass(frozen=True)
class Net:
    """Which network, and how many steps of 64 pictures it gets.

    kind: "plain", "residual" (FashionResNet without and with sums) or "googlenet"
        (FashionGoogLeNet without dropout; it has no depth to choose).
    """

    kind: str
    width: float
    depth: int = 0
    steps: int = 300

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
    "googlenet": Net("googlenet", 0.125, steps=400),
    "equal_parameters": Net("residual", 0.59375, 20, steps=400),
    "equal_macs": Net("residual", 0.71875, 20, steps=400),
}


# One run ------------------------------------------------------------------------------------------


def layer_gradients(net: nn.Module) -> list[float]:
    """Norm of the gradient of each convolution's weights, from the picture to the answer."""
    convs = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    return [conv.weight.grad.norm().item() for conv in convs]


def train(
    net: nn.Module,
    data: Data,
    steps: int,
    seed: int = 0,
    note: Callable[[int, float, nn.Module], None] = lambda step, loss, net: None,
) -> float:
    """Train `net` for `steps` batches by RECIPE; returns the seconds of processor time.

    data: uint8 images (N, 1, 28, 28) and labels (N,), begun again when they are used up.
    note: called before each step with its number, its loss, and the net with its gradients.
    """
    half = RECIPE.precision == "auto" and bfloat16_is_fast(data[0].device)
    net.to(memory_format=torch.channels_last).train()
    optimiser = optimiser_of(net, RECIPE)
    batches = experiments.shuffled(len(data[0]), RECIPE.batch_size, steps, seed)
    rates = (learning_rate(RECIPE, step, steps) for step in range(steps))

    def prepare(images: Tensor) -> Tensor:
        return in_layout(resized(to_float(images), SIDE))

    training = train_epoch(net, cut(data, batches), rates, optimiser, prepare=prepare, half=half)
    seconds, began = 0.0, time.process_time()
    for step, (losses, _, _) in enumerate(training):
        seconds += time.process_time() - began
        note(step, losses[0].item(), net)
        began = time.process_time()
    return seconds + time.process_time() - began


def run_net(setting: Net, seed: int, data: Data, test: Data, kept: int = 5000) -> dict:
    """Train one net; its losses, gradients and errors.

    `loss` has one entry for each step, `gradients` (step, one norm for each convolution) for six
    steps. The training error is that on the first `kept` training pictures in eval mode.
    """
    torch.manual_seed(seed)
    net = setting.build()
    losses, gradients = [], []
    wanted = {round(k * (setting.steps - 1) / 5) for k in range(6)}

    def note(step: int, loss: float, net: nn.Module) -> None:
        losses.append(round(loss, 4))
        if step in wanted:
            gradients.append([step, [float(f"{norm:.3g}") for norm in layer_gradients(net)]])

    seconds = train(net, data, setting.steps, seed, note=note)
    part = tuple(part[:kept] for part in data)
    train_loss, train_accuracy = evaluate(net, part, picture_size=SIDE)
    _, test_accuracy = evaluate(net, test, picture_size=SIDE)
    return {
        "parameters": count_parameters(net),
        "macs": fashion_macs(net),
        "pictures": setting.steps * RECIPE.batch_size,
        "loss": losses,
        "gradients": gradients,
        "processor_seconds": round(seconds, 1),
        "train_loss": round(train_loss, 4),
        "train_error": round(100 * (1 - train_accuracy), 2),
        "test_accuracy": round(100 * test_accuracy, 2),
    }


LONG_PASSES = 40  # half an hour for a net of 44 layers, on one core with fast bfloat16
LONG = {
    f"long_{kind}_{depth}": Net(kind, 0.5, depth, steps=LONG_PASSES * (60_000 // 64))
    for depth in (20, 44)
    for kind in ("plain", "residual")
}


def run_long(
    setting: Net, seed: int, data: Data, test: Data, state: Path, kept: int = 5000
) -> dict:
    """Train one net for many passes; its errors after each of them.

    The training errors are those on the first `kept` training pictures, in eval mode: after one
    pass the net has seen all of them but a few. What `state` holds is gone on from, pass by pass.
    Raises SystemExit when it ends early.
    """
    torch.manual_seed(seed)
    net = setting.build()
    passes = setting.steps / (len(data[0]) // RECIPE.batch_size)
    seen = tuple(part[:kept] for part in data)
    history = fit(net, data, seen, replace(RECIPE, epochs=passes), seed=seed, state=state)
    if history.stopped or len(history.epochs) < passes:
        why = history.stopped or "GNET_QUICK has shortened the run"
        raise SystemExit(f"{why}: the same command goes on after the last whole pass.")
    _, test_accuracy = evaluate(net, test, picture_size=SIDE)
    return {
        "parameters": count_parameters(net),
        "macs": fashion_macs(net),
        "pictures": setting.steps * RECIPE.batch_size,
        "loss": [entry["train_loss"] for entry in history.epochs],  # means of the passes
        "train_errors": [round(100 * (1 - e["val_accuracy"]), 2) for e in history.epochs],
        "train_losses": [entry["val_loss"] for entry in history.epochs],
        "train_error": round(100 * (1 - history.epochs[-1]["val_accuracy"]), 2),
        "test_accuracy": round(100 * test_accuracy, 2),
        "training_seconds": round(history.seconds, 1),
    }


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

    recipe = asdict(RECIPE)
    recipe.pop("epochs")  # the number of steps says how long
    experiments.record("depth", name, seed, run, setting=asdict(setting), recipe=recipe)
    state.unlink(missing_ok=True)


if __name__ == "__main__":
    experiments.run_all(__doc__, [*LADDER, *DUEL, *LONG], record)

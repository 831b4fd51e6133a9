"""The loop of lesson 05, and the recorded runs by which its learning rate was chosen.

Lesson 07 trains with this loop too: its recorded runs are those of depth.py.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnet_utils import experiments
from gnet_utils.data import load_fashion_mnist, split_train_validation, to_float
from gnet_utils.evaluation import evaluate
from gnet_utils.models import FashionGoogLeNet
from gnet_utils.recipes import bfloat16_is_fast

Data = tuple[Tensor, Tensor]


def batches(data: Data, steps: int) -> Iterator[Data]:
    """`steps` batches of 128 pictures and labels; an epoch shows each picture once."""
    images, labels = data
    while steps > 0:
        for rows in torch.randperm(len(images)).split(128)[:steps]:
            yield to_float(images[rows]), labels[rows]
            steps -= 1


def one_cycle(
    net: nn.Module, learning_rate: float, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.OneCycleLR]:
    """The optimiser and the schedule of lesson 05 for a run of so many steps.

    The momentum is not 0.9 but what OneCycleLR makes of it: 0.95, 0.85 at the highest rate, 0.95.
    """
    optimiser = torch.optim.SGD(
        net.parameters(), lr=learning_rate, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=learning_rate, total_steps=steps
    )
    return optimiser, schedule


def train(
    net: nn.Module,
    data: Data,
    steps: int,
    learning_rate: float,
    half: bool = False,
    look: Callable[[Tensor], object] = lambda loss: None,
    *,
    batches: Callable[[Data, int], Iterable[Data]] = batches,
    begun: tuple | None = None,
) -> None:
    """Train `net` in place, as the solution of lesson 05 does; `look` gets the loss of each step.

    half: compute the forward pass in bfloat16.
    batches: gives (images, labels) of each step, as the function above does.
    begun: optimiser and schedule of a run of which these steps are a part; None for a whole run.
    """
    optimiser, schedule = begun or one_cycle(net, learning_rate, steps)
    net.train()
    for images, labels in batches(data, steps):
        with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
            logits = net(images)
        optimiser.zero_grad()
        loss = F.cross_entropy(logits.float(), labels)
        loss.backward()
        optimiser.step()
        schedule.step()
        look(loss)


def evaluate_plainly(net: nn.Module, data: Data) -> float:
    """Share of right answers of `net` on (images, labels), as the solution of lesson 05 has it."""
    right = 0
    net.eval()
    with torch.no_grad():
        for images, labels in zip(*(part.split(500) for part in data), strict=True):
            logits = net(to_float(images))
            right += (logits.argmax(1) == labels).sum().item()
    net.train()
    return right / len(data[1])


@dataclass(frozen=True)
class Run:
    """One training: 55,000 pictures to learn from, 5,000 held out."""

    learning_rate: float
    steps: int = 215  # half an epoch
    width: float = 0.25


RUNS = {f"rate_{rate}": Run(rate) for rate in (0.01, 0.03, 0.1, 0.3, 1.0)}
RUNS |= {"one_epoch": Run(0.1, steps=430), "two_epochs": Run(0.1, steps=860)}


def record(name: str, seed: int) -> None:
    """Run `name` and write its JSON file, unless that is there."""
    run = RUNS[name]

    def train_once() -> dict:
        data = load_fashion_mnist("train", source="real")
        part, validation = split_train_validation(*data, validation=5000, seed=0)
        half, losses = bfloat16_is_fast(torch.device("cpu")), []
        torch.manual_seed(seed)
        net = FashionGoogLeNet(run.width, stem="patch").to(memory_format=torch.channels_last)

        def look(loss: Tensor) -> None:
            losses.append(round(loss.item(), 4))

        train(net, part, run.steps, run.learning_rate, half, look)
        found = {"half": half, "loss": losses, "validation_accuracy": evaluate(net, validation)[1]}
        if name.endswith(("_epoch", "_epochs")):  # nothing is chosen by them
            found["test_accuracy"] = evaluate(net, load_fashion_mnist("test", source="real"))[1]
        return found

    about = {"optimiser": "SGD, Nesterov momentum 0.9, OneCycleLR", "batch": 128}
    experiments.record("loop", name, seed, train_once, recipe=asdict(run) | about)


if __name__ == "__main__":
    experiments.run_all(__doc__, RUNS, record)

"""The first steps of training, one change at a time: what makes a GoogLeNet start (notebook 06)."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from gnet_utils import experiments
from gnet_utils.counting import count_parameters
from gnet_utils.data import load_fashion_mnist
from gnet_utils.evaluation import Data, resized
from gnet_utils.models import FashionGoogLeNet
from gnet_utils.passes import hooked
from gnet_utils.recipes import tutorial_network
from gnet_utils.training import cut, train_epoch


@dataclass(frozen=True)
class Start:
    """How the first steps are made; without changes it is the recipe of the tutorials in small.

    size: side of the pictures in pixels: 28 for a narrow net of nine blocks with the "patch" stem,
        or 96 for the net of the tutorials itself, without changes.
    warm_up: the learning rate rises to `learning_rate` over the first quarter of the steps.
    kaiming: He et al.'s initialisation, biases zero; else Glorot's weights and PyTorch's biases.
    zero_biases: Glorot's weights, but the biases zero as He et al.'s are.
    """

    size: int = 28
    width: float = 0.125
    batch_norm: bool = False
    kaiming: bool = False
    zero_biases: bool = False
    warm_up: bool = False
    learning_rate: float = 0.1
    batch: int = 128
    steps: int = 150

    def net(self) -> nn.Module:
        """The untrained network, without dropout."""
        if self.size != 28:
            return tutorial_network().to(memory_format=torch.channels_last)
        net = FashionGoogLeNet(self.width, stem="patch", dropout=0.0)
        if not self.batch_norm:
            remove_batch_norm(net)
        if not self.kaiming:
            start_like_tutorials(net, self.zero_biases)
        return net.to(memory_format=torch.channels_last)


RUNS = {  # each of the four changes differs from the recipe of the tutorial in one thing
    "tutorial": Start(),
    "warm_up": Start(warm_up=True),
    "zero_biases": Start(zero_biases=True),
    "initialisation": Start(kaiming=True),
    "batch_norm": Start(batch_norm=True),
    "tutorial_96": Start(size=96, width=1.0, steps=468),  # a whole epoch
}


def remove_batch_norm(module: nn.Module) -> None:
    """Take every batch norm out, and give each convolution a bias of zeros instead."""
    for layer in module.modules():
        for name, child in layer.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(layer, name, nn.Identity())
            elif isinstance(child, nn.Conv2d) and child.bias is None:
                child.bias = nn.Parameter(torch.zeros(child.out_channels))


def start_like_tutorials(module: nn.Module, zero_biases: bool = False) -> None:
    """Glorot's uniform weights (`nn.init.xavier_uniform_`), PyTorch's default for the biases."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.reset_parameters()
            nn.init.xavier_uniform_(layer.weight)
            if zero_biases and layer.bias is not None:
                nn.init.zeros_(layer.bias)


def first_steps(net: nn.Module, data: Data, start: Start, seed: int = 0) -> Iterator[float]:
    """Train `net` with plain SGD and yield the loss of each step.

    data: uint8 images (N, 1, 28, 28) and labels (N,).
    """
    optimiser = torch.optim.SGD(net.parameters(), lr=start.learning_rate)
    order = torch.randperm(len(data[0]), generator=torch.Generator().manual_seed(seed))
    batches = order.split(start.batch)[: start.steps]
    rising = 0.25 * start.steps if start.warm_up else 1  # the rate is at its highest after them
    rates = [start.learning_rate * min(1.0, (k + 1) / rising) for k in range(len(batches))]

    def prepare(images: Tensor) -> Tensor:
        return resized(images.float() / 255, start.size)

    net.train()
    for losses, _, _ in train_epoch(net, cut(data, batches), rates, optimiser, prepare=prepare):
        yield losses[0].item()


def spread(net: nn.Module, images: Tensor) -> dict[str, float]:
    """How much of each stage's output differs from picture to picture: 0 nothing, 1 all of it.

    images: float (N, C, H, W). The square root of the share that the deviations from the mean
    picture have in the sum of squares, while the net is in training mode.
    """
    shares = {}

    def note(name: str, stage: nn.Module, output: Tensor) -> None:
        if not isinstance(stage, (nn.Flatten, nn.Dropout, nn.Identity)):
            rest = output - output.mean(0)
            shares[name] = (rest.square().sum() / output.square().sum()).sqrt().item()

    with hooked(net.named_children(), note), torch.no_grad():
        net.train()(images)
    return shares


def record(name: str, seed: int) -> None:
    """Run `name` and write its JSON file, unless that is there."""
    start = RUNS[name]

    def run() -> dict:
        data = load_fashion_mnist("train", source="real")
        torch.manual_seed(seed)
        net = start.net()
        losses = [round(loss, 4) for loss in first_steps(net, data, start, seed)]
        return {"parameters": count_parameters(net), "loss": losses}

    recipe = asdict(start) | {"optimiser": "SGD without momentum", "precision": "float32"}
    experiments.record("start", name, seed, run, recipe=recipe)


if __name__ == "__main__":
    experiments.run_all(__doc__, RUNS, record)

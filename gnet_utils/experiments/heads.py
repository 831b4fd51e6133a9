"""What auxiliary heads do for the first steps of a GoogLeNet, one change at a time (notebook 06).

Four nets (plain, heads, norm, both) times three initialisations (tutorial, default, kaiming).
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnet_utils import experiments
from gnet_utils.counting import count_parameters
from gnet_utils.data import load_fashion_mnist, split_train_validation, to_float
from gnet_utils.evaluation import Data, accuracy, in_layout
from gnet_utils.experiments.start import remove_batch_norm, spread, start_like_tutorials
from gnet_utils.models import FashionGoogLeNet
from gnet_utils.models.googlenet import GoogLeNetOutput
from gnet_utils.models.layers import ConvUnit, initialise
from gnet_utils.passes import evaluating
from gnet_utils.probing import gradient_norms
from gnet_utils.training import cut, train_epoch

HEADS = {"aux1": "inception_4a", "aux2": "inception_4d"}  # head -> the block that it reads


# The network --------------------------------------------------------------------------------------


class SmallHead(nn.Sequential):
    """The paper's auxiliary classifier for the 7x7 maps of a 28x28 picture: pool, 1x1, two linear.

    The paper pools 14x14 maps 5x5 with stride 3 to 4x4; here 7x7 maps are pooled 3x3 with stride 2
    to 3x3. Its 128 channels and 1024 units are scaled by `width` like all others. Without dropout.
    Maps (N, in_channels, 7, 7) to logits (N, 10).
    """

    def __init__(self, in_channels: int, width: float):
        channels, hidden = round(128 * width), round(1024 * width)
        super().__init__(
            nn.AvgPool2d(3, stride=2),
            ConvUnit(in_channels, channels, 1, norm="batch"),
            nn.Flatten(),
            nn.Linear(channels * 3 * 3, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, 10),
        )
        initialise(self)


class HeadedGoogLeNet(FashionGoogLeNet):
    """FashionGoogLeNet with the "patch" stem and two heads, after blocks 4a and 4d.

    In `train()` it returns a `GoogLeNetOutput` (logits, aux1, aux2), each (N, 10); in
    `eval()` the logits alone, as if there were no heads.
    """

    def __init__(self, width: float = 0.125, **options):
        super().__init__(width, stem="patch", **options)
        for head, block in HEADS.items():
            channels = _out_channels(self.get_submodule(block))
            self.add_module(head, SmallHead(channels, width))

    def exits(self, images: Tensor) -> GoogLeNetOutput:
        """What all three answer, in either mode."""
        x, answers = images, []
        for name, stage in self.stages():
            x = stage(x)
            answers += [self.get_submodule(h)(x) for h, block in HEADS.items() if block == name]
        return GoogLeNetOutput(x, *answers)

    def forward(self, images: Tensor) -> GoogLeNetOutput | Tensor:
        return self.exits(images) if self.training else super().forward(images)


def _out_channels(block: nn.Module) -> int:
    """Channels after the concatenation: what the last convolutions of the branches give."""
    convs = ([m for m in b.modules() if isinstance(m, nn.Conv2d)] for b in block.children())
    return sum(branch[-1].out_channels for branch in convs)


# One run ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """One combination; everything else is the same for all.

    initialisation: "tutorial" (Glorot's weights, PyTorch's biases), "default" (PyTorch's) or
        "kaiming" (He et al.'s weights, biases zero).
    weight: of each head's loss; the last head's has weight 1.
    """

    heads: bool = False
    batch_norm: bool = False
    initialisation: str = "kaiming"
    weight: float = 0.3
    width: float = 0.125
    learning_rate: float = 0.05
    batch: int = 64
    steps: int = 200

    def net(self, seed: int = 0) -> FashionGoogLeNet:
        """The untrained network. The same seed gives the same body with and without heads.

        Sets torch's random state to the seed.
        """
        kind = HeadedGoogLeNet if self.heads else FashionGoogLeNet
        options = {} if self.heads else {"stem": "patch"}
        net = kind(self.width, dropout=0.0, **options)
        if not self.batch_norm:
            remove_batch_norm(net)
        torch.manual_seed(seed)  # the body's layers come first, the heads' draws after them
        INITIALISATIONS[self.initialisation](net)
        return net.to(memory_format=torch.channels_last)


def pytorch_default(net: nn.Module) -> None:
    """What PyTorch draws when nobody asks for anything else."""
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.reset_parameters()


def kaiming(net: nn.Module) -> None:
    """He et al.'s normal weights and zero biases for convolutions, linear layers as PyTorch's."""
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
        elif isinstance(layer, nn.Conv2d):
            initialise(layer)


INITIALISATIONS: dict[str, Callable[[nn.Module], None]] = {
    "tutorial": start_like_tutorials,
    "default": pytorch_default,
    "kaiming": kaiming,
}
NETS = {
    "plain": {},
    "heads": {"heads": True},
    "norm": {"batch_norm": True},
    "both": {"heads": True, "batch_norm": True},
}
GRID = {
    f"{net}_{initialisation}": Setting(**changes, initialisation=initialisation)
    for initialisation in INITIALISATIONS
    for net, changes in NETS.items()
}


def weighted_loss(output: GoogLeNetOutput | Tensor, labels: Tensor, weight: float = 0.3) -> Tensor:
    """The loss that is minimised: the last head's, and `weight` times each auxiliary one."""
    if isinstance(output, Tensor):
        return F.cross_entropy(output, labels)
    last, *others = (F.cross_entropy(logits, labels) for logits in output)
    return last + weight * sum(others)


def train_with_heads(
    net: nn.Module,
    data: Data,
    setting: Setting,
    seed: int = 0,
) -> Iterator[list[float]]:
    """Train `net` with SGD; yields before each step the loss of the last head, then of the others.

    data: uint8 images (N, 1, 28, 28) and labels (N,).
    """
    optimiser = torch.optim.SGD(net.parameters(), lr=setting.learning_rate)
    steps = setting.steps
    net.train()
    training = train_epoch(
        net,
        cut(data, experiments.cycled(len(data[0]), setting.batch, steps, seed)),
        [setting.learning_rate] * steps,
        optimiser,
        prepare=lambda images: in_layout(to_float(images)),
        head_weight=setting.weight,
    )
    for losses, _, _ in training:
        yield [loss.item() for loss in losses]


def gradients(net: nn.Module, probe: Data, weight: float) -> dict[str, float]:
    """Gradient norm of each stage on `probe` pictures, from all losses; `net` stays as it is."""
    twin = copy.deepcopy(net).train()
    loss = weighted_loss(twin(in_layout(to_float(probe[0]))), probe[1], weight)
    return {stage: float(f"{norm:.4g}") for stage, norm in gradient_norms(twin, loss).items()}


@torch.no_grad()
def accuracies(net: nn.Module, data: Data) -> list[float]:
    """Share of right answers in eval mode: of the last head, then of the others."""
    parts = [part.split(1000) for part in data]
    ask = net.exits if isinstance(net, HeadedGoogLeNet) else lambda images: (net(images),)
    with evaluating(net):
        answers = [ask(in_layout(to_float(images))) for images in parts[0]]
    return [round(accuracy(torch.cat(logits), data[1]), 4) for logits in zip(*answers, strict=True)]


# Recording ----------------------------------------------------------------------------------------


def run_setting(setting: Setting, seed: int, train: Data, validation: Data) -> dict:
    """What one run is recorded with: gradients and spread before step 1, losses, accuracies."""
    net = setting.net(seed)
    probe = train[0][:128], train[1][:128]
    shares = spread(copy.deepcopy(net), in_layout(to_float(probe[0])))
    norms = gradients(net, probe, setting.weight)
    losses = [
        [round(value, 4) for value in loss] for loss in train_with_heads(net, train, setting, seed)
    ]
    shares_right = accuracies(net, validation)
    columns = [list(column) for column in zip(*losses, strict=True)]
    return {
        "parameters": count_parameters(net),
        "loss": columns[0],
        "head_losses": columns[1:],
        "spread": {stage: round(share, 4) for stage, share in shares.items()},
        "gradients": norms,
        "accuracy": shares_right[0],
        "head_accuracies": shares_right[1:],
    }


def record(name: str, seed: int) -> None:
    """Run `name` and write its JSON file, unless that is there."""
    setting = GRID[name]

    def run() -> dict:
        images, labels = load_fashion_mnist("train", source="real")
        parts = split_train_validation(images, labels, validation=5000, seed=0)
        return run_setting(setting, seed, *parts)

    recipe = asdict(setting) | {"optimiser": "SGD without momentum", "precision": "float32"}
    experiments.record("heads", name, seed, run, recipe=recipe)


if __name__ == "__main__":
    experiments.run_all(__doc__, GRID, record)

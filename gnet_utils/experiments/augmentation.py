"""Training with changed pictures, and testing with many views of each (notebook 08).

Every run shows a narrow net of nine blocks 16,000 pictures: eight times the same 2,000, or, where
the name ends in "_fresh", each of 16,000 once.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnet_utils import augment, experiments
from gnet_utils.counting import count_parameters
from gnet_utils.data import load_fashion_mnist, split_train_validation, to_float
from gnet_utils.evaluation import Data, evaluate, in_layout
from gnet_utils.models import FashionGoogLeNet
from gnet_utils.passes import evaluating
from gnet_utils.training import cut, train_epoch

AUGMENTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda images: images,
    "mirror": augment.random_mirror,
    "shift": lambda images: augment.random_shift(images, 2),
    "erase": lambda images: augment.random_erase(images, 0.5),
    "crop": augment.random_resized_crop,
}
VIEW_SETS = ("1", "2", "crops 10")  # the picture; with its mirror image; ten crops of the paper


@dataclass(frozen=True)
class AugmentationSetting:
    """How a run is made. pictures: how many different ones; shown: how many in all."""

    augmentation: str = "none"
    pictures: int = 2000
    shown: int = 16_000
    batch: int = 64
    learning_rate: float = 0.1
    width: float = 0.125

    def net(self) -> nn.Module:
        """The untrained network, without dropout."""
        net = FashionGoogLeNet(self.width, stem="patch", dropout=0.0)
        return net.to(memory_format=torch.channels_last)


RUNS = {name: AugmentationSetting(name) for name in AUGMENTATIONS}
RUNS |= {f"{name}_fresh": AugmentationSetting(name, pictures=16_000) for name in ("none", "crop")}


def train(
    net: nn.Module, data: Data, setting: AugmentationSetting, seed: int = 0
) -> Iterator[float]:
    """Train `net` on `setting.pictures` of `data` and yield the loss of each step.

    data: uint8 images (N, 1, 28, 28) and labels (N,). Nesterov's SGD; the learning rate rises for
    a fifth of the steps and then falls to zero. Sets torch's random state, and draws from it.
    """
    torch.manual_seed(seed)  # of the augmentation
    optimiser = torch.optim.SGD(
        net.parameters(), lr=setting.learning_rate, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    steps, augmented = setting.shown // setting.batch, AUGMENTATIONS[setting.augmentation]
    shares = (min((k + 1) / (0.2 * steps), (steps - k) / (0.8 * steps)) for k in range(steps))
    batches = experiments.shuffled(setting.pictures, setting.batch, steps, seed)
    rates = (setting.learning_rate * share for share in shares)

    def prepare(images: Tensor) -> Tensor:
        return in_layout(augmented(to_float(images)))

    net.train()
    for losses, _, _ in train_epoch(net, cut(data, batches), rates, optimiser, prepare=prepare):
        yield losses[0].item()


def views_of(images: Tensor, name: str) -> Tensor:
    """The views of a batch (N, 1, 28, 28) by the name of their set: (views, N, 1, 28, 28).

    For ten crops the paper's lengths are divided by eight: 28x28 out of 32x32.
    """
    if name == "crops 10":
        larger = F.interpolate(images, (32, 32), mode="bilinear", antialias=True)
        return augment.ten_crops(larger, 28)
    return torch.stack(augment.views(images, int(name)))


@torch.inference_mode()
def view_probabilities(net: nn.Module, images: Tensor, views: str = "1") -> Tensor:
    """Softmax of each view, (views, N, classes), for uint8 images (N, 1, 28, 28)."""
    with evaluating(net):
        batches = [
            torch.stack([net(in_layout(v)).softmax(1) for v in views_of(to_float(part), views)])
            for part in images.split(500)
        ]
    return torch.cat(batches, dim=1)


def paired_difference(right: Tensor, other: Tensor) -> tuple[float, float]:
    """Accuracy minus accuracy on the same pictures, and its standard error, in points.

    right, other: (N,), 1 where the answer is right and 0 where not, or means of several such.
    Pictures that both get right, or both wrong, add nothing to the error (McNemar's test).
    """
    gain = right.double() - other.double()
    return 100 * gain.mean().item(), 100 * gain.std().item() / len(gain) ** 0.5


def record(name: str, seed: int) -> None:
    """Run `name` and write its JSON file, unless that is there."""
    setting = RUNS[name]

    def run() -> dict:
        data, _ = split_train_validation(*load_fashion_mnist("train", source="real"))
        test = load_fashion_mnist("test", source="real")
        torch.manual_seed(seed)
        net = setting.net()
        losses = [round(loss, 4) for loss in train(net, data, setting, seed)]
        known = tuple(part[:2000] for part in data)
        images, labels = (part[:5000] for part in test)
        odds = {name: view_probabilities(net, images, name) for name in VIEW_SETS}
        right = {name: each.mean(0).argmax(1) == labels for name, each in odds.items()}
        return {
            "parameters": count_parameters(net),
            "loss": losses,
            "train_accuracy": round(evaluate(net, known)[1], 5),  # of the plain pictures
            "test_accuracy": round(evaluate(net, test)[1], 5),
            "views": {kind: round(r.double().mean().item(), 5) for kind, r in right.items()},
            "views_error": {  # of the difference to one view, in points
                kind: round(paired_difference(r, right["1"])[1], 3) for kind, r in right.items()
            },
            "views_pictures": 5000,
        }

    recipe = asdict(setting) | {
        "optimiser": "Nesterov's SGD, momentum 0.9, weight decay 5e-4, one-cycle",
        "precision": "float32",
    }
    experiments.record("augmentation", name, seed, run, recipe=recipe)


if __name__ == "__main__":
    experiments.run_all(__doc__, RUNS, record)

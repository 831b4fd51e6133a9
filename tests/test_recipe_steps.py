"""`fit` does what each field of its recipe says: its weights are those of a plain loop, below.

The loop is written anew, from the words in `Recipe`: it takes nothing from the package but the
network and the pictures as numbers.
"""

import dataclasses
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from gnet_utils import runs
from gnet_utils.data import to_float
from gnet_utils.models import FashionGoogLeNet, Inception
from gnet_utils.models.layers import ConvUnit
from gnet_utils.recipes import Recipe, build_network
from gnet_utils.training import fit

RECIPE = Recipe(
    "test",
    "a few steps",
    epochs=2.5,  # of two steps: the last epoch is half of one
    batch_size=16,
    learning_rate=0.1,
    momentum=0.8,
    weight_decay=0.05,
    merged=False,
    channels_last=False,
    precision="float32",
)
SEED = 3
CLOSE = 2e-4  # rounding, after all steps; what a field changes is twenty times as much, or more


class Net(nn.Sequential):
    """All kinds of parts: a block, a convolution without batch norm, a layer that knows places."""

    def __init__(self):
        super().__init__(
            ConvUnit(1, 6, 4, stride=2, padding=1, norm="batch"),
            Inception(6, 4, 3, 5, 2, 3, 4, norm="batch"),
            ConvUnit(16, 8, 1),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(128, 10),
        )


def network() -> Net:
    torch.manual_seed(0)
    return Net()


@pytest.fixture(autouse=True)
def full_length(monkeypatch):
    monkeypatch.delenv("GNET_QUICK", raising=False)


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Tensor]:
    """40 pictures of noise, without ties; after two batches of 16, eight are left over."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (40, 1, 28, 28), generator=generator, dtype=torch.uint8)
    return images, torch.arange(40) % 10


# The plain loop -----------------------------------------------------------------------------------


def rate_of(recipe: Recipe, step: int, total: int) -> float:
    if recipe.schedule == "constant":
        return recipe.learning_rate
    up = (step + 1) / (recipe.warmup * total)
    down = (total - step) / (total - recipe.warmup * total)
    return recipe.learning_rate * min(up, 1, down)


def changed(recipe: Recipe, images: Tensor) -> Tensor:
    """The pictures of a batch, one by one; random numbers are drawn in the order of the package."""
    count, size = len(images), images.shape[-1]
    if recipe.mirror:
        flip = torch.rand(count, 1, 1, 1).flatten() < 0.5
        images = torch.stack([x.flip(2) if f else x for x, f in zip(images, flip, strict=True)])
    if recipe.shift:
        by, moved = recipe.shift, []
        down, right = (torch.randint(2 * by + 1, (count, 1)).flatten() - by for _ in range(2))
        for picture, dy, dx in zip(images, down.tolist(), right.tolist(), strict=True):
            rows = [min(max(row + dy, 0), size - 1) for row in range(size)]
            columns = [min(max(column + dx, 0), size - 1) for column in range(size)]
            moved.append(picture[:, rows][:, :, columns])
        images = torch.stack(moved)
    if recipe.erase:
        rows, columns = (torch.randint(size, (count, 1)).flatten().tolist() for _ in range(2))
        chosen = (torch.rand(count, 1, 1) < recipe.erase).flatten()
        noise, images = torch.randn_like(images), images.clone()
        for number in range(count):
            if chosen[number]:
                top, left = max(rows[number] - 4, 0), max(columns[number] - 4, 0)
                box = slice(top, rows[number] + 4), slice(left, columns[number] + 4)
                images[number, 0][box] = noise[number, 0][box]
    side = recipe.picture_size
    return nn.functional.interpolate(images, size=(side, side), mode="bilinear")


def loss_of(recipe: Recipe, logits: Tensor, labels: Tensor) -> Tensor:
    wanted = nn.functional.one_hot(labels, logits.shape[1]).float()
    wanted = (1 - recipe.label_smoothing) * wanted + recipe.label_smoothing / logits.shape[1]
    return -(wanted * logits.log_softmax(1)).sum(1).mean()


def orthogonal_kernels(net: Net, recipe: Recipe) -> list[list[Tensor]]:
    """The kernels that Muon takes as one matrix: those before a batch norm, siblings joined."""
    block = net[1]
    siblings = [block.branch_1x1, block.branch_3x3[0], block.branch_5x5[0]]
    single = [net[0], block.branch_3x3[1], block.branch_5x5[1], block.branch_pool[1]]
    if not recipe.merged:
        siblings, single = [], single + siblings
    return [[unit.conv.weight for unit in group] for group in [siblings, *([u] for u in single)]]


def muon_step(kernels: list[Tensor], ahead: list[Tensor], rate: float) -> None:
    """By singular values, where the package has products of matrices alone."""
    size = torch.cat([kernel.flatten(1) for kernel in kernels])
    size = len(size) ** 0.5 / size.norm()
    u, values, v = torch.linalg.svd(torch.cat(ahead).flatten(1).double(), full_matrices=False)
    values = values / values.norm()
    for _ in range(3):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    moves = (u @ values.diag() @ v).float().split([len(kernel) for kernel in kernels])
    for kernel, move in zip(kernels, moves, strict=True):
        kernel.mul_(size).sub_(rate * move.view_as(kernel))


def by_hand(net: nn.Module, data: tuple[Tensor, Tensor], recipe: Recipe) -> dict[str, Tensor]:
    """What `net` has learned after all steps of the recipe."""
    images, labels = data
    groups = orthogonal_kernels(net, recipe) if recipe.optimiser == "muon" else []
    kernels = {kernel for group in groups for kernel in group}
    parameters = list(net.parameters())
    velocity = {p: torch.zeros_like(p) for p in parameters}
    each = len(images) // recipe.batch_size
    total = round(recipe.epochs * each)
    net.train()
    for step in range(total):
        if step % each == 0:
            torch.manual_seed(1_000_003 * SEED + step // each)
            order = torch.randperm(len(images))
        rows = order[step % each * recipe.batch_size :][: recipe.batch_size]
        output = net(changed(recipe, to_float(images[rows])))
        answers = list(output) if isinstance(output, tuple) else [output]
        main, *heads = (loss_of(recipe, answer, labels[rows]) for answer in answers)
        slopes = torch.autograd.grad(main + 0.3 * sum(heads), parameters)
        rate, ahead = rate_of(recipe, step, total), {}
        with torch.no_grad():
            for p, slope in zip(parameters, slopes, strict=True):
                keep = recipe.momentum
                if groups and p not in kernels:
                    keep = recipe.other_momentum
                if p.ndim > 1 and p not in kernels:
                    slope = slope + recipe.weight_decay * p
                velocity[p] = keep * velocity[p] + slope
                ahead[p] = slope + keep * velocity[p]
                if p not in kernels:
                    p -= rate * ahead[p]
            for group in filter(None, groups):
                muon_step(group, [ahead[p] for p in group], rate)
    return net.state_dict()


def largest_difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    return max((one[name].float() - other[name].float()).abs().max().item() for name in one)


def fitted(data, recipe: Recipe, net: nn.Module | None = None) -> dict[str, Tensor]:
    net = network() if net is None else net
    history = fit(net, data, None, recipe, seed=SEED, progress=False)
    assert history.stopped == ""
    return net.state_dict()


# The claims ---------------------------------------------------------------------------------------

MUON = {"optimiser": "muon", "learning_rate": 0.05, "momentum": 0.6}
CHANGES = [  # the recipe that is changed, and how
    *(({}, {"epochs": 1.5}), ({}, {"batch_size": 10}), ({}, {"learning_rate": 0.03})),
    *(({}, {"schedule": "constant"}), ({}, {"warmup": 0.6}), ({}, MUON)),
    *(({}, {"momentum": 0.0}), ({}, {"momentum": 0.4}), ({}, {"weight_decay": 0.3})),
    *(({}, {"label_smoothing": 0.3}), ({}, {"mirror": True}), ({}, {"shift": 2})),
    *(({}, {"erase": 0.7}), ({}, {"picture_size": 20})),
    ({"mirror": True, "shift": 1}, {"erase": 0.4}),  # all three, one after the other
    *((MUON, {"momentum": 0.2}), (MUON, {"other_momentum": 0.1}), (MUON, {"weight_decay": 0.5})),
    *((MUON, {"merged": True}), (MUON, {"learning_rate": 0.02})),
]


@pytest.mark.parametrize(("before", "change"), CHANGES, ids=lambda part: "-".join(part) or "sgd")
def test_fit_takes_the_steps_of_its_recipe(before, change, data):
    base = dataclasses.replace(RECIPE, **before)
    recipe = dataclasses.replace(base, **change)
    expected = by_hand(network(), data, recipe)
    assert largest_difference(expected, by_hand(network(), data, base)) > 20 * CLOSE
    assert largest_difference(expected, fitted(data, recipe)) < CLOSE


@pytest.mark.parametrize("change", [{"merged": True}, {"channels_last": True}], ids=str)
def test_what_only_makes_it_faster_takes_the_same_steps(change, data):
    recipe = dataclasses.replace(RECIPE, **change)
    assert largest_difference(by_hand(network(), data, RECIPE), fitted(data, recipe)) < CLOSE


@pytest.mark.parametrize("wanted", [True, False])
def test_channels_last_is_how_weights_and_maps_lie_in_memory(wanted, data):
    net, seen = network(), set()

    def note(conv, inputs, output):
        for tensor in (conv.weight, output):
            seen.add(tensor.is_contiguous(memory_format=torch.channels_last))

    net[1].branch_3x3[1].conv.register_forward_hook(note)
    fitted(data, dataclasses.replace(RECIPE, channels_last=wanted), net)
    assert seen == {wanted}


@pytest.mark.parametrize(
    ("precision", "fast", "kind"),
    [
        ("auto", True, torch.bfloat16),
        ("auto", False, torch.float32),
        ("float32", True, torch.float32),
    ],
)
def test_precision_is_that_of_the_convolutions(precision, fast, kind, data, monkeypatch):
    monkeypatch.setattr(runs, "bfloat16_is_fast", lambda device: fast)
    net, seen = network(), set()
    net[0].conv.register_forward_hook(lambda conv, inputs, output: seen.add(output.dtype))
    fitted(data, dataclasses.replace(RECIPE, precision=precision), net)
    assert seen == {kind}


def test_the_network_is_built_with_its_arguments():
    arguments = {"width": 0.25, "stem": "patch", "project_first": True, "dropout": 0.3}
    built = build_network(dataclasses.replace(RECIPE, network=arguments))
    assert str(built) == str(FashionGoogLeNet(**arguments)) != str(FashionGoogLeNet(0.25))


def test_every_field_of_a_recipe_is_held_by_a_test_here():
    held = {name for _, change in CHANGES for name in change}
    elsewhere = {"channels_last", "precision", "network"}
    elsewhere |= {"cuda_graph"}  # in test_bench_gpu.py
    words = {"name", "purpose"}
    assert held | elsewhere | words == {field.name for field in dataclasses.fields(Recipe)}


class Output(NamedTuple):
    logits: Tensor
    aux1: Tensor
    aux2: Tensor


class Headed(nn.Module):
    """Two heads that answer in train mode alone, as those of GoogLeNet do."""

    def __init__(self):
        super().__init__()
        self.body = ConvUnit(1, 6, 4, stride=4, norm="batch")
        self.last, self.aux1, self.aux2 = (nn.Linear(6 * 49, 10) for _ in range(3))

    def forward(self, images):
        maps = self.body(images).flatten(1)
        logits = self.last(maps)
        return Output(logits, self.aux1(maps), self.aux2(maps)) if self.training else logits


def test_a_net_with_heads_learns_from_each_of_them_with_the_weight_of_the_paper(data):
    torch.manual_seed(0)
    net, start = Headed(), Headed()
    start.load_state_dict(net.state_dict())
    recipe = dataclasses.replace(RECIPE, label_smoothing=0.3)
    history = fit(net, data, data, recipe, seed=SEED, progress=False)
    assert largest_difference(by_hand(start, data, recipe), net.state_dict()) < CLOSE
    first = history.losses[0][1]  # of the last head alone, to be compared with others
    assert first == pytest.approx(2.3, abs=0.3) and "val_loss" in history.epochs[-1]

"""Training on data that cannot work stops at once with the reason; what is odd but meaningful
works."""

import dataclasses
import itertools

import pytest
import torch
from torch import nn

from gnet_utils import training
from gnet_utils.recipes import Recipe
from gnet_utils.training import evaluate, fit

RECIPE = Recipe(
    "bad data", "", epochs=3, batch_size=8, learning_rate=0.05, schedule="constant", merged=False
)


class Small(nn.Module):
    """One layer and batch norm, so that a run takes no time."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.linear = nn.BatchNorm2d(1), nn.Linear(784, 10)

    def forward(self, x):
        return self.linear(self.norm(x).flatten(1))


def network() -> nn.Module:
    torch.manual_seed(0)
    return Small()


def some_data(count: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 1, 28, 28), generator=generator, dtype=torch.uint8)
    return images, torch.arange(count) % 10


@pytest.fixture(autouse=True)
def full_length(monkeypatch) -> None:
    monkeypatch.delenv("GNET_QUICK", raising=False)


def weights_after(epochs: int) -> dict[str, torch.Tensor]:
    net = network()
    if epochs == 0:
        return net.state_dict()
    fit(net, some_data(), None, dataclasses.replace(RECIPE, epochs=epochs), progress=False)
    return net.state_dict()


def same(one: dict, other: dict) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize(
    ("rate", "step"),
    [
        *((float("inf"), step) for step in (5, 7, 9, 14)),
        *((float("nan"), step) for step in (0, 9, 14)),
        (1e38, 7),  # finite still, for one step more
    ],
)
def test_weights_that_blow_up_at_any_step_stop_the_run_with_the_last_good_ones(
    rate, step, tmp_path, monkeypatch
):
    """5 steps an epoch; step 9 and 14 (from 0) end one, where the loss does not show it yet."""
    rates = itertools.chain([0.05] * step, [rate], itertools.repeat(0.05))
    monkeypatch.setattr(training, "learning_rate", lambda *_: next(rates))
    net, state = network(), tmp_path / "state"
    history = fit(net, some_data(), None, RECIPE, state=state, progress=False)
    good = step // 5
    assert f"the weights are those after epoch {good}" in history.stopped
    assert "try a smaller learning rate than 0.05" in history.stopped
    assert len(history.epochs) == good
    assert all(tensor.isfinite().all() for tensor in net.state_dict().values())
    monkeypatch.undo()
    monkeypatch.delenv("GNET_QUICK", raising=False)
    assert same(net.state_dict(), weights_after(good))
    again = network()  # the state kept the last good epoch too: with a sane rate it goes on
    history = fit(again, some_data(), None, RECIPE, state=state, progress=False)
    assert history.stopped == "" and same(again.state_dict(), weights_after(3))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_no_number_stops_at_that_step(value, monkeypatch):
    steps = itertools.count(1)

    def loss(logits, labels, **options):
        return nn.functional.nll_loss(logits, labels) + (value if next(steps) == 7 else 0)

    monkeypatch.setattr(training.F, "cross_entropy", loss)
    history = fit(network(), some_data(), None, RECIPE, progress=False)
    assert f"the loss became {value} at step 7 of 15" in history.stopped.replace("-nan", "nan")
    assert next(steps) == 8


@pytest.mark.parametrize("label", [-1, 10, 255, -(2**40), 2**40])
def test_one_label_out_of_range_is_named_before_the_first_step(label):
    images, labels = some_data()
    labels[17] = label
    for action in (
        lambda: fit(network(), (images, labels), None, RECIPE, progress=False),
        lambda: fit(network(), some_data(), (images, labels), RECIPE, progress=False),
        lambda: evaluate(network(), (images, labels)),
    ):
        with pytest.raises(ValueError, match=rf"labels (must be 0 or more, got|up to) {label}"):
            action()


@pytest.mark.parametrize("count", [0, 1])
def test_no_data_and_one_picture_are_named(count):
    with pytest.raises(ValueError, match=f"must hold 2 or more pictures, got {count}"):
        fit(network(), some_data(count), None, RECIPE, progress=False)


MISFITS = {
    "no tensors": (lambda x, y: (x.numpy(), y), "got ndarray and Tensor: turn each"),
    "a list of labels": (lambda x, y: (x, y.tolist()), "got Tensor and list: turn each"),
    "two channels": (lambda x, y: (x.repeat(1, 2, 1, 1), y), r"uint8, got \(40, 2, 28, 28\)"),
    "colours last": (
        lambda x, y: (x.permute(0, 2, 3, 1).repeat(1, 1, 1, 3), y),
        r"got \(40, 28, 28, 3\) uint8: put the colours second",
    ),
}


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize("kind", MISFITS)
def test_data_of_another_form_are_named_before_the_first_step(kind, part):
    change, words = MISFITS[kind]
    net, before, bad = network(), network().state_dict(), change(*some_data())
    pair = (bad, None) if part == "train" else (some_data(), bad)
    with pytest.raises(ValueError, match=rf"^{part} .*\(N, 1 or 3, H, W\).*{words}"):
        fit(net, *pair, RECIPE, progress=False)
    assert same(net.state_dict(), before)


def test_a_network_for_fewer_classes_is_named():
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 5))
    with pytest.raises(ValueError, match=r"model must give \(N, 10\) logits .* got \(8, 5\)"):
        fit(net, some_data(), None, RECIPE, progress=False)


def test_a_network_without_weights_is_named():
    with pytest.raises(ValueError, match="model has no weights to train, got Flatten"):
        fit(nn.Flatten(), some_data(), None, RECIPE, progress=False)


def test_one_class_only_is_learned():
    images, labels = some_data()
    one_class = images, torch.full_like(labels, 3)
    net = network()
    history = fit(net, one_class, one_class, dataclasses.replace(RECIPE, epochs=8), progress=False)
    assert history.stopped == "" and history.epochs[-1]["val_accuracy"] == 1.0


def test_equal_pictures_do_not_divide_by_their_spread():
    images, labels = some_data()
    history = fit(network(), (torch.zeros_like(images), labels), None, RECIPE, progress=False)
    assert history.stopped == ""


@pytest.mark.parametrize("batch_size", [39, 40, 41, 10**9])
def test_a_batch_as_large_as_the_data_or_larger_is_all_of_it(batch_size):
    recipe = dataclasses.replace(RECIPE, batch_size=batch_size)
    history = fit(network(), some_data(), None, recipe, progress=False)
    assert len(history.epochs) == 3 and history.stopped == ""


def test_a_last_batch_of_one_picture_does_not_break_batch_norm():
    history = fit(network(), some_data(41), None, RECIPE, progress=False)
    assert history.stopped == ""

"""Changes of the recipe `five_minutes` do what they are called, in the seconds of the control."""

import dataclasses
import json

import pytest
import torch
from torch import nn

from gnet_utils import experiments
from gnet_utils.experiments import five_minutes
from gnet_utils.experiments.five_minutes import RUNS, Change, steps_of, trained
from gnet_utils.models import FashionGoogLeNet
from gnet_utils.recipes import get_recipe

RECIPE = dataclasses.replace(get_recipe("five_minutes"), epochs=4, batch_size=4)


class Watched(nn.Module):
    """A tiny network that remembers the pictures that it was trained on."""

    def __init__(self):
        super().__init__()
        self.seen, self.weights = [], []
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.linear = nn.Linear(4, 10)

    def forward(self, images):
        self.seen.append(images.detach().clone())
        self.weights.append(self.linear.weight.detach().clone())
        return self.linear(self.body(images).mean((2, 3)))


@pytest.fixture
def data():
    """Sixteen pictures, told apart by their corner, none its own mirror image."""
    images = torch.zeros(16, 1, 28, 28, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(100, 260, 10)[:16].clamp_max(255).to(torch.uint8)
    return images, torch.arange(16) % 10


def run(data, change: Change):
    torch.manual_seed(0)
    return trained(Watched(), data, RECIPE, change)[0]


def test_without_a_change_an_epoch_shows_each_picture_once():
    torch.manual_seed(0)
    steps = list(steps_of(16, RECIPE, Change()))
    assert len(steps) == 16 and [step.epoch for step in steps[3:5]] == [0, 1]
    for epoch in range(4):
        rows = torch.cat([step.rows for step in steps if step.epoch == epoch])
        assert sorted(rows.tolist()) == list(range(16))
    assert [step.share for step in steps] == [number / 16 for number in range(16)]


def test_a_budget_ends_a_run_by_the_seconds_of_the_processor(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(five_minutes.time, "process_time", lambda: next(clock))
    steps = list(steps_of(16, RECIPE, Change(), budget=10))
    assert steps[-1].share == 0.9 and len(steps) < 10


def test_small_pictures_that_cost_half_are_twice_as_many_in_their_part_of_the_run():
    recipe, change = dataclasses.replace(RECIPE, epochs=50), Change(first_size=20)
    steps = list(steps_of(64, recipe, change, cost=0.5))
    small = sum(step.share < five_minutes.FIRST for step in steps)
    whole = 50 * 64 / 4
    assert small == pytest.approx(2 * five_minutes.FIRST * whole, abs=1)
    assert len(steps) - small == pytest.approx((1 - five_minutes.FIRST) * whole, abs=1)


def test_costs_give_each_change_as_many_pictures_as_its_seed_0_had():
    control = experiments.recorded("five_minutes")["control"][0]["pictures"]
    for name, (first, *_) in experiments.recorded("five_minutes").items():
        cost = five_minutes.cost_of(name)
        share = five_minutes.FIRST if RUNS[name].first_size != 28 else 1
        assert control * (share / cost + 1 - share) == pytest.approx(first["pictures"])


def test_large_batches_come_in_the_last_part_only():
    steps = list(steps_of(64, RECIPE, Change(last_batch=8)))
    for step in steps:
        assert len(step.rows) == (8 if step.share > 1 - five_minutes.LAST else 4)
    assert {len(step.rows) for step in steps} == {4, 8}


def test_alternating_shows_both_forms_of_a_picture_in_two_epochs(data):
    shown = torch.cat(run(data, Change(alternating=True)).seen)
    for first, second in zip(*(_by_picture(part) for part in shown.split(16)[:2]), strict=True):
        assert torch.equal(first, second.flip(2)) and not torch.equal(first, second)
    by_chance = torch.cat(run(data, Change()).seen)
    one, two = (_by_picture(part) for part in by_chance.split(16)[:2])
    assert any(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def _by_picture(shown):
    """Pictures of one epoch in the order of their brightest pixel."""
    return shown[shown.amax((1, 2, 3)).argsort()]


def test_the_first_pictures_are_smaller_and_the_last_are_not(data):
    sizes = [images.shape[-1] for images in run(data, Change(first_size=20)).seen]
    assert sizes == [20] * 7 + [28] * 9  # of 16 steps, 7 begin before 40% are over


def test_averaged_weights_are_the_mean_over_the_steps_of_the_last_epoch(data):
    net = run(data, Change(averaged=True))
    last = torch.stack(net.weights[13:])  # before the steps 14 to 16: their share is above 0.75
    assert torch.allclose(net.linear.weight, last.mean(0), atol=1e-6)
    assert not torch.allclose(run(data, Change()).linear.weight, last.mean(0), atol=1e-6)


@pytest.mark.parametrize("name", RUNS)
def test_each_change_trains_the_networks_of_the_recipe(name, data):
    torch.manual_seed(0)
    small = FashionGoogLeNet(**{**RECIPE.network, "width": 0.125})
    recipe = dataclasses.replace(RECIPE, epochs=1)
    change = dataclasses.replace(RUNS[name], last_batch=RUNS[name].last_batch and 8)
    net, seen = trained(small, data, recipe, change)
    assert 16 <= seen <= 20 and all(part.isfinite().all() for part in net.parameters())


def test_seed_0_has_the_seconds_of_its_control_and_later_seeds_the_pictures_of_seed_0(
    data, tmp_path, monkeypatch
):
    made = []

    def note(net, train, recipe, change, **length):
        made.append((change, length))
        return net, 8 if change.averaged else 10

    monkeypatch.setattr(experiments, "RUNS", tmp_path)
    monkeypatch.setattr(five_minutes, "load_fashion_mnist", lambda *_, **__: data)
    monkeypatch.setattr(five_minutes, "split_train_validation", lambda *_, **__: (data, data))
    monkeypatch.setattr(five_minutes, "trained", note)
    monkeypatch.setattr(five_minutes.torch, "set_num_threads", lambda count: None)
    five_minutes.record("averaged", seed=2)
    control = json.loads((tmp_path / "five_minutes" / "control-seed0.json").read_text())
    assert made == [
        (Change(), {"cost": 1.0}),
        (RUNS["averaged"], {"budget": control["processor_seconds"]}),
        (RUNS["averaged"], {"cost": 1.25}),
    ]
    assert control["pictures"] == 10 and 0 <= control["validation_accuracy"] <= 1

"""What notebook 06 takes from the package: first steps, heads, gradients, records."""

import json
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gnet_utils import experiments
from gnet_utils.base import CourseError
from gnet_utils.course import notebooks
from gnet_utils.data import load_fashion_mnist, prepare
from gnet_utils.experiments import heads, recorded, start
from gnet_utils.experiments.heads import (
    GRID,
    HeadedGoogLeNet,
    Setting,
    accuracies,
    gradients,
    train_with_heads,
    weighted_loss,
)
from gnet_utils.experiments.start import RUNS, Start, first_steps, spread
from gnet_utils.explorers import n06, running_mean

SEEDS = 3  # of the runs whose outcome differs from seed to seed: those with Kaiming's weights


def some_data(count: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Blobs that differ from each other, uint8, and labels."""
    torch.manual_seed(0)
    blobs = F.interpolate(torch.rand(count, 1, 5, 5), size=28, mode="bicubic").clamp(0, 1)
    return (255 * blobs).to(torch.uint8), torch.arange(count) % 10


# The first steps of the plateau -------------------------------------------------------------------


def test_pictures_grow_alike_without_batch_norm_and_stay_apart_with_it():
    blobs = torch.nn.functional.interpolate(torch.rand(32, 1, 4, 4), size=28, mode="bicubic")
    last = {}
    for name in ("tutorial", "initialisation", "batch_norm"):
        torch.manual_seed(0)
        last[name] = spread(RUNS[name].net(), blobs)["linear"]
    assert last["tutorial"] < 0.02 < 0.1 < last["initialisation"] < last["batch_norm"]


def test_each_change_is_made_and_no_other():
    kinds = {
        name: sum(isinstance(m, nn.BatchNorm2d) for m in RUNS[name].net().modules())
        for name in ("tutorial", "initialisation", "warm_up", "batch_norm")
    }
    assert kinds == {
        "tutorial": 0,
        "initialisation": 0,
        "warm_up": 0,
        "batch_norm": 56,
    }
    biases = [m.bias for m in RUNS["initialisation"].net().modules() if isinstance(m, nn.Conv2d)]
    assert all((bias == 0).all() for bias in biases)
    assert any((m.bias != 0).any() for m in RUNS["tutorial"].net().modules() if hasattr(m, "bias"))


def test_the_first_steps_repeat_and_end_in_time():
    settings = Start(batch_norm=True, batch=8, steps=3)

    def losses():
        torch.manual_seed(0)
        return list(first_steps(settings.net(), some_data(), settings))

    assert losses() == losses()
    assert len(losses()) == 3


def test_warm_up_begins_with_small_steps():
    moved = {}
    for warm_up in (False, True):
        settings = Start(batch_norm=True, warm_up=warm_up, batch=8, steps=40)
        torch.manual_seed(0)
        net = settings.net()
        before = net.linear.bias.clone()
        next(iter(first_steps(net, some_data(), settings)))
        moved[warm_up] = (net.linear.bias - before).norm().item()
    assert moved[True] == pytest.approx(0.1 * moved[False], rel=1e-3)


def test_a_run_is_recorded_once_with_all_that_is_needed_to_repeat_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiments, "RUNS", tmp_path)
    monkeypatch.setattr(start, "load_fashion_mnist", lambda split, source: some_data())
    monkeypatch.setitem(start.RUNS, "tiny", Start(batch=8, steps=2))
    start.record("tiny", seed=3)
    file = tmp_path / "start" / "tiny-seed3.json"
    run = json.loads(file.read_text())
    assert run["command"].endswith("start tiny") and run["seed"] == 3 and len(run["loss"]) == 2
    file.write_text(json.dumps(run | {"loss": ["kept"]}))
    start.record("tiny", seed=3)
    assert json.loads(file.read_text())["loss"] == ["kept"]


@pytest.mark.parametrize("name", RUNS)
def test_every_run_is_recorded_as_its_recipe_says(name):
    runs = recorded("start").get(name, [])
    assert runs, f"record it: python -m gnet_utils.experiments.start {name}"
    for run in runs:
        stored = {key: run["recipe"].get(key) for key in Start.__dataclass_fields__}
        settings = {key: value for key, value in stored.items() if value is not None}
        assert Start(**settings) == RUNS[name]
        assert len(run["loss"]) == RUNS[name].steps and all(map(math.isfinite, run["loss"]))
        assert all(run[key] for key in ("date", "versions", "machine", "seconds", "parameters"))


# The network --------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", heads.INITIALISATIONS)
@pytest.mark.parametrize("pair", [("plain", "heads"), ("norm", "both")])
def test_nets_with_and_without_heads_begin_with_the_same_body(pair, start):
    without, with_heads = (GRID[f"{net}_{start}"].net(seed=4).state_dict() for net in pair)
    assert all(torch.equal(without[name], with_heads[name]) for name in without)
    other = GRID[f"{pair[0]}_{start}"].net(seed=5).state_dict()
    assert not torch.equal(without["linear.weight"], other["linear.weight"])


def test_three_answers_in_training_one_in_evaluation():
    net, images = GRID["both_kaiming"].net(), torch.randn(2, 1, 28, 28)
    output = net.train()(images)
    assert [tuple(part.shape) for part in output] == [(2, 10)] * 3
    answer = net.eval()(images)
    assert torch.equal(answer, net.exits(images).logits)
    assert not torch.allclose(answer, net.exits(images).aux1)


@pytest.mark.parametrize(("head", "last_block"), [("aux1", "4a"), ("aux2", "4d")])
def test_a_head_reaches_the_blocks_before_it_and_no_other(head, last_block):
    net = HeadedGoogLeNet()
    getattr(net.exits(torch.randn(2, 1, 28, 28)), head).sum().backward()
    blocks = [name for name, _ in net.stages() if name.startswith("inception")]
    reached = [
        name
        for name in blocks
        if any(p.grad is not None for p in net.get_submodule(name).parameters())
    ]
    assert reached[-1] == f"inception_{last_block}" and reached == blocks[: len(reached)]


# Loss and gradients -------------------------------------------------------------------------------


def test_the_weight_counts_for_the_heads_only():
    net, (images, labels) = GRID["heads_kaiming"].net(), some_data()
    output = net.train()(images.float() / 255)
    losses = [F.cross_entropy(part, labels).item() for part in output]
    assert weighted_loss(output, labels, 0.3).item() == pytest.approx(
        losses[0] + 0.3 * (losses[1] + losses[2]), rel=1e-5
    )
    assert weighted_loss(output.logits, labels, 0.3).item() == pytest.approx(losses[0])


def test_default_weights_let_gradients_vanish_heads_lift_them_batch_norm_keeps_them():
    data = some_data()
    norms = {
        net: gradients(GRID[f"{net}_default"].net(), data, 0.3)
        for net in ("plain", "heads", "norm")
    }
    shares = {net: found["conv1"] / found["linear"] for net, found in norms.items()}
    assert shares["plain"] < 1e-4
    assert 20 * shares["plain"] < shares["heads"] < 0.1
    assert shares["norm"] > 0.1
    assert norms["heads"]["inception_5b"] == pytest.approx(norms["plain"]["inception_5b"], rel=0.01)


def test_looking_at_gradients_leaves_the_net_as_it_was():
    net = GRID["both_kaiming"].net()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    gradients(net, some_data(), 0.3)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


def test_the_first_steps_repeat_and_name_the_last_head_first():
    setting = Setting(heads=True, batch_norm=True, batch=8, steps=3)

    def losses():
        return list(train_with_heads(setting.net(), some_data(), setting))

    first = losses()
    assert first == losses() and [len(row) for row in first] == [3, 3, 3]
    net, (images, labels) = setting.net().train(), some_data()
    rows = torch.randperm(32, generator=torch.Generator().manual_seed(0))[:8]
    loss = F.cross_entropy(net(heads.to_float(images[rows])).logits, labels[rows])
    assert first[0][0] == pytest.approx(loss.item(), abs=1e-4)


def test_the_weight_changes_what_the_body_learns():
    def moved(weight):
        setting = replace(GRID["both_kaiming"], weight=weight, batch=8, steps=1)
        net = setting.net()
        list(train_with_heads(net, some_data(), setting))
        return net.conv1.conv.weight

    assert not torch.equal(moved(0.3), moved(1.0))


def test_accuracies_come_from_all_heads():
    images, labels = some_data()
    assert len(accuracies(GRID["both_kaiming"].net(), (images, labels))) == 3
    assert len(accuracies(GRID["norm_kaiming"].net(), (images, labels))) == 1


# Records ------------------------------------------------------------------------------------------


def test_a_run_is_recorded_with_all_that_the_notebook_shows(monkeypatch, capsys):
    data = some_data()
    run = heads.run_setting(Setting(heads=True, batch=8, steps=2), 0, data, data)
    assert len(run["loss"]) == 2 and [len(losses) for losses in run["head_losses"]] == [2, 2]
    assert {"conv1", "linear"} <= set(run["gradients"]) and run["spread"]["conv1"] > 0
    assert len(run["head_accuracies"]) == 2


@pytest.mark.parametrize("name", GRID)
def test_every_run_is_recorded_with_its_seeds_as_its_setting_says(name):
    runs = recorded("heads").get(name, [])
    assert len(runs) >= (SEEDS if "kaiming" in name else 1), (
        f"record them: python -m gnet_utils.experiments.heads {name}"
    )
    assert [run["seed"] for run in runs] == list(range(len(runs)))
    for run in runs:
        fields = {key: run["recipe"][key] for key in Setting.__dataclass_fields__}
        assert Setting(**fields) == GRID[name]
        assert len(run["loss"]) == run["recipe"]["steps"] and all(map(math.isfinite, run["loss"]))
        assert all(run[key] for key in ("date", "versions", "machine", "seconds", "parameters"))


# What the text says of the runs -------------------------------------------------------------------


def prose() -> str:
    """The text of notebook 06 on one line."""
    (path,) = notebooks.find_notebooks(["06"])
    cells = notebooks.read(path)["cells"]
    return " ".join(" ".join(c["source"] for c in cells if c["cell_type"] == "markdown").split())


def test_only_batch_norm_falls_within_50_steps_and_the_warm_up_changes_nothing():
    early, late = {}, {}
    for name, same in recorded("start").items():
        if name != "tutorial_96":
            assert len(same) == 2
            early[name] = [sum(run["loss"][40:50]) / 10 for run in same]
            late[name] = [sum(run["loss"][-20:]) / 20 for run in same]
    assert max(early["batch_norm"]) < 0.9
    assert all(min(early[name]) > 2.2 for name in early if name != "batch_norm")
    assert late["warm_up"] == pytest.approx(late["tutorial"], abs=0.01)
    assert min(late["initialisation"]) < 2.1 < 2.25 < max(late["initialisation"])


def test_the_tutorial_itself_leaves_the_plateau_after_some_200_steps_and_comes_back():
    (run,) = recorded("start")["tutorial_96"]
    smooth = running_mean(run["loss"], 52)
    assert (smooth[:200] > 2.28).all() and smooth.min() < 2.15 and smooth[-1] > 2.28


def test_logits_hardly_differ_with_the_tutorials_weights_in_three_draws():
    images = some_data(64)[0].float() / 255
    if prepare().kind == "real":
        images = load_fashion_mnist("train")[0][:64].float() / 255
    differ = {}
    for name in ("tutorial", "zero_biases", "initialisation", "batch_norm"):
        for seed in range(3):
            torch.manual_seed(seed)
            with torch.no_grad():
                logits = RUNS[name].net().train()(images)
            size = (logits - logits.mean(0)).square().mean().sqrt().item()
            differ.setdefault(name, []).append(size)
    assert max(differ["tutorial"] + differ["zero_biases"]) < 0.004
    assert min(differ["initialisation"] + differ["batch_norm"]) > 0.04
    assert "the logits hardly differ" in prose()


def test_no_net_of_pytorchs_weights_leaves_the_plateau_with_heads_all_do_with_batch_norm():
    waits = {
        name: [n06.plateau_steps(run["loss"]) for run in recorded("heads")[name]] for name in GRID
    }
    assert waits["plain_default"] == waits["heads_default"] == [None] * 3
    with_norm = [wait for name in waits if name[:4] in ("norm", "both") for wait in waits[name]]
    assert max(with_norm) <= 30, "within thirty steps"
    shares = [run["spread"]["inception_4a"] for run in recorded("heads")["plain_default"]]
    assert f"{100 * min(shares):.0f} to {max(shares):.0%} of what 4a puts out" in prose()


def conv1(name: str) -> list[float]:
    return [run["gradients"]["conv1"] for run in recorded("heads")[name]]


def test_heads_raise_a_vanished_gradient_36_to_121_times_one_number_for_each_seed():
    pairs = zip(conv1("plain_default"), conv1("heads_default"), strict=True)
    raised = [with_heads / without for without, with_heads in pairs]
    assert [round(ratio) for ratio in raised] == [121, 74, 36]
    assert "Not even 121 times more" in prose()


def test_heads_change_no_gradient_by_more_than_7_percent_where_there_is_batch_norm():
    for name in n06.STARTS:
        pairs = zip(*(recorded("heads")[f"{net}_{name}"] for net in ("norm", "both")), strict=True)
        for pair in pairs:
            first, second = (run["gradients"] for run in pair)
            assert all(second[stage] == pytest.approx(first[stage], rel=0.075) for stage in first)
    assert "the heads change next to nothing" in prose()


def test_heads_beside_batch_norm_win_four_of_nine_pairs_and_less_than_the_error():
    pairs = [
        (100 * with_heads["accuracy"], 100 * without["accuracy"])
        for start in n06.STARTS
        for with_heads, without in zip(
            recorded("heads")[f"both_{start}"], recorded("heads")[f"norm_{start}"], strict=True
        )
    ]
    change = torch.tensor([with_heads - without for with_heads, without in pairs])
    assert len(change) == 9 and (change > 0).sum() == 4
    assert 0 < change.mean() < change.std() / 3
    assert "higher in four of nine pairs, and the mean is smaller than its error" in prose()


# Figures ------------------------------------------------------------------------------------------


def test_both_figures_have_a_panel_for_each_initialisation_and_a_line_for_each_net():
    for figure, lines in ((n06.gradients_at_start(), 4), (n06.losses_by_step(), 5)):
        assert [ax.get_title() or ax.get_title("left") for ax in figure.axes] == list(
            n06.STARTS.values()
        )
        for ax in figure.axes[1:]:  # the first has the empty lines of the legend, too
            assert len(ax.get_lines()) == lines
        assert [text.get_text() for text in figure.legends[0].get_texts()] == [
            name for name, _ in n06.NETS.values()
        ]


def test_missing_records_are_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("gnet_utils.experiments.RUNS", tmp_path)
    with pytest.raises(CourseError, match="holds no recorded run"):
        recorded("heads")


def test_the_plateau_ends_when_the_running_mean_falls_below_the_level():
    assert n06.plateau_steps([2.3] * 20 + [0.0] * 20) == 20
    assert n06.plateau_steps([2.3] * 20) is None
    one_good_batch = [2.3] * 10 + [1.9] + [2.3] * 10
    assert n06.plateau_steps(one_good_batch) is None, "one good batch is no end"
    assert running_mean([3.0, 1.0, 2.0, 6.0], window=2).tolist() == [3.0, 2.0, 1.5, 4.0]

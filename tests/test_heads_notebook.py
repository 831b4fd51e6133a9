"""What notebook 06 takes from the package: heads, their gradients, recorded runs, early exits."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gnet_utils.base import CourseError
from gnet_utils.counting import count_macs
from gnet_utils.course import notebooks
from gnet_utils.data import load_fashion_mnist, prepare, to_float
from gnet_utils.experiments import heads, recorded
from gnet_utils.experiments.heads import (
    EXITS,
    GRID,
    SWEEP,
    HeadedGoogLeNet,
    Setting,
    SmallHead,
    accuracies,
    exit_macs,
    gradients,
    load_exits,
    train_with_heads,
    weighted_loss,
)
from gnet_utils.explorers import n06

SEEDS = 3  # of the runs whose outcome differs from seed to seed: those with Kaiming's weights


def some_data(count: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Blobs that differ from each other, uint8, and labels."""
    torch.manual_seed(0)
    blobs = F.interpolate(torch.rand(count, 1, 5, 5), size=28, mode="bicubic").clamp(0, 1)
    return (255 * blobs).to(torch.uint8), torch.arange(count) % 10


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


def test_the_exercise_counts_a_head_without_batch_norm():
    head = SmallHead(128, width=0.25)
    heads.remove_batch_norm(head)
    assert sum(p.numel() for p in head.parameters()) == 80_682


def test_exits_cost_the_body_so_far_and_the_heads_asked():
    net = HeadedGoogLeNet().eval()
    first, second, end = exit_macs(net)
    assert first < second < end
    head_macs = sum(count_macs(h, (1, c, 7, 7)) for h, c in ((net.aux1, 64), (net.aux2, 66)))
    assert end == count_macs(net, (1, 1, 28, 28)) + head_macs


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
        net: gradients(GRID[f"{net}_default"].net(), data, 0.3)["all"]
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
    monkeypatch.setattr(heads, "PROBE_STEPS", (0, 1, 2))
    data = some_data()
    run = heads.run_setting(Setting(heads=True, batch=8, steps=2), 0, data, data)
    assert len(run["loss"]) == 2 and [len(losses) for losses in run["head_losses"]] == [2, 2]
    assert set(run["gradients"]) == {0, 1, 2} and set(run["gradients"][0]) == {"all", "last"}
    assert len(run["head_accuracies"]) == 2


@pytest.mark.parametrize("name", [*GRID, *SWEEP])
def test_every_run_is_recorded_with_its_seeds_as_its_setting_says(name):
    runs = recorded("heads").get(name, [])
    assert len(runs) >= (SEEDS if "kaiming" in name else 1), (
        f"record them: python -m gnet_utils.experiments.heads {name}"
    )
    assert [run["seed"] for run in runs] == list(range(len(runs)))
    for run in runs:
        fields = {key: run["recipe"][key] for key in Setting.__dataclass_fields__}
        assert Setting(**fields) == (GRID | SWEEP)[name]
        assert len(run["loss"]) == run["recipe"]["steps"] and all(map(math.isfinite, run["loss"]))
        assert all(run[key] for key in ("date", "versions", "machine", "seconds", "parameters"))


# What the text says of the runs -------------------------------------------------------------------


def prose() -> str:
    """The text of notebook 06 on one line."""
    (path,) = notebooks.find_notebooks(["06"])
    cells = notebooks.read(path)["cells"]
    return " ".join(" ".join(c["source"] for c in cells if c["cell_type"] == "markdown").split())


def conv1(name: str) -> list[float]:
    return [run["gradients"]["0"]["all"]["conv1"] for run in recorded("heads")[name]]


def test_heads_raise_a_vanished_gradient_38_to_117_times_one_number_for_each_seed():
    pairs = zip(conv1("plain_default"), conv1("heads_default"), strict=True)
    raised = [with_heads / without for without, with_heads in pairs]
    assert "{:.0f}, {:.0f} and {:.0f} times in the three seeds".format(*raised) in prose()
    assert "100 times more" not in prose() and "hundred times more" not in prose()


def test_heads_change_no_gradient_by_more_than_7_percent_where_there_is_batch_norm():
    for start in n06.START_TITLES:
        pairs = zip(*(recorded("heads")[f"{net}_{start}"] for net in ("norm", "both")), strict=True)
        for pair in pairs:
            first, second = (run["gradients"]["0"]["all"] for run in pair)
            assert all(second[stage] == pytest.approx(first[stage], rel=0.075) for stage in first)
    assert "change no stage by more than 7%" in prose()


def test_batch_norm_levels_the_slope_but_not_with_kaimings_weights():
    slopes = {}
    for start in n06.START_TITLES:
        stages = [n06.stage_norms(f"norm_{start}", step) for step in (0, 50, 100, 200)]
        slopes[start] = [norms["conv1"] / norms["5b"] for norms in stages]
    assert all(0.8 < slope < 1.5 for s in ("tutorial", "default") for slope in slopes[s][1:])
    assert min(slopes["kaiming"]) > 2
    told = "{:.1f} times as much as 5b at first, then {:.1f}, {:.1f} and {:.1f} times after"
    assert told.format(*slopes["kaiming"]) in prose()


def test_signs_alone_happen_by_chance_once_in_four_and_in_18_percent():
    assert 2 * 0.5**3 == 1 / 4 and "happens by chance once in four times" in prose()
    nine = 2 * sum(math.comb(9, count) for count in (7, 8, 9)) / 2**9
    assert f"a chance of {nine:.0%}" in prose() and "once in eight" not in prose()


def test_the_last_classifier_is_the_best_while_heads_count_0_3_not_when_they_count_1():
    runs = recorded("heads")
    best = [
        run["accuracy"] > max(run["head_accuracies"])
        for start in n06.START_TITLES
        for run in runs[f"both_{start}"]
    ]
    assert (sum(best), len(best)) == (8, 9) and "the best one in eight of nine" in prose()
    heavy = [max(run["head_accuracies"]) - run["accuracy"] for run in runs["both_kaiming_1"]]
    assert sum(heavy) > 0, "with a weight of 1 the heads catch up"


@pytest.mark.data
def test_early_exits_lose_nothing_that_shows_at_0_8_and_0_4_points_at_0_7():
    if prepare().kind != "real":
        pytest.skip("the text speaks of the real Fashion-MNIST")
    net, (images, labels) = load_exits()[0], load_fashion_mnist("test")
    with torch.no_grad():
        parts = [net.exits(to_float(part)) for part in images.split(1000)]
    end, first, second = (torch.cat(part).softmax(1) for part in zip(*parts, strict=True))

    def lost_and_won(threshold: float) -> tuple[int, int]:
        odds = torch.where(second.amax(1, keepdim=True) >= threshold, second, end)
        odds = torch.where(first.amax(1, keepdim=True) >= threshold, first, odds)
        late, early = end.argmax(1) == labels, odds.argmax(1) == labels
        return int((late & ~early).sum()), int((early & ~late).sum())

    lost, won = lost_and_won(0.8)
    assert lost + won == pytest.approx(38, abs=3) and abs(lost - won) < 2 * (lost + won) ** 0.5
    lost, won = lost_and_won(0.7)
    assert lost - won == pytest.approx(38, abs=4) and lost - won > 3 * (lost + won) ** 0.5
    assert "0.3 points of standard error" not in prose()


# Explorer -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0, 200])
@pytest.mark.parametrize("start", n06.START_TITLES)
@pytest.mark.parametrize("net", n06.NET_LOOKS)
def test_every_recorded_net_is_replayed(net, start, step):
    left, right = n06.replay_heads(net, start, step).axes
    assert left.get_title() == n06.START_TITLES[start]
    assert right.get_title() == f"after {step} steps"
    everything, last = (line.get_ydata() for line in right.get_lines())
    assert len(everything) == 12
    if net in ("plain", "norm"):  # without heads both are the same
        assert list(everything) == list(last)
    else:
        assert list(everything) != list(last)


def test_missing_records_are_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("gnet_utils.experiments.RUNS", tmp_path)
    with pytest.raises(CourseError, match="holds no recorded run"):
        recorded("heads")


def test_the_plateau_ends_when_the_running_mean_falls_below_the_level():
    assert n06.plateau_steps([2.3] * 20 + [0.0] * 20) == 20
    one_good_batch = [2.3] * 10 + [1.9] + [2.3] * 10
    assert n06.plateau_steps(one_good_batch) == 21, "one good batch is no end"
    assert n06.running_mean([3.0, 1.0, 2.0, 6.0], window=2).tolist() == [3.0, 2.0, 1.5, 4.0]


# Exits --------------------------------------------------------------------------------------------


def test_the_stored_net_of_the_exits_is_the_one_its_setting_builds():
    net, about = load_exits()
    assert not net.training and about["steps"] == EXITS.steps and about["heads"]
    assert heads.CHECKPOINT.stat().st_size < 500_000
    assert any(isinstance(m, nn.BatchNorm2d) and m.running_mean.abs().sum() for m in net.modules())


@pytest.mark.data
def test_the_stored_net_answers_at_all_three_exits_as_well_as_it_says():
    if prepare().kind != "real":
        pytest.skip("the accuracy belongs to the real Fashion-MNIST")
    net, about = load_exits()
    images, labels = load_fashion_mnist("test")
    found = accuracies(net, (images[:2000], labels[:2000]))
    assert found == pytest.approx(about["accuracies"], abs=0.03)

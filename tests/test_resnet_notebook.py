"""What notebook 07 takes from the package: runs of many depths, equal sizes, drawings, judges."""

import json
import math

import pytest
import torch
from torch import nn

from gnet_utils import exercises, experiments
from gnet_utils.counting import count_parameters
from gnet_utils.errors import CourseError
from gnet_utils.experiments import depth
from gnet_utils.experiments.depth import DUEL, LADDER, Net, matched_width, run_net, train
from gnet_utils.explorers import n07
from gnet_utils.models import BasicBlock, BottleneckBlock, FashionGoogLeNet, FashionResNet

TINY = Net("residual", 0.25, 8, steps=6)


def some_data(count: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 1, 28, 28), generator=generator, dtype=torch.uint8)
    return images, torch.arange(count) % 10


# The experiment -----------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", depth.DEPTHS)
def test_the_twins_differ_in_the_sums_alone(layers):
    plain, residual = (LADDER[f"{kind}_{layers}"].build() for kind in ("plain", "residual"))
    assert count_parameters(plain) == count_parameters(residual)
    shortcuts = [b.shortcut for b in residual.modules() if isinstance(b, BasicBlock)]
    assert all(s is not None for s in shortcuts) and len(shortcuts) == (layers - 2) // 2
    assert all(b.shortcut is None for b in plain.modules() if isinstance(b, BasicBlock))


@pytest.mark.parametrize(
    ("name", "count"),
    [("equal_parameters", count_parameters), ("equal_macs", depth.fashion_macs)],
)
def test_the_rivals_of_googlenet_match_it_within_three_percent(name, count):
    google, rival = (DUEL[n].build() for n in ("googlenet", name))
    assert count(rival) / count(google) == pytest.approx(1, abs=0.03)
    assert matched_width(count(google), count, DUEL[name].depth) == DUEL[name].width


def test_no_match_is_one_sentence():
    with pytest.raises(ValueError, match="no width of depth 20 comes within 3% of 10,"):
        matched_width(10, count_parameters)


def test_a_run_repeats_and_holds_what_the_notebook_reads(capsys):
    first, again = (run_net(TINY, 3, some_data(), some_data(64), kept=64) for _ in range(2))
    first.pop("processor_seconds"), again.pop("processor_seconds")
    assert first == again
    assert len(first["loss"]) == 6 and first["pictures"] == 6 * 64
    assert [step for step, _ in first["gradients"]] == [0, 1, 2, 3, 4, 5]
    assert {len(norms) for _, norms in first["gradients"]} == {7}, "one for each convolution"
    assert 0 <= first["train_error"] <= 100 and 0 <= first["test_accuracy"] <= 100


def test_training_goes_down_on_pictures_it_sees_again(capsys):
    torch.manual_seed(0)
    losses = []
    data = tuple(part[:64] for part in some_data())
    train(FashionResNet(8, 0.5), data, 25, note=lambda step, loss, net: losses.append(loss))
    assert losses[-1] < 0.75 * losses[0]


def test_each_seed_sees_the_pictures_in_its_own_order():
    first = {}
    for seed in (0, 1):
        torch.manual_seed(0)
        note = lambda step, loss, net, seed=seed: first.setdefault(seed, loss)  # noqa: E731
        train(FashionResNet(8, 0.25), some_data(), 1, seed, note=note)
    assert first[0] != first[1]


def test_a_run_is_recorded_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiments, "RUNS", tmp_path)
    monkeypatch.setattr(depth, "load_fashion_mnist", lambda split, source: some_data())
    monkeypatch.setitem(depth.LADDER, "tiny", TINY)
    threads = torch.get_num_threads()
    depth.record("tiny", seed=3)
    torch.set_num_threads(threads)
    file = tmp_path / "depth" / "tiny-seed3.json"
    run = json.loads(file.read_text())
    assert run["command"].endswith("depth tiny") and run["setting"]["depth"] == 8
    file.write_text(json.dumps(run | {"loss": ["kept"]}))
    depth.record("tiny", seed=3)
    assert json.loads(file.read_text())["loss"] == ["kept"]


@pytest.mark.parametrize("name", [*LADDER, *DUEL])
def test_every_run_is_recorded_as_its_setting_says(name):
    runs = n07.runs().get(name, [])
    assert len(runs) >= 2, f"record it: python -m gnet_utils.experiments.depth {name}"
    for run in runs:
        setting = (LADDER | DUEL)[name]
        assert Net(**run["setting"]) == setting
        assert len(run["loss"]) == setting.steps and all(map(math.isfinite, run["loss"]))
        assert len(run["gradients"]) == n07.MOMENTS
        assert run["recipe"]["picture_size"] == depth.SIDE
        assert all(run[key] for key in ("date", "versions", "machine", "seconds", "macs"))


# What the notebook says about the recorded runs ---------------------------------------------------


def test_the_deepest_plain_net_has_the_highest_training_error():
    errors = {name: n07.over_seeds(name, "train_error")[0] for name in LADDER}
    assert max(errors, key=errors.get) == "plain_44"
    assert errors["residual_44"] < errors["plain_44"] - 2


def test_gradients_of_the_deepest_plain_net_do_not_vanish_with_batch_norm():
    for moment in range(n07.MOMENTS):
        _, norms = n07.recorded_gradients("plain_44", moment)
        assert (norms[:, :5].mean(1) > 0.2 * norms[:, -5:].mean(1)).all()


# Drawings -----------------------------------------------------------------------------------------


def test_the_replay_marks_the_step_of_its_gradients():
    figure = n07.replay(20, moment=5)
    left, right = figure.axes
    assert right.get_title("left") == "Gradients at step 299"
    assert left.get_legend_handles_labels()[1] == ["plain-20", "residual-20"]


@pytest.mark.parametrize("state", [{"depth": 9}, {"moment": 6}, {"moment": -1}])
def test_the_replay_refuses_what_was_not_recorded(state):
    with pytest.raises(ValueError, match="recorded are depths 8, 20, 44 and moments 0 to 5"):
        n07.replay(**state)


def test_missing_runs_are_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "RUNS", tmp_path)
    with pytest.raises(CourseError, match="holds no recorded run"):
        n07.runs.__wrapped__()


def test_mean_and_deviation_over_seeds(monkeypatch):
    monkeypatch.setattr(n07, "runs", lambda: {"a": [{"x": 1.0}, {"x": 3.0}], "b": [{"x": 5.0}]})
    assert n07.over_seeds("a", "x") == pytest.approx((2.0, math.sqrt(2)))
    assert n07.over_seeds("b", "x") == (5.0, 0.0)


def test_running_mean_is_that_of_the_last_values():
    assert n07.running_mean([3.0, 1.0, 2.0, 6.0], window=2).tolist() == [3.0, 2.0, 1.5, 4.0]


def test_a_block_is_drawn_as_it_is():
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    n07.draw_residual(ax, BottleneckBlock(256, 64, 1, nn.Identity()), 256, "a title")
    texts = [text.get_text() for text in ax.texts]
    assert [t for t in texts if "conv" in t] == ["1x1 conv, 64", "3x3 conv, 64", "1x1 conv, 256"]
    assert texts.count("ReLU") == 3, "after all but the last convolution, and after the sum"


# Exercises ----------------------------------------------------------------------------------------


def judge(name: str, answer: object) -> str | None:
    return exercises.exercises_of("07")[f"07.{name}"].judge(answer)


def test_a_block_that_begins_as_nothing_is_right_and_one_that_doubles_is_named():
    right = BasicBlock(16, 16, 1, nn.Identity())
    nn.init.zeros_(right.body[-1][1].weight)
    assert judge("identity", right) is None
    frozen = BasicBlock(16, 16, 1, nn.Identity()).requires_grad_(False)
    nn.init.zeros_(frozen.body[-1][1].weight)
    assert "frozen" in judge("identity", frozen)


def test_the_package_s_own_shortcut_is_right():
    from gnet_utils.models.residual import PadShortcut

    def pad_shortcut(x, out_channels, stride):
        return PadShortcut(out_channels - x.shape[1], stride)(x)

    assert judge("shortcut", pad_shortcut) is None


def test_googlenet_has_the_width_that_the_notebook_says():
    assert count_parameters(FashionGoogLeNet(0.125, dropout=0.0)) == 96_258

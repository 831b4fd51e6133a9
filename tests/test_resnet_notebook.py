"""What notebook 07 takes from the package: runs of many depths, equal sizes, drawings, judges."""

import json
import math
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.resnet import Bottleneck, resnet50

from gnet_utils import experiments
from gnet_utils.base import CourseError
from gnet_utils.counting import count_parameters
from gnet_utils.course import notebooks
from gnet_utils.data import load_fashion_mnist, prepare, to_float
from gnet_utils.evaluation import evaluate
from gnet_utils.experiments import depth, loop
from gnet_utils.experiments.depth import (
    DUEL,
    LADDER,
    LONG,
    Net,
    matched_width,
    run_long,
    run_net,
    train,
)
from gnet_utils.explorers import n07
from gnet_utils.models import BasicBlock, FashionGoogLeNet, FashionResNet
from gnet_utils.models.residual import PadShortcut

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
    assert first.pop("processor_seconds") > 0 and again.pop("processor_seconds") > 0
    assert first == again
    assert len(first["loss"]) == 6 and first["pictures"] == 6 * 128
    assert [step for step, _ in first["gradients"]] == [0, 1, 2, 3, 4, 5]
    assert {len(norms) for _, norms in first["gradients"]} == {7}, "one for each convolution"
    assert 0 <= first["train_error"] <= 100 and 0 <= first["test_accuracy"] <= 100


def test_training_goes_down_on_pictures_it_sees_again(capsys):
    torch.manual_seed(0)
    losses = []
    data = tuple(part[:64] for part in some_data())
    train(FashionResNet(8, 0.5), data, 25, note=losses.append)
    assert losses[-1] < 0.75 * losses[0]


def test_each_seed_sees_the_pictures_in_its_own_order():
    losses = []
    for seed in (0, 1):
        torch.manual_seed(0)
        train(FashionResNet(8, 0.25), some_data(), 4, seed, losses.append)
    assert losses[0] != losses[4]


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


def cells(kind: str) -> list[str]:
    (path,) = notebooks.find_notebooks(["07"])
    return [c["source"] for c in notebooks.read(path)["cells"] if c["cell_type"] == kind]


def prose() -> str:
    """The text of notebook 07 on one line."""
    return " ".join(" ".join(cells("markdown")).split())


def test_two_thirds_of_the_training_pictures_that_are_asked_were_never_shown():
    for run in n07.runs()["plain_44"]:
        order = torch.randperm(60_000, generator=torch.Generator().manual_seed(run["seed"]))
        assert 1500 < (order[: run["pictures"]] < 5000).sum() < 1600
    assert "most of these 5,000 are new to it" in prose()
    assert not any("training error" in code for code in cells("code"))
    assert LADDER["plain_44"].steps * depth.BATCH == 19_200


def test_the_deeper_plain_net_has_more_of_the_pictures_wrong_that_it_has_seen_many_times():
    ends = {}
    for name, setting in LONG.items():
        (run,) = n07.runs()[name]
        assert Net(**run["setting"]) == setting and run["pictures"] == depth.LONG_PASSES * 60_000
        assert len(run["train_errors"]) == depth.LONG_PASSES
        ends[name] = run["train_errors"][-1]
    order = ("long_residual_44", "long_residual_20", "long_plain_20", "long_plain_44")
    assert sorted(ends, key=ends.get) == list(order)
    assert ends["long_plain_44"] > 1.4 * ends["long_plain_20"]
    text = prose()
    assert "**degradation**" in text and "one seed each" in text
    for name in order:
        assert f"with {ends[name]:.1f}%" in text
    tests = [n07.runs()[name][0]["test_accuracy"] for name in LONG]
    assert max(tests) - min(tests) < 2 and "lie within two points" in text


def test_the_loop_that_the_notebook_names_is_that_of_the_runs():
    optimiser, schedule = loop.one_cycle(nn.Linear(2, 2), depth.LEARNING_RATE, 150)
    (group,) = optimiser.param_groups
    assert group["nesterov"] and group["weight_decay"] == 0.0005 and depth.BATCH == 128
    assert group["max_lr"] == 0.1 and schedule.total_steps == 150
    words = "batches of 128, SGD with Nesterov's momentum, a weight decay of 0.0005"
    assert words in prose() and "`OneCycleLR` up to the learning rate 0.1" in prose()
    about = {"learning_rate": 0.1, "batch": 128, "picture_size": 14}
    for runs in n07.runs().values():
        assert all(about.items() <= run["recipe"].items() for run in runs)


def test_the_deepest_residual_net_begins_above_3_and_is_below_guessing_after_20_steps():
    for run in n07.runs()["residual_44"]:
        losses = n07.running_mean(run["loss"], 20)
        assert losses[0] > 3 and (losses[20:] < math.log(10)).all()
    assert "*begins* above 3, worse than guessing (2.30)" in prose()
    assert "After 20 steps this is over" in prose()


def shown_losses() -> list[plt.Axes]:
    """The axes of every figure of the notebook, and of its explorer, that draws recorded losses."""
    figures = [n07.replay(layers) for layers in depth.DEPTHS]
    figures.append(n07.duel())
    plt.close("all")
    return [ax for figure in figures for ax in figure.axes if ax.get_xlabel() == "step"]


def test_no_figure_cuts_off_a_recorded_loss():
    axes = shown_losses()
    assert len(axes) == 3 + 1
    for ax in axes:
        for line in ax.lines:
            assert np.max(line.get_ydata()) <= ax.get_ylim()[1]


def of_44_layers(kind: str, seed: int) -> FashionResNet:
    torch.manual_seed(seed)
    return FashionResNet(44, 0.5, residual=kind == "residual").train()


@pytest.mark.data
def test_untrained_the_gradient_grows_backwards_and_the_sums_make_large_logits():
    if prepare().kind != "real":
        pytest.skip("the text speaks of the real Fashion-MNIST")
    images, labels = (part[:128] for part in load_fashion_mnist("train"))
    ratios, spreads = {}, {}
    for kind in n07.KINDS:
        for seed in range(3):
            net = of_44_layers(kind, seed)
            logits = net(F.avg_pool2d(to_float(images), 2))
            F.cross_entropy(logits, labels).backward()
            norms = depth.layer_gradients(net)
            ratios.setdefault(kind, []).append(sum(norms[:5]) / sum(norms[-5:]))
            spreads.setdefault(kind, []).append(logits.std().item())
    assert ratios["plain"] == pytest.approx([50, 270, 110], rel=0.1)
    assert "about 50, 270 and 110 times" in prose()
    assert all(2.8 < ratio < 4.2 for ratio in ratios["residual"])
    assert all(1.3 < spread < 1.7 for spread in spreads["residual"])
    assert all(0.25 < spread < 0.35 for spread in spreads["plain"])


def ratio_of_first_to_last(name: str) -> np.ndarray:
    _, norms = n07.recorded_gradients(name, 0)
    return norms[:, :5].mean(1) / norms[:, -5:].mean(1)


def test_the_recorded_gradients_grow_backwards_as_the_live_ones_do():
    assert ratio_of_first_to_last("plain_44") == pytest.approx([60, 237, 82], rel=0.03)
    assert all(2.8 < ratio < 4 for ratio in ratio_of_first_to_last("residual_44"))


@pytest.mark.parametrize(("name", "most"), [("plain_44", 9), ("residual_44", 3)])
def test_from_the_second_moment_on_the_gradients_of_all_layers_are_of_one_size(name, most):
    for moment in range(1, n07.MOMENTS):
        step, norms = n07.recorded_gradients(name, moment)
        line = np.exp(np.log(norms).mean(0))  # as it is drawn
        assert step >= 30 and line.max() < most * line.min()
        assert name != "plain_44" or line[:5].mean() < line[-5:].mean()
    assert "From step 30 on the growth is gone" in prose()


def test_in_the_last_step_the_first_layers_of_the_plain_net_get_a_sixth_of_the_largest_norm():
    _, norms = n07.recorded_gradients("plain_44", n07.MOMENTS - 1)
    line = np.exp(np.log(norms).mean(0))
    assert line.argmin() < 5 and line.max() / line[:5].mean() == pytest.approx(6.2, abs=0.4)
    assert "about a sixth of the largest norm" in prose()


def test_the_residual_nets_win_the_duel_by_more_than_chance():
    google = [run["test_accuracy"] for run in n07.runs()["googlenet"]]
    for name, lead in {"equal_parameters": 1.1, "equal_macs": 1.6}.items():
        rival = [run["test_accuracy"] for run in n07.runs()[name]]
        error = math.sqrt((np.var(google, ddof=1) + np.var(rival, ddof=1)) / 3)
        reach = {"equal_parameters": 0.6, "equal_macs": 0.8}[name]
        assert np.mean(rival) - np.mean(google) == pytest.approx(lead, abs=0.05)
        assert 2.776 * error == pytest.approx(reach, abs=0.05)  # Student's t, 4 degrees
    assert "by 1.1 and 1.6 points" in prose() and "±0.6 and ±0.8 points" in prose()
    seconds = {name: n07.over_seeds(name, "processor_seconds")[0] for name in DUEL}
    assert 1.5 < seconds["googlenet"] / seconds["equal_macs"] < 2
    assert "takes over one and a half times as long" in prose()


def test_published_accuracies_of_other_recipes_are_not_compared():
    text = prose()
    assert "The published networks do not tell" in text
    assert "published networks say something alike" not in text and "buys three points" not in text


def test_the_deepest_plain_net_has_the_highest_training_error():
    errors = {name: n07.over_seeds(name, "train_error")[0] for name in LADDER}
    assert max(errors, key=errors.get) == "plain_44"
    assert errors["residual_44"] < errors["plain_44"] - 2


def test_gradients_of_the_deepest_plain_net_do_not_vanish_with_batch_norm():
    for moment in range(n07.MOMENTS):
        _, norms = n07.recorded_gradients("plain_44", moment)
        assert (norms[:, :5].mean(1) > 0.1 * norms[:, -5:].mean(1)).all()


# The network and the loop on the page ------------------------------------------------------------


@pytest.fixture(scope="module")
def page() -> dict:
    """What the cells of the network and of the loop define, with the course's own block."""
    names = {"torch": torch, "nn": nn, "F": F, "Block": BasicBlock, "Shortcut": PadShortcut}
    for code in cells("code"):
        if "class SmallNet" in code or "def train(" in code:
            code = code.replace("images, labels = load_fashion_mnist", "load_fashion_mnist")
            exec(code, names)
    return names


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("layers", depth.DEPTHS)
def test_the_network_on_the_page_is_the_one_of_the_recorded_runs(page, layers, residual):
    weights = []
    for build in (page["SmallNet"], lambda n, flag: FashionResNet(n, 0.5, residual=flag)):
        torch.manual_seed(3)
        weights.append(build(layers, residual).state_dict().values())
    assert all(torch.equal(*pair) for pair in zip(*weights, strict=True))


def test_a_depth_that_is_not_6n_plus_2_is_one_sentence(page):
    with pytest.raises(AssertionError, match="45 layers: take 6n \\+ 2, such as 8, 14, 20"):
        page["SmallNet"](45)


def test_the_loop_on_the_page_is_that_of_the_recorded_runs(page, monkeypatch):
    monkeypatch.setattr(depth, "bfloat16_is_fast", lambda device: False)
    page["images"], page["labels"] = some_data()
    torch.manual_seed(0)
    losses = page["train"](page["SmallNet"](8), 10, seed=5)
    recorded = []
    torch.manual_seed(0)
    train(FashionResNet(8, 0.5), some_data(), 10, 5, recorded.append)
    assert losses == pytest.approx(recorded, rel=1e-3)


def test_the_loop_on_the_page_is_that_of_lesson_05():
    (path,) = notebooks.find_notebooks(["05"])
    solved = {name: code for _, name, code in notebooks.solutions(notebooks.read(path))}
    (own,) = (code for code in cells("code") if "def train(" in code)
    for line in solved["05.loop"].splitlines():
        if line.strip().startswith(("optimiser.", "schedule.", "loss.")):
            assert line.strip() in own, line


def test_the_name_of_a_resnet_counts_the_layers_on_the_path():
    assert "$2 \\times 16 + 2 = 34$ and $3 \\times 16 + 2 = 50$" in prose()
    with torch.device("meta"):
        convs = [m for m in resnet50().modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(convs) - 4 == 50, "projections lie beside the path"


# The long runs ------------------------------------------------------------------------------------


def test_a_long_run_that_is_stopped_goes_on_and_ends_as_if_it_was_not(
    tmp_path, monkeypatch, capsys
):
    setting = Net("residual", 0.25, 8, steps=3 * 3)  # three passes over 300 pictures
    data, test = some_data(300), some_data(64)
    whole = run_long(setting, 1, data, test, tmp_path / "whole", kept=64)
    state, looked = tmp_path / "cut", []

    def stop(*given, **options):
        looked.append(given)
        if len(looked) == 3:
            raise KeyboardInterrupt
        return evaluate(*given, **options)

    with monkeypatch.context() as patched:
        patched.setattr(depth, "evaluate", stop)
        with pytest.raises(KeyboardInterrupt):
            run_long(setting, 1, data, test, state, kept=64)
    resumed = run_long(setting, 1, data, test, state, kept=64)
    whole.pop("training_seconds"), resumed.pop("training_seconds")
    assert resumed == whole and whole["pictures"] == 900
    assert len(whole["train_errors"]) == len(whole["loss"]) == 3
    assert capsys.readouterr().out.count("pass 3: ") == 2, "the third pass alone was made again"


def test_the_state_of_another_long_run_is_one_sentence(tmp_path, capsys):
    data, state = some_data(128), tmp_path / "state"
    run_long(Net("residual", 0.25, 8, steps=1), 0, data, data, state, kept=64)
    with pytest.raises(CourseError, match="state belongs to another run: delete it"):
        run_long(Net("residual", 0.25, 8, steps=2), 0, data, data, state, kept=64)


def test_the_long_runs_are_the_twins_of_20_and_44_layers():
    assert {"long_plain_20", "long_residual_20", "long_plain_44", "long_residual_44"} == set(LONG)
    for name, setting in LONG.items():
        assert replace(setting, steps=150) == LADDER[name.removeprefix("long_")]
        assert setting.steps == depth.LONG_PASSES * math.ceil(60_000 / 128)


# Drawings -----------------------------------------------------------------------------------------


def test_the_replay_marks_the_step_of_its_gradients():
    figure = n07.replay(20, moment=5)
    left, right = figure.axes
    assert right.get_title("left") == "Gradients at step 149"
    assert left.get_legend_handles_labels()[1] == ["plain-20", "residual-20"]


def test_mean_and_deviation_over_seeds(monkeypatch):
    monkeypatch.setattr(n07, "runs", lambda: {"a": [{"x": 1.0}, {"x": 3.0}], "b": [{"x": 5.0}]})
    assert n07.over_seeds("a", "x") == pytest.approx((2.0, math.sqrt(2)))
    assert n07.over_seeds("b", "x") == (5.0, 0.0)


def test_a_block_is_drawn_as_it_is():
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    n07.draw_residual(ax, Bottleneck(256, 64), 256, "a title")
    texts = [text.get_text() for text in ax.texts]
    assert [t for t in texts if "conv" in t] == ["1x1 conv, 64", "3x3 conv, 64", "1x1 conv, 256"]
    assert texts.count("ReLU") == 3, "after all but the last convolution, and after the sum"


def test_googlenet_has_the_width_that_the_notebook_says():
    assert count_parameters(FashionGoogLeNet(0.125, dropout=0.0)) == 96_258

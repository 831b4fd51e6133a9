"""fit, evaluate, History and checkpoints: repeatable, resumable, honest about what went wrong."""

import copy
import dataclasses
import json
import re

import numpy as np
import pytest
import torch
from torch import nn

from gnet_utils import live, models, recipes, runs, training
from gnet_utils.base import CourseError
from gnet_utils.data import to_float
from gnet_utils.evaluation import accuracy
from gnet_utils.models import Inception
from gnet_utils.recipes import RECIPES, Recipe, build_network, get_recipe
from gnet_utils.runs import load_checkpoint, save_checkpoint
from gnet_utils.training import History, Timer, evaluate, fit, learning_rate

RECIPE = Recipe(
    "test",
    "a few steps for tests",
    epochs=3,
    batch_size=32,
    learning_rate=0.05,
    mirror=True,
    shift=1,
    erase=0.3,
    network={"width": 0.125, "stem": "patch"},
)


@pytest.fixture(autouse=True)
def full_length(monkeypatch):
    monkeypatch.delenv("GNET_QUICK", raising=False)


@pytest.fixture(scope="module")
def data():
    """Ten classes that a small net can learn: a bright bar at the height of the class."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(160) % 10
    images = torch.randint(0, 60, (160, 1, 28, 28), generator=generator, dtype=torch.uint8)
    for image, label in zip(images, labels, strict=True):
        image[0, 2 * label + 4 : 2 * label + 7] = 255
    return images, labels


def network() -> nn.Module:
    torch.manual_seed(0)
    return build_network(RECIPE)


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def run(data, model=None, recipe=RECIPE, **options):
    model = network() if model is None else model
    return model, fit(model, data, None, recipe, progress=False, **options)


def test_training_learns(data):
    recipe = dataclasses.replace(RECIPE, epochs=8, erase=0.0, mirror=False, shift=0)
    model, history = run(data, recipe=recipe)
    assert history.epochs[0]["train_loss"] > history.epochs[-1]["train_loss"]
    assert evaluate(model, data)[1] > 0.6


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(data):
    first, _ = run(data, seed=1)
    assert same_weights(first, run(data, seed=1)[0])
    assert not same_weights(first, run(data, seed=2)[0])


@pytest.mark.parametrize("merged", [True, False])
def test_a_run_that_was_cut_off_ends_with_the_same_weights(data, merged, tmp_path):
    recipe = dataclasses.replace(RECIPE, merged=merged)
    undisturbed, whole = run(data, recipe=recipe)
    state = tmp_path / "state.safetensors"

    class PowerCut(Exception):
        pass

    def cut(history):
        if len(history.epochs) == 2:
            raise PowerCut

    with pytest.raises(PowerCut):
        run(data, recipe=recipe, state=state, after_epoch=cut)
    continued, history = run(data, recipe=recipe, state=state)
    assert same_weights(undisturbed, continued)
    assert [entry["epoch"] for entry in history.epochs] == [1, 2, 3]
    assert [e["train_loss"] for e in history.epochs] == [e["train_loss"] for e in whole.epochs]


def test_a_state_of_another_run_is_refused(data, tmp_path):
    state = tmp_path / "state.safetensors"
    run(data, state=state)
    with pytest.raises(ValueError, match="belongs to recipe 'test', seed 0, not to 'test', seed 5"):
        run(data, state=state, seed=5)
    state.write_bytes(b"broken")
    with pytest.raises(CourseError, match="delete it to begin again"):
        run(data, state=state)


def test_the_stop_button_keeps_what_was_learned_and_says_so(data, capsys):
    def stop(history):
        raise KeyboardInterrupt

    model = network()
    history = fit(model, data, None, RECIPE, after_epoch=stop, progress=True)
    assert history.stopped == "stopped by hand after 5 of 15 steps"
    assert "stopped by hand" in capsys.readouterr().out
    assert not same_weights(model, network())


def test_a_loss_that_is_no_number_ends_the_run_with_the_last_good_weights(data):
    good, _ = run(data, recipe=dataclasses.replace(RECIPE, epochs=1, schedule="constant"))
    model, rates = network(), iter([0.05] * 5 + [float("inf")] * 99)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "learning_rate", lambda *_: next(rates))
        history = fit(model, data, None, RECIPE, progress=False)
    assert "the loss became nan at step 7 of 15; the weights are those after epoch 1" in (
        history.stopped
    )
    assert same_weights(model, good)


def test_a_state_of_other_pictures_is_refused(data, tmp_path):
    """Of the stand-in, say, where the run goes on with the real ones."""
    state = tmp_path / "state.safetensors"
    run(data, state=state)
    with pytest.raises(ValueError, match="belongs to a run on other training pictures"):
        run((255 - data[0], data[1]), state=state)


def test_a_run_that_goes_on_computes_as_it_began(data, tmp_path, monkeypatch):
    """The stopwatch that chooses bfloat16 may find otherwise the second time."""
    state, found = tmp_path / "state.safetensors", []
    monkeypatch.setattr(runs, "bfloat16_is_fast", lambda device: True)
    _, begun = run(data, state=state)
    monkeypatch.setattr(runs, "bfloat16_is_fast", lambda device: False)
    real = training.train_epoch

    def train_epoch(*arguments, half, **options):
        found.append(half)
        return real(*arguments, half=half, **options)

    monkeypatch.setattr(training, "train_epoch", train_epoch)
    place = torch.load(state.open("rb"), weights_only=True)
    place["history"]["epochs"] = place["history"]["epochs"][:1]
    for elsewhere in (False, True):
        if elsewhere:
            place["history"]["machine"]["name"] = "another processor"
        torch.save(place, state)
        found.clear()
        _, history = run(data, state=state)
        assert history.machine["bfloat16"] is not elsewhere
        assert found == [not elsewhere] * 2
    assert begun.machine["bfloat16"]


def test_every_parameter_is_in_the_optimiser_once():
    net = nn.Sequential(
        *(nn.Conv1d(2, 3, 3), nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)),
        *(nn.Conv2d(3, 3, 3), nn.Conv3d(2, 3, 3), nn.Linear(2, 2)),
    )
    net.scale = nn.Parameter(torch.ones(()))
    for kind in ("sgd", "muon"):
        optimiser = training.optimiser_of(net, dataclasses.replace(RECIPE, optimiser=kind))
        found = [id(p) for group in optimiser.param_groups for p in group["params"]]
        assert sorted(found) == sorted(id(p) for p in net.parameters())


def test_a_network_of_another_form_is_one_sentence(data):
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(784, 10)

        def forward(self, images):
            return self.linear(images.flatten(1)), images

    with pytest.raises(ValueError, match=r"must give \(N, 10\) logits .* got tuple"):
        run(data, Pair())
    few = tuple(part[data[1] < 5] for part in data)
    small = nn.Sequential(nn.Flatten(), nn.Linear(784, 5))
    with pytest.raises(ValueError, match=r"must give \(N, 10\) logits .* got \(32, 5\)"):
        fit(small, few, data, RECIPE, progress=False)


def test_a_step_of_the_merged_network_is_a_step_of_the_readable_one(data):
    recipe = dataclasses.replace(RECIPE, epochs=1, batch_size=160, precision="float32", erase=0.0)
    merged, _ = run(data, recipe=recipe)
    readable, _ = run(data, recipe=dataclasses.replace(recipe, merged=False))
    for a, b in zip(merged.parameters(), readable.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_quick_runs_are_short(data, monkeypatch):
    monkeypatch.setenv("GNET_QUICK", "1")
    many = dataclasses.replace(RECIPE, epochs=50)
    _, history = run(data, recipe=many)
    assert len(history.epochs) == 3  # 12 steps of 5 an epoch
    assert history.recipe["epochs"] == 12 / 5  # so that nobody takes it for a whole run


def test_validation_is_measured_after_each_epoch(data):
    history = fit(network(), data, data, RECIPE, progress=False)
    assert all(0 <= entry["val_accuracy"] <= 1 for entry in history.epochs)


def test_one_cycle_rises_then_falls_to_nearly_zero():
    rates = [learning_rate(RECIPE, step, 100) for step in range(100)]
    assert max(rates) == pytest.approx(0.05) and rates.index(max(rates)) in (19, 20)
    assert rates[0] < rates[10] < rates[19] and rates[20] > rates[60] > rates[99] > 0
    constant = dataclasses.replace(RECIPE, schedule="constant")
    assert learning_rate(constant, 0, 9) == learning_rate(constant, 8, 9) == 0.05


@pytest.mark.parametrize("total", [1, 3, 12, 351])
def test_the_warm_up_never_passes_the_highest_rate(total):
    recipe = get_recipe("minute")
    rates = [learning_rate(recipe, step, total) for step in range(total)]
    assert 0 < max(rates) <= recipe.learning_rate


@pytest.mark.parametrize(
    ("instructions", "float32_seconds", "fast"),
    [({"avx512_bf16": True}, 4.0, True), ({"amx_bf16": True}, 0.5, False), ({}, 4.0, False)],
)
def test_bfloat16_is_used_where_it_is_faster_not_where_it_exists(
    instructions, float32_seconds, fast, monkeypatch
):
    seconds = {torch.float32: float32_seconds, torch.bfloat16: 1.0}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions, raising=False)
    monkeypatch.setattr(recipes, "product_seconds", seconds.get)
    assert recipes.bfloat16_is_fast.__wrapped__(torch.device("cpu")) is fast


def test_the_stopwatch_times_products_and_draws_no_random_number():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert 512**3 / 1e14 < recipes.product_seconds(torch.float32) < 1
    assert torch.equal(before, torch.get_rng_state())


def test_looking_seldom_changes_neither_weights_nor_record(data, monkeypatch):
    every, history = run(data)
    monkeypatch.setitem(training.LOOK_EVERY, "cpu", 4)  # of 5 steps an epoch
    seldom, other = run(data)
    assert history.losses == other.losses and len(history.losses) > 4
    for one, two in zip(history.epochs, other.epochs, strict=True):
        assert one["train_loss"] == two["train_loss"]
        assert one["train_accuracy"] == two["train_accuracy"]
    for a, b in zip(every.parameters(), seldom.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_papers_network_is_trained_with_its_heads_and_measured_without(data):
    from gnet_utils.models import GoogLeNet

    two, large = tuple(part[:2] for part in data), dataclasses.replace(RECIPE, picture_size=224)
    net = GoogLeNet(num_classes=10, in_channels=1, norm="batch")
    before = net.aux1.linear.weight.detach().clone()
    history = fit(net, two, two, dataclasses.replace(large, epochs=1), progress=False)
    assert not torch.equal(net.aux1.linear.weight, before)
    assert history.epochs[0]["val_loss"] > 0


def test_fit_leaves_random_numbers_modes_and_layout_as_they_were(data):
    """Whatever its recipe says of the layout."""
    for merged in (True, False):
        recipe = dataclasses.replace(RECIPE, epochs=1, merged=merged)
        net = network()
        net.conv2.eval()
        kernels = [p for p in net.parameters() if p.ndim == 4]
        modes = [module.training for module in net.modules()]
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        run(data, net, recipe)
        assert torch.equal(torch.rand(3), expected)
        assert all(kernel.is_contiguous() for kernel in kernels)
        assert [module.training for module in net.modules()] == modes


@pytest.mark.parametrize("merged", [True, False])
def test_parts_in_eval_mode_keep_their_statistics_and_a_net_in_eval_mode_is_trained_whole(
    data, merged
):
    recipe = dataclasses.replace(RECIPE, epochs=1, merged=merged)
    frozen, whole = network(), network().eval()
    for block in (frozen.conv1, frozen.inception_3a, frozen.inception_4a.branch_1x1):
        block.eval()
    start = {name: t.clone() for name, t in frozen.state_dict().items() if "running_mean" in name}
    fit(frozen, data, data, recipe, progress=False)
    fit(whole, data, data, recipe, progress=False)
    for name, before in start.items():
        kept = name.startswith(("conv1", "inception_3a", "inception_4a.branch_1x1"))
        assert torch.equal(frozen.state_dict()[name], before) is kept, name
        assert not torch.equal(whole.state_dict()[name], before), name
    assert not whole.training


@pytest.mark.parametrize("merged", [True, False])
def test_after_each_epoch_the_model_has_the_weights_so_far(data, merged):
    net, found = network(), []
    recipe = dataclasses.replace(RECIPE, merged=merged)
    note = lambda history: found.append(net.linear.weight.detach().clone())  # noqa: E731
    fit(net, data, None, recipe, progress=False, after_epoch=note)
    assert len(found) == 3 and torch.equal(found[-1], net.linear.weight)
    assert not any(torch.equal(found[i], found[i + 1]) for i in range(2))
    assert not torch.equal(found[0], network().linear.weight)


class Louder(models.Inception):
    """What a learner writes: the block, and a gain that is learned."""

    def __init__(self, *widths):
        super().__init__(*widths, norm="batch")
        self.gain = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.gain * super().forward(x)


def test_a_block_of_ones_own_is_trained_as_it_is_written(data):
    """The default of a recipe merges blocks: not this one."""
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.AvgPool2d(4), Louder(1, 4, 3, 5, 2, 3, 4)),
        *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 10)),
    )
    plain, recipe = copy.deepcopy(net), dataclasses.replace(RECIPE, precision="float32")
    fit(net, data, None, recipe, progress=False)
    fit(plain, data, None, dataclasses.replace(recipe, merged=False), progress=False)
    assert abs(net[1].gain.item() - 2) > 1e-3
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor, plain.state_dict()[name], msg=name)


RATES = {  # a learning rate, and what the run says at its end
    10.0: r"than a guess: its loss ends at \S+, .* has 2\.3.* rate 10 is too large, try a tenth",
    1e-9: r"than a guess: its loss ends at 2\.\d+, .* 15 steps are too few, or the labels do not",
    0.05: "^$",
}


@pytest.mark.parametrize("rate", RATES)
def test_a_run_that_ends_at_guessing_says_so_with_the_likeliest_cause(data, rate, capsys):
    recipe = dataclasses.replace(RECIPE, learning_rate=rate, precision="float32")
    history = fit(network(), data, None, recipe, progress=True)
    assert history.stopped == ""
    assert re.search(RATES[rate], capsys.readouterr().out.strip())


def test_a_plateau_without_batch_norm_is_named(data, capsys):
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    nn.init.zeros_(net[1].weight)
    fit(net, data, None, dataclasses.replace(RECIPE, learning_rate=1e-9), progress=True)
    assert "a deep network without batch norm starts like this" in capsys.readouterr().out


def test_one_class_only_is_no_guess(data, capsys):
    fit(network(), (data[0], torch.zeros_like(data[1])), None, RECIPE, progress=True)
    assert capsys.readouterr().out == ""


def test_evaluate_leaves_each_layer_in_its_own_mode():
    net = network()
    net.conv1.eval()
    modes = [module.training for module in net.modules()]
    assert evaluate(net, GOOD)[1] >= 0
    assert [module.training for module in net.modules()] == modes


def test_evaluate_takes_one_picture_and_fit_one_for_validation(data):
    one = data[0][:1], data[1][:1]
    assert evaluate(network(), one)[1] in (0.0, 1.0)
    history = fit(network(), data, one, dataclasses.replace(RECIPE, epochs=1), progress=False)
    assert history.epochs[0]["val_accuracy"] in (0.0, 1.0)


def test_a_net_with_too_few_classes_is_one_sentence_in_evaluate(data):
    small = nn.Sequential(nn.Flatten(), nn.Linear(784, 5))
    with pytest.raises(ValueError, match=r"must give \(N, 10\) logits .* got \(160, 5\)"):
        evaluate(small, data)


def test_muon_needs_batch_norm_behind_some_convolution(data):
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 676, 10))
    muon = dataclasses.replace(RECIPE, optimiser="muon")
    with pytest.raises(ValueError, match="muon needs convolutions with a batch norm after them"):
        run(data, net, muon)


def test_a_tiny_step_of_muon_changes_no_network(data):
    """A convolution without batch norm behind it keeps its size, and a batch norm in eval mode."""
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.Conv2d(4, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.BatchNorm2d(6).eval()),
        *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 10)),
    )
    for weight in (net[3].weight, net[5].weight):
        nn.init.normal_(weight)
    images, before = to_float(data[0]), copy.deepcopy(net)
    recipe = dataclasses.replace(RECIPE, optimiser="muon", learning_rate=1e-12)
    run(data, net, recipe)
    torch.testing.assert_close(net(images), before(images), rtol=1e-4, atol=1e-3)


def test_evaluate_is_the_plain_mean_over_all_pictures(data):
    model, (images, labels) = network().eval(), data
    with torch.no_grad():
        logits = model(to_float(images))
    expected = nn.functional.cross_entropy(logits, labels).item(), accuracy(logits, labels)
    model.train()
    assert evaluate(model, data, batch_size=37) == pytest.approx(expected, abs=1e-4)
    assert model.training
    assert evaluate(model, data, views=6)[0] != pytest.approx(expected[0], abs=1e-6)


def test_the_small_tools():
    with Timer() as timer:
        pass
    assert 0 <= timer.seconds < 1
    logits = torch.tensor([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
    assert accuracy(logits, torch.tensor([0, 1, 1])) == pytest.approx(2 / 3)


def test_a_record_survives_the_file(data, tmp_path):
    _, history = run(data)
    file = tmp_path / "runs" / "one.json"
    history.save(file)
    assert History.load(file) == dataclasses.replace(
        history, recipe=json.loads(json.dumps(history.recipe))
    )
    file.write_text("{}")
    with pytest.raises(CourseError, match="is not a recorded run"):
        History.load(file)


def test_a_checkpoint_brings_the_weights_back_in_half_the_bytes(data, tmp_path):
    model, _ = run(data)
    file = tmp_path / "net.safetensors"
    save_checkpoint(model, file, test_accuracy=0.5)
    other = network()
    assert load_checkpoint(other, file) == {"test_accuracy": 0.5}
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    assert file.stat().st_size < 2.5 * sum(p.numel() for p in model.parameters()) + 80_000


def test_checkpoints_that_do_not_fit_are_one_sentence(tmp_path):
    file = tmp_path / "net.safetensors"
    with pytest.raises(CourseError, match="is not a readable checkpoint"):
        load_checkpoint(network(), file)
    for new in (True, False):
        torch.save(network().state_dict(), file, _use_new_zipfile_serialization=new)
        with pytest.raises(
            CourseError, match=r"it is a pickle, .*torch.load\(path, weights_only=True\)"
        ):
            load_checkpoint(network(), file)
    save_checkpoint(nn.Linear(2, 2), file)
    with pytest.raises(CourseError, match="was made for another network"):
        load_checkpoint(network(), file)


GOOD = torch.zeros(8, 1, 28, 28, dtype=torch.uint8), torch.zeros(8, dtype=torch.int64)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (GOOD[0], "must be two tensors"),
        ((GOOD[0][:, 0], GOOD[1]), "images must be .* got \\(8, 28, 28\\) uint8"),
        ((GOOD[0].float(), GOOD[1]), "uint8, got .* float32"),
        ((GOOD[0], GOOD[1][:5]), "labels must be \\(8,\\) int64, got \\(5,\\)"),
        ((GOOD[0], GOOD[1].float()), "got \\(8,\\) float32"),
        ((GOOD[0], GOOD[1] + 10), "\\(N, 11\\) logits or more for labels up to 10"),
        ((GOOD[0], GOOD[1] - 1), "labels must be 0 or more, got -1"),
        ((GOOD[0][:0], GOOD[1][:0]), "must hold 2 or more pictures, got 0"),
    ],
)
def test_data_of_another_form_is_one_sentence(bad, words):
    with pytest.raises(ValueError, match=words):
        fit(network(), bad, None, RECIPE, progress=False)


def test_a_batch_larger_than_the_data_is_all_of_it():
    few = GOOD[0], torch.arange(8)
    history = fit(network(), few, None, dataclasses.replace(RECIPE, epochs=2), progress=False)
    assert len(history.epochs) == 2


def test_drawing_takes_a_hundredth_of_the_time(monkeypatch):
    """Each drawing takes 50 seconds of a clock that is read every half second."""
    clock, drawn = [0.0], []

    def draw(over):
        drawn.append(clock[0])
        clock[0] += 50
        return {}, {}

    monkeypatch.setattr(live.time, "perf_counter", lambda: clock[0])
    output = live._Output(draw)
    while clock[0] < 50_000:
        clock[0] += 0.5
        output.replace_if_due()
    assert len(drawn) * 50 / clock[0] == pytest.approx(live.SHARE, rel=0.05)


def test_in_a_notebook_a_text_says_what_stays_true_and_how_the_run_ended(data, monkeypatch):
    said = []
    monkeypatch.setattr(live, "_in_notebook", lambda: True)
    monkeypatch.setattr(live._Output, "replace_if_due", live._Output.replace)
    text = live.Progress.text
    monkeypatch.setattr(
        live.Progress, "text", lambda *a: said.append(text(*a)[0]["text/plain"]) or ({}, {})
    )
    history = fit(network(), data, None, RECIPE)
    total = history.losses[-1][0]
    assert f"step 0 of {total}, epoch 1 of {RECIPE.epochs}." in said[0]
    for words in said[:-1]:
        assert words.startswith("Training, ") and "closed this page" in words
    assert re.search(rf"step 2 of {total}, .* left; loss \d.*, training accuracy \d", said[2])
    assert said[-1].startswith(f"Training has ended at step {total} of {total}, ")
    assert not re.search(r"\d:\d|seconds|page", said[-1]), "it is stored with the notebook"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("epochs", 0), ("epochs", float("inf")), ("epochs", float("nan")), ("batch_size", 1)),
        *(("learning_rate", -1), ("learning_rate", float("inf")), ("schedule", "x")),
        *(("optimiser", "adam"), ("precision", "float64")),
    ],
)
def test_a_recipe_that_cannot_work_is_one_sentence(field, value):
    with pytest.raises(ValueError, match=f"{field} must be .*, got "):
        dataclasses.replace(RECIPE, **{field: value})


def test_recipes_by_name():
    names = {"tutorial", "sprint", "minute", "five_minutes", "full", "hour"}
    assert set(RECIPES) == names | {"gpu_seconds", "gpu_best"}
    with pytest.raises(ValueError, match="recipe must be one of tutorial, sprint"):
        get_recipe("quick")


@pytest.mark.parametrize("name", ["minute", "full"])
def test_recipes_whose_networks_are_taught_pool_before_they_project(name):
    network = build_network(get_recipe(name))
    blocks = [block for block in network.modules() if isinstance(block, Inception)]
    assert len(blocks) == 9
    assert all(isinstance(block.branch_pool[0], nn.MaxPool2d) for block in blocks)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_makes_one_step_here(name):
    generator = np.random.default_rng(0)
    images = torch.from_numpy(generator.integers(0, 255, (4, 1, 28, 28), dtype=np.uint8))
    recipe = dataclasses.replace(get_recipe(name), epochs=1, batch_size=4)
    torch.manual_seed(0)
    history = fit(build_network(recipe), (images, torch.arange(4)), None, recipe, progress=False)
    assert history.stopped == "" and len(history.epochs) == 1


def test_networks_of_recipes_keep_nine_blocks_of_four_branches_within_six_million():
    from gnet_utils.counting import count_parameters
    from gnet_utils.models import Inception

    for recipe in RECIPES.values():
        net = build_network(recipe)
        blocks = [m for m in net.modules() if isinstance(m, Inception)]
        assert len(blocks) == 9 and all(len(list(b.children())) == 4 for b in blocks)
        assert count_parameters(net) < 6.0e6

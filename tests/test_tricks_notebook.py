"""What notebook 13 says about speed and its price, computed or from the recorded runs."""

import math
import re
from dataclasses import replace

import pytest
import torch

from gnet_utils import experiments
from gnet_utils.counting import count_macs, stage_shapes
from gnet_utils.course import notebooks
from gnet_utils.experiments import tricks
from gnet_utils.experiments.tricks import RUNS, TRICKS, changed
from gnet_utils.explorers import n13
from gnet_utils.muon import orthogonalised
from gnet_utils.recipes import build_network, get_recipe
from gnet_utils.training import fit


def words() -> str:
    """The text of the lesson."""
    (path,) = notebooks.find_notebooks(["13"])
    cells = notebooks.read(path)["cells"]
    return " ".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")


def macs(recipe) -> int:
    return count_macs(build_network(recipe), (1, 1, recipe.picture_size, recipe.picture_size))


def test_the_336_is_a_product_of_less_work_faster_work_and_fewer_pictures():
    found = n13.bench()["recipes"]["sprint"]
    tutorial, sprint = get_recipe("tutorial"), get_recipe("sprint")
    work = macs(tutorial) / macs(sprint)
    speed = found["images_per_s"] / found["yardstick_images_per_s"] / work
    assert (round(work, 1), round(speed, 2), tutorial.epochs / sprint.epochs) == (11.9, 1.41, 20)
    assert work * speed * 20 == pytest.approx(found["times_faster"], abs=0.5)
    peaks = n13.bench()["peak_tflops"]
    share = 6 * macs(tutorial) * found["yardstick_images_per_s"] / 1e12 / peaks["float32"]
    assert share == pytest.approx(0.84, abs=0.005) and found["share_of_peak"] < 0.3


def test_in_float32_sprint_keeps_the_processor_as_busy_as_the_tutorials_network():
    found, peak = n13.bench()["recipes"]["sprint"], n13.bench()["peak_tflops"]["float32"]
    in_float32 = found["images_per_s"] / n13.bench()["tricks"]["bfloat16"]
    share = 6 * macs(get_recipe("sprint")) * in_float32 / 1e12 / peak
    (said,) = re.findall(r"In float32 `sprint` would keep the processor at (\d+)%", words())
    assert round(100 * share) == int(said)


def test_fewer_channels_and_not_smaller_maps_save_work_against_the_tutorials():
    tutorial, sprint = get_recipe("tutorial"), get_recipe("sprint")
    wide = replace(sprint, network={**sprint.network, "width": 1.0})
    assert macs(wide) > macs(tutorial) and macs(wide) / macs(sprint) > 12
    for recipe, side in ((sprint, 14), (tutorial, 12)):
        pixels = 1, 1, recipe.picture_size, recipe.picture_size
        assert stage_shapes(build_network(recipe), pixels)["inception_3a"][-1] == side
        assert f"{side}x{side}" in words()


def test_one_trick_saves_more_than_all_others_together():
    first, *others = n13.bench()["tricks"].values()
    assert n13.bench()["tricks"].keys() == TRICKS.keys()
    assert first > math.prod(others)


def test_multiples_of_16_have_28_percent_more_multiply_adds():
    without = changed(TRICKS["channels in multiples of 16"])
    assert macs(get_recipe("sprint")) / macs(without) == pytest.approx(1.28, abs=0.005)


@pytest.mark.parametrize("name", sorted(set(RUNS) - {"sprint"}))
def test_each_run_takes_back_one_setting(name):
    sprint, other = get_recipe("sprint"), changed(RUNS[name])
    assert other != sprint and len(RUNS[name]) == 1 + (name == "plain_sgd")
    back = {key: getattr(sprint, key) for key in RUNS[name]}
    assert replace(other, **back) == sprint


def test_channels_last_changes_no_training_but_by_rounding():
    images = torch.randint(0, 256, (8, 1, 28, 28), dtype=torch.uint8)
    losses = []
    for recipe in (get_recipe("sprint"), changed(TRICKS["channels last in memory"])):
        torch.manual_seed(0)
        net = build_network(replace(recipe, precision="float32"))
        recipe = replace(recipe, precision="float32", epochs=2, batch_size=8)
        losses.append(fit(net, (images, torch.arange(8)), None, recipe, progress=False).losses)
    assert torch.allclose(*(torch.tensor(found) for found in losses), rtol=0.01)


def test_prices_are_means_over_seeds_with_their_differences():
    prices, runs = n13.prices(), experiments.recorded("tricks")
    assert set(prices) == set(runs) <= set(RUNS)
    for name, price in prices.items():
        assert len(price["accuracies"]) == len(runs[name]) >= 2
        assert price["difference"] == pytest.approx(price["mean"] - prices["sprint"]["mean"])
    assert all(run["recipe"]["epochs"] == 0.3 for same in runs.values() for run in same)
    assert tricks.SEEN == 15_000


def test_the_ellipse_becomes_rounder():
    small = torch.tensor([[0.9, 0.5], [0.4, 0.36]])
    before, after = (torch.linalg.svdvals(orthogonalised(small, steps)) for steps in (0, 3))
    assert before[1] / before[0] < 0.1 and after[1] / after[0] > 0.9


def test_one_seed_of_five_minutes_tells_another_story_than_three():
    found = n13.prices("five_minutes", base="control")
    control = found.pop("control")
    assert all(one["accuracies"][0] < control["accuracies"][0] for one in found.values())
    assert all(abs(one["difference"]) < one["error"] for one in found.values())
    assert all(len(one["accuracies"]) == 3 for one in found.values())

"""What notebook 08 takes from the package: the crop viewer, views of small pictures, its runs."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gnet_utils import experiments
from gnet_utils.augment import PLACES, SCALES, SQUARES, crop_boxes, cut, ten_crops
from gnet_utils.course import notebooks
from gnet_utils.data import load_fashion_mnist, prepare
from gnet_utils.experiments import augmentation
from gnet_utils.experiments.augmentation import (
    AUGMENTATIONS,
    RUNS,
    VIEW_SETS,
    AugmentationSetting,
    paired_difference,
    train,
    view_probabilities,
    views_of,
)
from gnet_utils.explorers.n08 import crop_viewer, share
from gnet_utils.recipes import get_recipe
from gnet_utils.training import load_trained

PHOTO = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
TINY = AugmentationSetting("mirror", pictures=32, shown=96, batch=16)


def some_data(count: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 1, 28, 28), generator=generator, dtype=torch.uint8)
    return images, torch.arange(count) % 10


# The crop viewer ----------------------------------------------------------------------------------


def test_the_viewer_counts_the_crops_from_1_to_144():
    states = [
        (scale, square, place, mirror)
        for scale in SCALES
        for square in SQUARES
        for place in PLACES
        for mirror in (False, True)
    ]
    assert len(states) == 144
    for number in (1, 72, 93, 144):
        title = crop_viewer("market", *states[number - 1], own=PHOTO).get_suptitle()
        assert title.startswith(f"Crop {number} of 144 shows ")


def test_the_viewer_shows_the_pixels_of_its_crop():
    figure = crop_viewer(scale=352, square="last", place="bottom right", own=PHOTO)
    mirrored = crop_viewer(scale=352, square="last", place="bottom right", mirror=True, own=PHOTO)
    seen, turned = (f.axes[1].images[0].get_array() for f in (figure, mirrored))
    assert seen.shape == (224, 224, 3)
    np.testing.assert_allclose(seen, turned[:, ::-1])
    # scale 352 of 120 pixels: the last 224 / 352 * 120 = 76 of them
    corner = PHOTO[-76:, -76:] / 255
    assert abs(seen.mean() - corner.mean()) < 0.01


def test_the_viewer_says_how_much_is_shown_and_how_many_show_the_same():
    title = crop_viewer(place="whole", own=PHOTO).get_suptitle()
    assert "shows 75% of the photo" in title and "same" not in title
    assert "2 others show the same" in crop_viewer(own=PHOTO[:, :120]).get_suptitle()
    crop = next(crop for crop in crop_boxes(120, 160) if crop.place == "centre")
    assert share(PHOTO, crop) == pytest.approx((224 / 256) ** 2 * 0.75)


@pytest.mark.parametrize("name", ["market", "hopper", "plate"])
def test_every_built_in_picture_can_be_viewed(name):
    assert len(crop_viewer(name).axes) == 2


# Views --------------------------------------------------------------------------------------------


def source_with(text: str) -> str:
    """The code cell of notebook 08 that holds this text."""
    (path,) = notebooks.find_notebooks(["08"])
    (cell,) = [c for c in notebooks.code_cells(notebooks.read(path)) if text in c["source"]]
    return cell["source"]


@pytest.mark.parametrize(("height", "width"), [(66, 88), (88, 66), (70, 70)])
def test_the_144_crops_on_the_page_are_those_of_the_package(height, width):
    photo = torch.rand(1, 3, height, width)
    names = {"F": F, "torch": torch, "views": ten_crops, "photo": photo}
    exec(source_with("def all_crops("), names)
    found = {view.numpy().tobytes() for view in names["all_crops"](photo)}
    wanted = {cut(photo, crop).numpy().tobytes() for crop in crop_boxes(height, width)}
    assert found == wanted and len(found) == (48 if height == width else 144)


def test_each_set_of_views_has_as_many_as_its_name_says():
    images = torch.rand(2, 1, 28, 28)
    for name in VIEW_SETS:
        assert views_of(images, name).shape == (int(name.split()[-1]), *images.shape)
    assert torch.equal(views_of(images, "2")[1], images.flip(3))


def test_the_error_of_a_gain_counts_only_pictures_that_change_sides():
    right, other = torch.ones(1000), torch.ones(1000)
    right[:6], other[6:15] = 0, 0  # 6 lost, 9 won
    gain, error = paired_difference(right, other)
    assert gain == pytest.approx(0.3) and error == pytest.approx(100 * 15**0.5 / 1000, rel=0.01)
    assert paired_difference(right, right) == (0, 0)


# Training -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_keeps_the_form_and_changes_something_but_for_none(name):
    torch.manual_seed(0)
    images = torch.rand(20, 1, 28, 28)
    changed = AUGMENTATIONS[name](images.clone())
    assert changed.shape == images.shape and changed.dtype == images.dtype
    assert torch.equal(changed, images) == (name == "none")


def test_training_shows_as_many_pictures_as_agreed_and_repeats():
    def losses():
        torch.manual_seed(3)
        return list(train(TINY.net(), some_data(), TINY, seed=3))

    first = losses()
    assert len(first) == 96 // 16 and first == losses()


def test_training_uses_only_the_pictures_of_its_subset():
    images, labels = some_data()
    images[32:] = 0
    torch.manual_seed(0)
    some = list(train(TINY.net(), (images, labels), TINY))
    torch.manual_seed(0)
    assert some == list(train(TINY.net(), some_data(), TINY))


def test_a_run_is_recorded_with_all_that_is_needed_to_repeat_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiments, "RUNS", tmp_path)
    sizes = {"train": 5040, "test": 10}  # 5,000 are held out
    monkeypatch.setattr(
        augmentation, "load_fashion_mnist", lambda split, source: some_data(sizes[split])
    )
    monkeypatch.setitem(augmentation.RUNS, "tiny", TINY)
    augmentation.record("tiny", seed=1)
    run = json.loads((tmp_path / "augmentation" / "tiny-seed1.json").read_text())
    assert run["command"].endswith("augmentation tiny") and run["seed"] == 1
    assert len(run["loss"]) == 6 and set(run["views"]) == set(VIEW_SETS)
    assert set(run["views_error"]) == set(run["views"]) and run["views_error"]["1"] == 0
    assert run["recipe"]["augmentation"] == "mirror"


@pytest.mark.parametrize("name", RUNS)
def test_every_run_is_recorded_as_its_recipe_says(name):
    runs = experiments.recorded("augmentation").get(name, [])
    assert runs, f"record it: python -m gnet_utils.experiments.augmentation {name}"
    for run in runs:
        assert (
            AugmentationSetting(
                **{key: run["recipe"][key] for key in AugmentationSetting.__dataclass_fields__}
            )
            == (RUNS[name])
        )
        assert len(run["loss"]) == 250 and all(map(math.isfinite, run["loss"]))
        assert 0.5 < run["test_accuracy"] < 0.95
        assert run["views_pictures"] == 5000
        assert all(run[key] for key in ("date", "versions", "machine", "seconds", "parameters"))


# What the text says of the runs -------------------------------------------------------------------


def prose() -> str:
    """The text of notebook 08 on one line."""
    (path,) = notebooks.find_notebooks(["08"])
    cells = notebooks.read(path)["cells"]
    return " ".join(" ".join(c["source"] for c in cells if c["cell_type"] == "markdown").split())


def gains_of(name: str, views: str) -> list[tuple[float, float]]:
    """(gain, its error) by these views in points, for each seed of a run."""
    runs = experiments.recorded("augmentation")[name]
    return [
        (100 * (run["views"][views] - run["views"]["1"]), run["views_error"][views])
        for run in runs
        if views in run["views"]
    ]


def test_crops_gain_two_or_three_points_after_training_with_crops_and_less_with_fresh_pictures():
    found = [[g for g, _ in gains_of(name, "crops 10")] for name in ("crop", "crop_fresh")]
    assert [len(each) for each in found] == [3, 3] and sum(g > 0 for e in found for g in e) == 5
    told, fresh = ([f"{g:+.1f}" for g in each] for each in found)
    assert f"It is (c): {told[0]}, {told[1]} and {told[2]} for the three seeds" in prose()
    assert f"fresh pictures less, {fresh[0]}, {fresh[1]} and {fresh[2]}" in prose()
    assert "crops helped five of six networks" in prose()


@pytest.mark.parametrize("name", [name for name in RUNS if "crop" not in name])
def test_crops_cost_eight_points_or_more_after_training_without(name):
    lost = [-gain for gain, _ in gains_of(name, "crops 10")]
    assert min(lost) > 7.5 and "lose about eight points or more" in prose()


@pytest.mark.parametrize("name", RUNS)
def test_views_of_a_kind_that_training_had_not_met_never_gain_twice_their_error(name):
    known = {"mirror": {"2"}, "crop": {"crops 10"}, "crop_fresh": {"crops 10"}}.get(name, set())
    unknown = {"2", "crops 10"} - known
    assert all(g < 2 * error for views in unknown for g, error in gains_of(name, views))
    assert "not a law" in prose()


def test_only_mirrored_training_does_not_lose_by_mirror_images():
    for name in RUNS:
        gain, error = np.mean(gains_of(name, "2"), 0)
        assert abs(gain) < 2 * error if name == "mirror" else gain < -2 * error


def test_the_recipe_of_the_live_runs_is_that_of_the_recorded_ones():
    for run in experiments.recorded("augmentation")["none"]:
        recipe = run["recipe"]
        assert recipe["optimiser"] == "Nesterov's SGD, momentum 0.9, weight decay 5e-4, one-cycle"
        assert recipe["shown"] // recipe["batch"] == 250 and recipe["learning_rate"] == 0.1
    shown = source_with("def train(change")
    assert "lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.0005" in shown
    assert "in 250 steps of 64" in prose() and "steps=5 if is_quick() else 50" in shown
    assert "the recipe of the recorded runs, for a fifth of their steps" in prose()


def test_no_way_to_train_beats_plain_pictures():
    runs = experiments.recorded("augmentation")
    test = {name: [100 * run["test_accuracy"] for run in runs[name]] for name in AUGMENTATIONS}
    assert all(np.mean(test[name]) <= np.mean(test["none"]) for name in AUGMENTATIONS)
    assert np.mean(test["crop"]) + 2 < np.mean(test["none"]) - 2, "ten crops do not make up for it"
    assert "No change had a higher mean than `none`" in prose()


def test_the_longer_run_had_more_than_one_and_a_half_times_the_training_of_all_seven():
    minute, longer = get_recipe("minute"), get_recipe("five_minutes")
    assert 1.5 < longer.epochs / (7 * minute.epochs) < 1.75
    assert "more than one and a half times the training of all seven together" in prose()


@pytest.mark.data
def test_the_mirror_image_changes_15_answers_of_1000():
    if prepare().kind != "real":
        pytest.skip("the text speaks of the real Fashion-MNIST")
    images, labels = (part[:1000] for part in load_fashion_mnist("test"))
    net = load_trained("five_minutes-seed0")[0].to(memory_format=torch.channels_last)
    odds = view_probabilities(net, images, "2")
    plain, both = odds[0].argmax(1) == labels, odds.mean(0).argmax(1) == labels
    assert int((plain & ~both).sum()) == pytest.approx(6, abs=1)
    assert int((both & ~plain).sum()) == pytest.approx(9, abs=1)
    assert "6 lost, 9 won, $\\sqrt{15} / 1{,}000$" in prose()


@pytest.mark.data
def test_what_the_mirror_image_costs_the_first_network_and_what_seven_bring():
    if prepare().kind != "real":
        pytest.skip("the text speaks of the real Fashion-MNIST")
    images, labels = (part[:1000] for part in load_fashion_mnist("test"))
    odds = []
    for seed in range(7):
        net = load_trained(f"minute-seed{seed}")[0].to(memory_format=torch.channels_last)
        odds.append(view_probabilities(net, images, "2"))
    odds = torch.stack(odds)
    each = (odds[:, 0].argmax(2) == labels).double()
    both = (odds.mean(1).argmax(2) == labels).double()
    gain, error = paired_difference(both[0], each[0])
    assert gain == pytest.approx(-2.2, abs=0.3) and gain < -3 * error
    lost = [-g > 2 * error for g, error in map(paired_difference, both, each)]
    assert [seed for seed in range(7) if not lost[seed]] == [1, 4, 6]
    assert "for seeds 1, 4 and 6 the change may be chance" in prose()
    gain, error = paired_difference(odds[:, 0].mean(0).argmax(1) == labels, each.mean(0))
    assert (gain, error) == pytest.approx((1.4, 0.3), abs=0.1)
    missed = each.sum(0) == 0
    said = odds[:, 0, missed].argmax(2)
    assert (said == said[0]).all(0).double().mean() > 0.5, "most with the same wrong answer"

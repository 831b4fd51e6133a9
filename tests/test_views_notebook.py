"""What notebook 08 takes from the package: the crop viewer, views of small pictures, its runs."""

import json
import math

import numpy as np
import pytest
import torch

from gnet_utils import experiments
from gnet_utils.augment import PLACES, SCALES, SQUARES, crop_boxes
from gnet_utils.exercises.n08 import EXERCISES, cut_ten, judge_ten, outvoted
from gnet_utils.experiments import augmentation
from gnet_utils.experiments.augmentation import (
    AUGMENTATIONS,
    RUNS,
    VIEW_SETS,
    Setting,
    probabilities,
    train,
    views_accuracies,
    views_of,
)
from gnet_utils.explorers.n08 import coverage, crop_viewer, share

PHOTO = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
TINY = Setting("mirror", pictures=32, shown=96, batch=16)


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


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"scale": 300}, "scale must be one of 256, 288, 320, 352, got 300"),
        ({"square": "left"}, "square must be one of first, middle, last"),
        ({"place": "top"}, "place must be one of top left"),
        ({"picture": "cat"}, "name must be one of hopper, market, plate"),
    ],
)
def test_states_that_cannot_be_are_refused_in_one_sentence(state, words):
    with pytest.raises(ValueError, match=words):
        crop_viewer(**state)


def test_the_middle_of_a_photo_is_seen_most_and_no_pixel_more_than_144_times():
    seen = coverage(PHOTO)
    assert seen.shape == (120, 160) and seen.max() <= 144
    assert seen[60, 80] == seen.max() > 4 * seen[0, 0] > 0


# Views of small pictures --------------------------------------------------------------------------


def test_each_set_of_views_has_as_many_as_its_name_says():
    images = torch.rand(2, 1, 28, 28)
    for name in VIEW_SETS:
        views = list(views_of(images, name))
        assert len(views) == int(name.split()[-1])
        assert {view.shape for view in views} == {images.shape}


def test_accuracies_with_views_are_those_of_the_mean_probabilities():
    torch.manual_seed(0)
    net, (images, labels) = TINY.net(), some_data(8)
    list(train(net, some_data(), TINY))
    found = views_accuracies(net, (images, labels), "crops 48")
    assert tuple(found) == VIEW_SETS
    for name in VIEW_SETS:
        mean = probabilities(net, images, name).mean(0)
        assert found[name] == pytest.approx(
            (mean.argmax(1) == labels).float().mean().item(), abs=1e-4
        )
    assert "crops 48" not in views_accuracies(net, (images, labels), "crops 10")


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
    assert len(run["loss"]) == 6 and set(run["views"]) == {"1", "2", "6", "10", "crops 10"}
    assert run["recipe"]["augmentation"] == "mirror"


@pytest.mark.parametrize("name", RUNS)
def test_every_run_is_recorded_as_its_recipe_says(name):
    runs = experiments.recorded("augmentation").get(name, [])
    assert runs, f"record it: python -m gnet_utils.experiments.augmentation {name}"
    for run in runs:
        assert (
            Setting(**{key: run["recipe"][key] for key in Setting.__dataclass_fields__})
            == (RUNS[name])
        )
        assert len(run["loss"]) == 250 and all(map(math.isfinite, run["loss"]))
        assert 0.5 < run["test_accuracy"] < 0.95 and run["views_pictures"] == 1000
        assert all(run[key] for key in ("date", "versions", "machine", "seconds", "parameters"))


def test_the_recorded_runs_show_what_the_notebook_says():
    runs = experiments.recorded("augmentation")

    def gain(name, views):
        gains = [run["views"][views] - run["views"]["1"] for run in runs[name]]
        return sum(gains) / len(gains)

    assert gain("none", "crops 48") < -0.05 < 0 < gain("crop", "crops 48")
    assert gain("none", "2") < gain("mirror", "2")


# Exercises ----------------------------------------------------------------------------------------


def test_ten_crops_are_taken_in_any_order():
    assert judge_ten(cut_ten) is None
    assert judge_ten(lambda image, size: cut_ten(image, size).flip(0)) is None


def test_the_majority_of_three_is_what_the_formula_says():
    assert outvoted(0.1, 3) == pytest.approx(3 * 0.01 * 0.9 + 0.001)
    assert outvoted(0.5) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "exact", "rounded", "wrong"),
    [
        ("majority", 100 * outvoted(0.1), (0.27, 0.273), (0.26, 0.28)),
        ("geometric", 0.35263, (0.35, 0.353), (0.34, 0.36)),
    ],
)
def test_an_answer_rounded_to_two_or_three_places_is_right(name, exact, rounded, wrong):
    judge = EXERCISES[name].judge
    assert all(judge(answer) is None for answer in (exact, *rounded))
    assert all(judge(answer) for answer in wrong)

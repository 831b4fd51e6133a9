"""What lesson 12 says of errors, of looking often, of pairs and of confidence."""

import math
import re
import statistics
from itertools import pairwise

import numpy as np
import pytest
import torch

from gnet_utils.base import ROOT
from gnet_utils.course import notebooks
from gnet_utils.course.notebooks import said
from gnet_utils.exercises import n12
from gnet_utils.experiments.augmentation import paired_difference
from gnet_utils.recipes import get_recipe, other_settings
from gnet_utils.training import History

(PATH,) = notebooks.find_notebooks(["12"])
CELLS = notebooks.read(PATH)["cells"]


def prose() -> str:
    """The text of the lesson on one line."""
    return " ".join(" ".join(c["source"] for c in CELLS if c["cell_type"] == "markdown").split())


def printed(words: str) -> str:
    """What the one cell prints whose output has these words."""
    (text,) = [text for text in map(said, CELLS) if words in text]
    return text


def figures(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"[+-]?\d+\.?\d*", text.replace(",", ""))]


def test_the_run_with_pictures_held_out_is_that_of_its_recipe():
    run = History.load(ROOT / "data" / "runs" / "validated" / "five_minutes-seed0.json")
    own = get_recipe("five_minutes")
    assert other_settings(own, run.recipe) == []
    assert run.results["data"] == "real" and len(run.epochs) == math.ceil(own.epochs)
    assert run.results["validation_accuracy"] == pytest.approx(
        run.epochs[-1]["val_accuracy"], abs=1e-4
    )


def test_training_is_ahead_from_the_second_epoch_and_held_out_falls_in_the_third_alone():
    epochs = History.load(ROOT / "data" / "runs" / "validated" / "five_minutes-seed0.json").epochs
    ahead = [epoch["train_accuracy"] > epoch["val_accuracy"] for epoch in epochs]
    assert ahead == [False] + [True] * 8
    held_out = [epoch["val_accuracy"] for epoch in epochs]
    assert [later > before for before, later in pairwise(held_out)] == [True, False] + [True] * 6
    assert epochs[-1]["train_accuracy"] - held_out[-1] > 0.03


def test_the_best_of_twenty_equal_networks_shows_0_6_points_too_much():
    drawn = np.random.default_rng(1).binomial(10_000, 0.9, size=(20_000, 20)).max(1)
    assert drawn.mean() / 100 - 90 == pytest.approx(0.56, abs=0.02)
    assert (drawn.mean() / 100 - 90) / 0.3 == pytest.approx(1.87, abs=0.05)  # almost two errors


def test_mean_and_error_of_a_difference_are_those_of_lesson_08_and_about_root_d_by_n():
    change = torch.zeros(10_000, dtype=torch.float64)
    change[:320], change[320:580] = 1, -1
    mean, error = n12.mean_and_error(change)
    hits, other = (change == 1).double(), (change == -1).double()
    assert (mean.item(), error.item()) == pytest.approx(paired_difference(hits, other))
    assert error.item() == pytest.approx(100 * math.sqrt(580) / 10_000, rel=0.001)
    assert (mean / error).item() == pytest.approx(2.49, abs=0.01)


def test_the_solutions_of_the_notebook_give_what_the_course_s_own_give():
    solved = {key: code for _, key, code in notebooks.solutions(notebooks.read(PATH))}
    theirs: dict = {"check": lambda name, answer: answer}
    exec(solved["12.error"] + "\n" + solved["12.bins"], theirs)
    confidence, hits = torch.rand(1000), torch.arange(1000.0) % 2
    assert theirs["measure"](hits) == n12.mean_and_error(hits)
    assert theirs["bins_of"](confidence, hits) == n12.calibration_table(confidence, hits)


def test_five_minutes_was_trained_with_a_target_of_91_percent_and_minute_with_plain_labels():
    smoothing = get_recipe("five_minutes").label_smoothing
    assert 1 - smoothing + smoothing / 10 == pytest.approx(0.91)
    assert get_recipe("minute").label_smoothing == 0 and get_recipe("minute").epochs == 0.75
    assert "the target for the right class is 0.91" in prose()


# The figures of the text are those that the cells printed ----------------------------------------


def test_seven_accuracies_have_an_error_of_0_3_and_spread_by_0_24():
    *each, last = printed("their spread").strip().splitlines()
    errors = [figures(line.split("±")[1])[0] for line in each]
    assert len(each) == 7 and all(round(error, 1) == 0.3 for error in errors)
    assert figures(last)[-1] == 0.24 and "0.24 points for these seven" in prose()
    without_6 = [figures(line.split(":")[1])[0] for line in each[:6]]
    assert f"({statistics.stdev(without_6):.2f} without seed 6" in prose()


def test_all_labels_by_lot_are_learned_and_others_are_guessed():
    known, unseen = printed("labels by lot").strip().splitlines()
    assert figures(known.split(":")[1])[0] >= 99 and figures(unseen.split(":")[1])[0] <= 20


def test_the_half_that_chose_flatters_by_a_tenth_and_most_of_the_lead_stays():
    on, other, average = figures(printed("best of seven: ").replace("all seven", ""))
    assert 0.05 < on - other < 0.15 and other - average > 0.5 * (on - average)


def test_the_difference_has_an_error_of_0_2_and_500_pictures_change_sides():
    first, sides, apart = printed("pictures won").strip().splitlines()
    gain, error = figures(first)
    assert 0.15 < error < 0.25 and 2.5 < gain / error < 3 and 450 < sum(figures(sides)) < 550
    assert figures(apart.split("±")[1])[0] == pytest.approx(0.42, abs=0.02)


def test_every_pair_that_is_two_errors_apart_contains_seed_6():
    *pairs, counted, longer = printed("of 21 pairs").strip().splitlines()
    assert len(pairs) == int(counted.split()[0]) and all("minute-seed6" in line for line in pairs)
    gain, error = figures(longer.split(":")[1])
    assert gain / error == pytest.approx(10, abs=0.6)


def test_five_minutes_says_87_percent_and_has_93_5_right():
    minute, longer = (
        figures(line.split("confidence")[1]) for line in printed("ECE").strip().splitlines()
    )
    assert longer[0] == pytest.approx(87, abs=0.5) and longer[1] == pytest.approx(93.5, abs=0.1)
    assert abs(minute[0] - minute[1]) < 1 and minute[2] < 1 < longer[2]

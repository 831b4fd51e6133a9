"""The command line of the long experiments, and how their runs are kept."""

import importlib
import json
import sys
from dataclasses import replace

import pytest

from gnet_utils import experiments
from gnet_utils.base import CourseError
from gnet_utils.recipes import get_recipe, other_settings
from gnet_utils.training import History


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ([], [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]),
        (["b", "--seeds", "2"], [("b", 0), ("b", 1)]),
    ],
)
def test_each_run_is_asked_for_once_for_each_seed(arguments, asked, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["experiment", *arguments])
    seen = []
    experiments.run_all("An experiment.", ["a", "b"], lambda *run: seen.append(run))
    assert seen == asked


def test_an_unknown_run_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["experiment", "c"])
    with pytest.raises(SystemExit, match="2"):
        experiments.run_all("An experiment.", ["a", "b"], pytest.fail)
    assert capsys.readouterr().err.endswith("there is no run c: choose from a, b\n")


def test_a_recorded_run_is_read_and_not_run_again(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "RUNS", tmp_path)
    with pytest.raises(CourseError, match="holds no recorded run: restore it, or record it with"):
        experiments.recorded("race")
    for seed in (1, 0):
        experiments.record("race", "fast", seed, lambda: {"loss": [2.3, 1.0]}, recipe={"rate": 1})
    again = experiments.record("race", "fast", 0, pytest.fail)
    assert again["loss"] == [2.3, 1.0] and again["recipe"] == {"rate": 1}
    assert [run["seed"] for run in experiments.recorded("race")["fast"]] == [0, 1]
    younger = {"rate": 1, "a setting of today": True}
    assert experiments.record("race", "fast", 0, pytest.fail, recipe=younger) == again
    file = json.loads((tmp_path / "race" / "fast-seed0.json").read_text())
    assert file["command"] == "python -m gnet_utils.experiments.race fast" and file["seconds"] >= 0


def test_a_run_of_another_recipe_is_not_taken_for_this_one(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "RUNS", tmp_path)
    about = {"budget": 4, "recipe": {"rate": 1, "widths": (2, 3), "purpose": "a test"}}
    experiments.record("race", "fast", 0, lambda: {"loss": []}, **about)
    reworded = {**about["recipe"], "purpose": "in other words"}
    experiments.record("race", "fast", 0, pytest.fail, **about | {"recipe": reworded})
    other = {"budget": 5, "recipe": {**about["recipe"], "rate": 2}}
    with pytest.raises(CourseError, match=r"another run \(other: budget, rate\): delete it"):
        experiments.record("race", "fast", 0, pytest.fail, **other)


@pytest.mark.parametrize(
    "experiment", ["augmentation", "depth", "heads", "search", "start", "tricks"]
)
def test_all_recorded_runs_are_those_of_todays_recipes(experiment):
    module = importlib.import_module(f"gnet_utils.experiments.{experiment}")
    for name, runs in experiments.recorded(experiment).items():
        for run in runs:
            module.record(name, run["seed"])  # CourseError for another recipe


@pytest.mark.parametrize(
    ("name", "seeds"),
    [("sprint", 3), ("minute", 3), ("five_minutes", 3), ("full", 3), ("hour", 3)],
)
def test_all_runs_of_a_recipe_are_those_of_the_recipe_today(name, seeds):
    paths = sorted(experiments.RUNS.glob(f"{name}-seed*.json"))
    assert len(paths) >= seeds
    for path in paths:
        assert other_settings(get_recipe(name), History.load(path).recipe) == []
    stored = History.load(paths[0]).recipe
    assert other_settings(replace(get_recipe(name), other_momentum=0.5), stored) == [
        "other_momentum"
    ]

"""The command line of the long experiments, and how their runs are kept."""

import json
import sys

import pytest

from gnet_utils import experiments
from gnet_utils.errors import CourseError


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
    file = json.loads((tmp_path / "race" / "fast-seed0.json").read_text())
    assert file["command"] == "python -m gnet_utils.experiments.race fast" and file["seconds"] >= 0

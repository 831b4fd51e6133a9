"""The benchmark measures what it says, and data/README.md shows what was measured."""

import dataclasses
import errno
import json
import os
import statistics
from pathlib import Path

import pytest
import torch

from gnet_utils.base import ROOT, CourseError
from gnet_utils.course import bench
from gnet_utils.course import commands as cli
from gnet_utils.recipes import RECIPES, build_network
from gnet_utils.training import History

STORED = ROOT / "data" / "bench.json"


def test_the_page_on_speed_and_the_stored_figures_agree():
    figures = json.loads(STORED.read_text(encoding="utf-8"))
    assert bench.report(figures) in (ROOT / "data" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "result"),
    [
        *((name, "test_accuracy") for name in bench.CPU_RECIPES),
        ("five_minutes", "test_accuracy_2_views"),
        ("hour", "test_accuracy_6_views"),
    ],
)
def test_the_goals_on_that_page_show_the_means_of_the_recorded_runs(name, result):
    logs = (ROOT / "data" / "runs").glob(f"{name}-seed*.json")
    reached = [100 * History.load(log).results[result] for log in logs]
    mean = f"{statistics.mean(reached):.2f}% ({len(reached)})"
    table = (ROOT / "data" / "README.md").read_text(encoding="utf-8").split("| goal | aim |")[1]
    assert mean in table.split("\n\n")[0]


def test_the_stored_figures_are_of_all_cpu_recipes_and_consistent():
    figures = json.loads(STORED.read_text(encoding="utf-8"))
    assert set(figures["recipes"]) == set(bench.CPU_RECIPES) <= set(RECIPES)
    for found in figures["recipes"].values():
        assert not figures["quick"] and len(found["ratios_of_rates"]) >= 3
        fastest = max(figures["peak_tflops"].values())
        assert found["share_of_peak"] == pytest.approx(found["tflops"] / fastest, rel=0.01)
    for row in figures["inference"]:
        assert row["difference"] < 1e-4


def test_a_rate_is_pictures_by_seconds_of_training_for_about_as_long_as_asked(monkeypatch):
    counts = []

    def at_500_a_second(network, part, *_, **__):
        counts.append(len(part[0]))
        return History({}, 0, seconds=len(part[0]) / 500)

    monkeypatch.delenv("GNET_QUICK", raising=False)
    monkeypatch.setattr(bench, "fit", at_500_a_second)
    data = torch.zeros(9000, 1, 28, 28, dtype=torch.uint8), torch.arange(9000) % 10
    assert bench.training_rate(RECIPES["minute"], data, seconds=8.0) == 500
    size = RECIPES["minute"].batch_size
    assert counts == [size, size, round(8 * 500 / size) * size]


@pytest.mark.parametrize(
    ("stopped", "error"),
    [("stopped by hand after 3 of 9 steps", KeyboardInterrupt), ("loss is nan", CourseError)],
)
def test_a_training_that_ends_early_has_no_rate(stopped, error, monkeypatch):
    history = History({}, 0, seconds=1.0, stopped=stopped)
    monkeypatch.setattr(bench, "fit", lambda *_, **__: history)
    images = torch.zeros(256, 1, 28, 28, dtype=torch.uint8)
    with pytest.raises(error):
        bench.training_rate(RECIPES["minute"], (images, torch.arange(256) % 10), 1.0)


def test_figures_that_cannot_be_kept_are_told_before_measuring_and_cost_no_old_ones(
    monkeypatch, tmp_path, capsys
):
    figures = json.loads(STORED.read_text(encoding="utf-8"))
    monkeypatch.setattr(bench, "measure", lambda *_: pytest.fail("it measured"))
    (tmp_path / "file").touch()
    for out in (tmp_path, tmp_path / "file" / "figures.json"):
        assert cli.main(["bench", "--out", str(out)]) == 1
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1
    monkeypatch.setattr(bench, "measure", lambda *_: figures)
    out = tmp_path / "new" / "figures.json"
    assert cli.main(["bench", "--out", str(out)]) == 0
    assert json.loads(out.read_text()) == figures
    assert bench.report(figures) in capsys.readouterr().out
    assert [file.name for file in out.parent.iterdir()] == ["figures.json"]
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(Path, "write_text", lambda *_, **__: (_ for _ in ()).throw(full))
    assert cli.main(["bench", "--out", str(out)]) == 1
    said = capsys.readouterr()
    assert bench.report(figures) in said.out and "the disk is full" in said.err
    assert json.loads(out.read_text()) == figures


def test_a_gain_is_the_rate_with_a_trick_against_the_rate_without(monkeypatch):
    def rate(recipe, data, seconds):
        return 30.0 if recipe == RECIPES["sprint"] else 10.0 + 10.0 * recipe.merged

    monkeypatch.setattr(bench, "training_rate", rate)
    data = (torch.zeros(1),)
    monkeypatch.setattr(bench, "bfloat16_is_fast", lambda device: True)
    found = bench.gains(data, pairs=3, seconds=1)
    assert found == {
        name: 3.0 if name == "sibling 1x1 convolutions merged" else 1.5 for name in bench.TRICKS
    }
    monkeypatch.setattr(bench, "bfloat16_is_fast", lambda device: False)
    without = bench.gains(data, pairs=3, seconds=1)
    assert without == {name: gain for name, gain in found.items() if name != "bfloat16"}
    for change in bench.TRICKS.values():  # each is a recipe that exists, and another than sprint
        network = {**RECIPES["sprint"].network, **change.get("network", {})}
        without = dataclasses.replace(RECIPES["sprint"], **{**change, "network": network})
        assert without != RECIPES["sprint"] and build_network(without)


def test_folding_changes_nothing_but_the_speed():
    row = bench.inference(1, 1, torch.device("cpu"))
    assert 0 < row["difference"] < 1e-4
    assert min(row[f"{name}_images_per_s"] for name in ("as_read", "folded", "torchvision")) > 0

"""Notebook 13: the stopwatch, recorded figures of speed and accuracy, and their pictures."""

import json
import math
import statistics
import time
from collections.abc import Callable

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from gnet_utils.base import ROOT
from gnet_utils.experiments import recorded
from gnet_utils.plotting import COLOURS
from gnet_utils.runs import History

TUTORIAL_ACCURACY = 88.9  # percent, median of 120 published runs


def pictures_per_second(step: Callable[[], object], pictures: int, repeats: int = 5) -> float:
    """Pictures per second of `step`, which trains on so many pictures: by the median step."""
    step()  # fills memory and chooses algorithms
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    return pictures / statistics.median(seconds)


def bench() -> dict:
    """The recorded figures of speed: data/bench.json."""
    return json.loads((ROOT / "data" / "bench.json").read_text(encoding="utf-8"))


def on_a_gpu() -> str:
    """What `bench --gpu` recorded in data/gpu.json of the way to 94%, in a sentence."""
    path = ROOT / "data" / "gpu.json"
    if not path.is_file():
        return "on a GPU: not measured"
    figures = json.loads(path.read_text(encoding="utf-8"))
    runs = figures["seconds"]["94"]["runs"]
    seconds, reached = (
        statistics.mean(run[name] for run in runs) for name in ("seconds", "test_accuracy")
    )
    card = figures["machine"]["name"]
    return (
        f"recorded on a GPU, {card}: {100 * reached:.2f}% after {seconds:.1f} s ({len(runs)} runs)"
    )


def race(figures: dict) -> Figure:
    """Test accuracy against seconds of training: the tutorials' recipe and three of the course."""
    yardstick = statistics.median(
        found["yardstick_images_per_s"] for found in figures["recipes"].values()
    )
    points = {"tutorials": (600_000 / yardstick, TUTORIAL_ACCURACY)}
    for name in ("sprint", "five_minutes", "hour"):
        logs = (ROOT / "data" / "runs").glob(f"{name}-seed*.json")
        reached = statistics.mean(History.load(log).results["test_accuracy"] for log in logs)
        points[name] = figures["recipes"][name]["seconds"], 100 * reached
    figure, ax = plt.subplots(figsize=(7.2, 2.9))
    for name, (seconds, reached) in points.items():
        ax.scatter(seconds, reached, s=60, color=COLOURS["red" if name == "tutorials" else "blue"])
        text = f"  {name}, {_spoken(seconds)}"
        ax.annotate(text, (seconds, reached), va="center")
    ax.set(xscale="log", xlim=(10, 22_000), ylim=(88, 96.5))
    ax.set(xlabel="seconds of training", ylabel="test accuracy (%)")
    ax.set_title("The same accuracy, hundreds of times sooner")
    return figure


def _spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} minutes"


def gains(live: dict[str, float], figures: dict) -> Figure:
    """How many times faster each trick makes a step: recorded as bars, measured here as dots."""
    names = list(live)[::-1]
    rows = [name.partition(",")[0] for name in names]
    figure, ax = plt.subplots(figsize=(7.2, 3.2))
    widths = [figures[name] - 1 for name in names]
    ax.barh(rows, widths, left=1, color=COLOURS["sky"], label="recorded")
    ax.plot([live[name] for name in names], rows, "o", color=COLOURS["red"], label="this machine")
    ax.axvline(1, color=COLOURS["gray"], lw=1)
    ax.set(xlabel="times faster with the trick than without")
    ax.legend(loc="lower right")
    title = "Recorded: one trick saves more than all others together"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def prices(experiment: str = "tricks", base: str = "sprint") -> dict[str, dict]:
    """What each run of an experiment reached: accuracies in percent, one for each seed.

    Also the mean, its difference to the run `base` in points, and the standard error of that, from
    the spread of all runs together (but "constant_rate"): three seeds tell little about theirs.
    """
    found = {}
    for name, same in recorded(experiment).items():
        reached = [100 * run["validation_accuracy"] for run in same]
        seconds = statistics.mean(run["processor_seconds"] for run in same)
        found[name] = {"accuracies": reached, "mean": statistics.mean(reached), "seconds": seconds}
    wild = found.pop("constant_rate", None)  # its runs differ several times as much
    away = [value - one["mean"] for one in found.values() for value in one["accuracies"]]
    common = sum(value**2 for value in away) / (len(away) - len(found))
    if wild:
        found["constant_rate"] = wild
    for one in found.values():
        variance = statistics.variance(one["accuracies"]) if one is wild else common
        squared = variance / len(one["accuracies"]) + common / len(found[base]["accuracies"])
        one["error"], one["difference"] = math.sqrt(squared), one["mean"] - found[base]["mean"]
    return found


def price_dots(found: dict[str, dict], words: dict[str, str]) -> Figure:
    """Validation accuracy of each run, a row for each trick that was taken back.

    A mean more than 8 points away is written at the edge.
    """
    names = list(words)[::-1]
    base = found["sprint"]["mean"]
    figure, ax = plt.subplots(figsize=(7.2, 2.9))
    ax.axvline(base, color=COLOURS["gray"], lw=1, ls="--")
    near = [name for name in names if found[name]["mean"] > base - 8]
    for row, name in enumerate(names):
        one, colour = found[name], COLOURS["gray" if name == "sprint" else "blue"]
        if name in near:
            ax.plot(one["accuracies"], [row] * len(one["accuracies"]), "o", color=colour, alpha=0.6)
            ax.plot([one["mean"]], [row], "|", ms=18, mew=2, color=colour)
        else:
            place = (0.01, row)
            ax.text(*place, f"← {one['mean']:.1f}", transform=ax.get_yaxis_transform(), va="center")
    ax.set_yticks(range(len(names)), [words[name] for name in names])
    ax.set(ylim=(-0.6, len(names) - 0.4))
    ax.set(xlabel="validation accuracy (%): dots are seeds, lines their mean")
    ax.set_title("A constant rate and SGD cost most")
    return figure


def circles(orthogonal: Callable[[Tensor, int], Tensor], matrix: Tensor) -> Figure:
    """What a 2x2 matrix makes of the unit circle, after 0 to 3 rounds of `orthogonal`."""
    angle = torch.linspace(0, 2 * math.pi, 200)
    circle = torch.stack([angle.cos(), angle.sin()])
    directions = torch.linalg.svd(matrix)[2]  # those that become the half axes
    figure, axes = plt.subplots(1, 4, figsize=(7.4, 2.6), sharey=True)
    for steps, ax in enumerate(axes):
        update = orthogonal(matrix, steps)
        ax.plot(*circle, color=COLOURS["gray"], lw=1, ls="--")
        ax.plot(*(update @ circle), color=COLOURS["blue"], lw=2)
        for direction, colour in zip(directions, ("red", "ink"), strict=True):
            ax.plot(*zip((0, 0), (update @ direction).tolist(), strict=True), color=COLOURS[colour])
        ax.set(aspect="equal", xlim=(-1.35, 1.35), ylim=(-1.35, 1.35), xticks=[-1, 0, 1])
        values = torch.linalg.svdvals(update)
        ax.set_title(f"{values[0]:.2f} and {values[1]:.2f}", loc="center", fontsize=10)
        ax.set_xlabel("divided only" if steps == 0 else f"{steps} round{'s' * (steps > 1)}")
    title = "Three rounds make nearly a circle of a flat ellipse; numbers are its half axes"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def stretches(before: Tensor, after: Tensor) -> Figure:
    """Singular values of a gradient, as shares of its norm, and of what Muon makes of it."""
    figure, ax = plt.subplots(figsize=(7.2, 2.8))
    for matrix, colour, name in (
        (before / before.norm(), "gray", "the gradient, divided by its norm"),
        (after, "blue", "after three rounds"),
    ):
        values = torch.linalg.svdvals(matrix)
        ax.plot(range(1, len(values) + 1), values, ".-", color=COLOURS[colour], label=name)
    ax.set(xlabel="direction, from the largest down", ylabel="singular value", ylim=(0, 1.35))
    ax.legend(loc=(0.05, 0.42))
    ax.set_title("Muon steps along nearly all directions alike")
    return figure


def bargains(found: dict[str, dict], figures: dict, pairs: dict[str, tuple[str, str]]) -> Figure:
    """Each trick: times faster against points of accuracy that it brings.

    pairs: run of the experiment -> its trick in the benchmark, and its label. A run that was not
    made is left out; "" stands for what changes results by rounding only: a hollow dot.
    """
    figure, ax = plt.subplots(figsize=(7.2, 3.4))
    ax.axhline(0, color=COLOURS["gray"], lw=1)
    ax.axvline(1, color=COLOURS["gray"], lw=1)
    for run, (trick, label) in pairs.items():
        if not run:
            ax.plot(figures[trick], 0, "o", color=COLOURS["blue"], mfc="white")
            place, label = (figures[trick], 0), f"{label}:\nrounding only, not run"
        elif run in found:
            one = found[run]
            place = figures[trick], -one["difference"]
            ax.errorbar(*place, one["error"], fmt="o", color=COLOURS["blue"], capsize=3)
        else:
            continue
        under = run in ("any_width", "pool_first")  # others stand close above these
        offset, at = ((-6, -8), "top") if under else ((7, 5), "bottom")
        spot = (place[0], 0) if under else place
        ax.annotate(label, spot, offset, textcoords="offset points", va=at)
    ax.set(xlabel="times faster", ylabel="points of accuracy", xlim=(0.85, 1.75), ylim=(-0.7, 4.1))
    ax.set_title("Most tricks bring time; Muon costs time and brings points")
    return figure

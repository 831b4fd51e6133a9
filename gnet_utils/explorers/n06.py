"""Explorer of notebook 06: the recorded runs of nets with and without heads, replayed."""

import math
from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gnet_utils.experiments import recorded
from gnet_utils.explorers import draw_band, running_mean
from gnet_utils.plotting import COLOURS

NET_LOOKS = {  # name in the records -> (what it is, colour), the same everywhere in notebook 06
    "plain": ("neither", COLOURS["gray"]),
    "heads": ("heads", COLOURS["orange"]),
    "norm": ("batch norm", COLOURS["blue"]),
    "both": ("heads and batch norm", COLOURS["green"]),
}
# A net with heads is drawn as a thin line on the thick one of the same net without, often alike.
LINES = {"plain": 3.6, "norm": 3.6, "heads": 1.4, "both": 1.4}
ALPHAS = {"plain": 0.6, "norm": 0.6, "heads": 1.0, "both": 1.0}
START_TITLES = {
    "tutorial": "tutorials' Glorot",
    "default": "PyTorch's default",
    "kaiming": "Kaiming",
}


@cache
def head_runs() -> dict[str, list[dict]]:
    """The recorded runs of `gnet_utils.experiments.heads`, read once."""
    return recorded("heads")


def plateau_steps(losses: list[float]) -> int:
    """How many steps pass until the running mean falls below 2.2; all of them if it never does.

    2.303 = ln 10 is the loss of even guessing among ten classes.
    """
    below = np.flatnonzero(running_mean(losses) < 2.2)
    return int(below[0]) if len(below) else len(losses)


def draw_last_loss(ax: Axes, name: str, net: str) -> None:
    """Mean loss of the last head over the seeds of run `name`; a band from lowest to highest."""
    curves = np.array([running_mean(run["loss"]) for run in head_runs()[name]])
    label, colour = NET_LOOKS[net]
    look = {"color": colour, "lw": LINES[net], "alpha": ALPHAS[net], "label": label}
    draw_band(ax, np.arange(curves.shape[1]), curves, curves.mean(0), **look)


def stage_norms(name: str, step: int, part: str = "all") -> dict[str, float]:
    """Gradient norm of each stage of the body, the geometric mean over the seeds.

    part: "all" losses as they are weighted, or the "last" head's alone.
    """
    records = [run["gradients"][str(step)][part] for run in head_runs()[name]]
    return {
        stage.removeprefix("inception_"): math.exp(
            sum(math.log(max(record[stage], 1e-12)) for record in records) / len(records)
        )
        for stage in records[0]
        if not stage.startswith("aux")
    }


def replay_heads(net: str = "heads", initialisation: str = "kaiming", step: int = 0) -> Figure:
    """Left the loss of one net, the net with neither in gray; right its gradients at one step."""
    name = f"{net}_{initialisation}"
    figure = Figure(figsize=(7.2, 3.3), dpi=110, layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2)
    left.axhline(math.log(10), color=COLOURS["ink"], lw=1, ls="--")
    left.text(200, math.log(10) + 0.02, "ln 10", ha="right", va="bottom", fontsize=9)
    for each in dict.fromkeys(["plain", net]):
        draw_last_loss(left, f"{each}_{initialisation}", each)
    left.axvline(step, color=COLOURS["ink"], lw=1, ls=":")
    left.set(xlabel="step", ylabel="loss of the last classifier", ylim=(0, None))
    left.legend(loc="lower left", fontsize=9)
    left.set_title(START_TITLES[initialisation], fontsize=10)

    everything, last = stage_norms(name, step), stage_norms(name, step, "last")
    right.semilogy(everything.values(), "o-", color=NET_LOOKS[net][1], label="from all losses")
    right.semilogy(last.values(), "x:", color=COLOURS["ink"], label="from the last loss alone")
    right.set_xticks(range(len(everything)), everything, rotation=60, fontsize=9)
    right.set(ylim=(1e-7, 1e2), ylabel="gradient norm")
    right.legend(loc="lower right", fontsize=9)
    right.set_title(f"after {step} steps", fontsize=10)
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
    return figure

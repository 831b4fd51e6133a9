"""Figures of notebook 06 from the recorded runs of nets with and without heads."""

import math
from statistics import geometric_mean

import numpy as np
from matplotlib.figure import Figure

from gnet_utils.experiments import recorded
from gnet_utils.explorers import draw_band, running_mean
from gnet_utils.plotting import COLOURS

NETS = {  # name in the records -> what it is, and how its lines look
    # A net with heads is a thin line on the thick one of the same net without, often alike.
    "plain": ("neither", {"color": COLOURS["gray"], "lw": 3.6, "alpha": 0.6}),
    "heads": ("heads", {"color": COLOURS["red"], "lw": 1.4, "ls": "--"}),
    "norm": ("batch norm", {"color": COLOURS["blue"], "lw": 3.6, "alpha": 0.6}),
    "both": ("heads and batch norm", {"color": COLOURS["green"], "lw": 1.4, "ls": "--"}),
}
STARTS = {
    "tutorial": "tutorial's Glorot",
    "default": "PyTorch's default",
    "kaiming": "Kaiming",
}


def plateau_steps(losses: list[float]) -> int | None:
    """How many steps pass until the running mean of nine falls below 2.2; None if it never does.

    2.303 = ln 10 is the loss of even guessing among ten classes.
    """
    below = np.flatnonzero(running_mean(losses) < 2.2)
    return int(below[0]) if len(below) else None


def gradients_at_start() -> Figure:
    """Gradient norms of four nets by stage before training, geometric means over the seeds."""
    runs = recorded("heads")
    title = "With batch norm nothing vanishes; without it heads lift what had vanished"
    figure, axes = _panels(title)
    for ax, start in zip(axes, STARTS, strict=True):
        for net, (_, look) in NETS.items():
            found = [run["gradients"] for run in runs[f"{net}_{start}"]]
            stages = [stage for stage in found[0] if not stage.startswith("aux")]
            ax.semilogy([geometric_mean(n[s] for n in found) for s in stages], **look)
        names = [stage.removeprefix("inception_") for stage in stages]
        ax.set_xticks(range(len(names)), names, rotation=90, fontsize=9)
    axes[0].set_ylabel("gradient norm, step 0")
    return figure


def losses_by_step() -> Figure:
    """Loss of the last classifier, mean over the seeds, in the band from lowest to highest."""
    runs = recorded("heads")
    figure, axes = _panels("Batch norm starts every net for good; heads do not save a bad start")
    for ax, start in zip(axes, STARTS, strict=True):
        ax.axhline(math.log(10), color=COLOURS["ink"], lw=1, ls="--")
        for net, (_, look) in NETS.items():
            curves = np.array([running_mean(run["loss"]) for run in runs[f"{net}_{start}"]])
            steps = np.arange(curves.shape[1])
            draw_band(ax, steps, curves, curves.mean(0), **look)
        ax.set(xlabel="step", ylim=(0.4, 3.5))
    axes[0].set_ylabel("loss of the last classifier")
    axes[0].text(200, 2.33, "ln 10", ha="right", va="bottom", fontsize=9)
    return figure


def _panels(title: str) -> tuple[Figure, list]:
    """Three panels with the names of the initialisations, and one legend for the four nets."""
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    for ax, start in zip(axes, STARTS.values(), strict=True):
        ax.set_title(start)
    lines = [axes[0].plot([], [], **look)[0] for _, look in NETS.values()]
    names = [name for name, _ in NETS.values()]
    figure.legend(lines, names, loc="outside lower center", ncols=4, fontsize=9)
    return figure, axes

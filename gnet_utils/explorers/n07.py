"""Notebook 07: plain and residual nets of three depths replayed, and a block drawn."""

from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from gnet_utils.experiments import recorded
from gnet_utils.explorers import draw_band, running_mean
from gnet_utils.plotting import COLOURS, counted

KINDS = {"plain": COLOURS["orange"], "residual": COLOURS["blue"]}  # the same all over notebook 07
MOMENTS = 6  # gradients are recorded at so many steps, from the first to the last


@cache
def runs() -> dict[str, list[dict]]:
    """The recorded runs of `gnet_utils.experiments.depth`, read once."""
    return recorded("depth")


def over_seeds(name: str, key: str) -> tuple[float, float]:
    """Mean and standard deviation of the number `key` over the recorded runs called `name`."""
    values = np.array([run[key] for run in runs()[name]])
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else 0.0


def draw_losses(ax: Axes, name: str, label: str, colour: str) -> None:
    """Training loss of run `name`: mean over the seeds, a band from the lowest to the highest."""
    curves = np.array([running_mean(run["loss"], 20) for run in runs()[name]])
    look = {"color": colour, "lw": 1.8, "label": label}
    draw_band(ax, np.arange(curves.shape[1]), curves, curves.mean(0), **look)


def recorded_gradients(name: str, moment: int) -> tuple[int, np.ndarray]:
    """The step of that moment, and the gradient norm of each convolution: (seeds, layers)."""
    found = [run["gradients"][moment] for run in runs()[name]]
    return found[0][0], np.array([norms for _, norms in found])


def draw_gradients(ax: Axes, name: str, moment: int, label: str, colour: str) -> None:
    """Gradient norm of each convolution: geometric mean over the seeds, band of all seeds."""
    _, norms = recorded_gradients(name, moment)
    layers, mean = np.arange(1, norms.shape[1] + 1), np.exp(np.log(norms).mean(0))
    draw_band(ax, layers, norms, mean, color=colour, lw=1.8, label=label)
    ax.set(yscale="log", xlabel="convolution, 1 = next to the picture", ylabel="gradient norm")


def replay(depth: int = 44, moment: int = 0) -> Figure:
    """Left the training losses of the plain and the residual net, right their gradients."""
    figure = Figure(figsize=(7.2, 3.3), dpi=110, layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2)
    for kind, colour in KINDS.items():
        name = f"{kind}_{depth}"
        draw_losses(left, name, f"{kind}-{depth}", colour)
        draw_gradients(right, name, moment, kind, colour)
    step, _ = recorded_gradients(f"plain_{depth}", moment)
    left.axvline(step, color=COLOURS["gray"], ls=":", lw=1.5)
    left.set(xlabel="step", ylabel="training loss", ylim=(0, None))
    left.set_title("Training loss", loc="left", fontsize=11)
    right.set_title(f"Gradients at step {step}", loc="left", fontsize=11)
    right.set_ylim(1e-2, 1e2)
    left.legend(frameon=False)
    right.legend(frameon=False)
    return figure


# The wiring of one block --------------------------------------------------------------------------


def draw_residual(ax: Axes, block: nn.Module, in_channels: int, title: str) -> None:
    """Wiring of a residual block, read from it: convolutions in a row, identity shortcut beside."""
    convs = [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)]
    box = {"boxstyle": "round,pad=0.35", "fc": "white", "ec": COLOURS["blue"], "lw": 2}
    arrow = {"arrowstyle": "-|>", "color": COLOURS["gray"], "lw": 1.5}
    centred = {"ha": "center", "va": "center", "zorder": 3}
    bottom = -len(convs) - 1
    ax.set(xlim=(-1.5, 2.2), ylim=(bottom - 0.9, 0.45), title=title)
    ax.axis("off")
    ax.text(0, 0, f"x: {counted(in_channels, 'channel')}", **centred)
    for row, conv in enumerate(convs, start=1):
        ax.annotate("", (0, -row + 0.25), (0, -row + 0.77), arrowprops=arrow)
        kernel = "x".join(map(str, conv.kernel_size))
        ax.text(0, -row, f"{kernel} conv, {conv.out_channels}", bbox=box, **centred)
        if row < len(convs):
            ax.text(0.12, -row - 0.49, "ReLU", va="center", fontsize=9)
    ax.annotate("", (0, bottom + 0.22), (0, bottom + 0.77), arrowprops=arrow)
    ax.text(0, bottom, "+", bbox={"boxstyle": "circle,pad=0.2", "fc": "white"}, **centred)
    ax.plot([0, 1.55, 1.55], [-0.35, -0.35, bottom], color=COLOURS["red"], lw=2)
    ax.annotate("", (0.22, bottom), (1.55, bottom), arrowprops=arrow | {"color": COLOURS["red"]})
    ax.text(1.65, bottom / 2, "x", color=COLOURS["red"], va="center")
    ax.annotate("", (0, bottom - 0.62), (0, bottom - 0.2), arrowprops=arrow)
    ax.text(0, bottom - 0.75, "ReLU", **centred)

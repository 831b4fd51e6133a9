"""Notebook 07: recorded runs of plain and residual nets, drawn and replayed; blocks and joins."""

from collections.abc import Mapping, Sequence
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from gnet_utils.experiments import recorded
from gnet_utils.experiments.depth import DEPTHS, LONG_PASSES
from gnet_utils.explorers import draw_band, running_mean
from gnet_utils.plotting import BRANCH_COLOURS, COLOURS, counted

KINDS = {"plain": COLOURS["red"], "residual": COLOURS["ink"]}  # the same all over notebook 07
RIVALS = {
    "googlenet": ("GoogLeNet", COLOURS["blue"]),
    "equal_parameters": ("ResNet, equal parameters", COLOURS["gray"]),
    "equal_macs": ("ResNet, equal MACs", COLOURS["ink"]),
}
PAPER = {"plain": (27.94, 28.54), "residual": (27.88, 25.03)}  # top-1 error: 18 and 34 layers
GUESSING = np.log(10)  # loss of ten equal chances
MOMENTS = 6  # gradients are recorded at so many steps, from the first to the last


def paper_errors() -> Figure:
    """Table 2 of the paper: errors of plain and residual nets of 18 and 34 layers."""
    figure, ax = plt.subplots(figsize=(5.6, 3))
    for kind, errors in PAPER.items():
        ax.plot([18, 34], errors, "o-", color=KINDS[kind], label=kind)
        for layers, error in zip((18, 34), errors, strict=True):
            place = (layers, error), (0, 8 if kind == "plain" else -15)
            ax.annotate(f"{error}", *place, textcoords="offset points", ha="center")
    ax.set(xticks=[18, 34], xlim=(15, 37), ylim=(24, 30), xlabel="layers", ylabel="top-1 error (%)")
    ax.set_title("More layers hurt the plain net, not the residual one")
    ax.legend(loc="lower left")
    return figure


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


def live_losses(curves: Mapping[str, Sequence[float]]) -> Figure:
    """Training loss of a plain and a residual net that were trained just now."""
    figure, ax = plt.subplots(figsize=(5.6, 2.8))
    for kind, losses in curves.items():
        ax.plot(running_mean(losses, 5), color=KINDS[kind], label=kind)
    ax.axhline(GUESSING, color=COLOURS["gray"], ls=":", label="guessing, ln 10")
    ax.set(xlabel="step", ylabel="training loss", title=f"Your run: {len(losses)} steps")
    ax.legend()
    return figure


def errors_by_depth() -> Figure:
    """Training pictures wrong after 150 steps against depth, one dot for each seed."""
    figure, ax = plt.subplots(figsize=(5.6, 3))
    for kind, colour in KINDS.items():
        for layers in DEPTHS:
            errors = [run["train_error"] for run in runs()[f"{kind}_{layers}"]]
            ax.plot([layers] * len(errors), errors, "o", color=colour, alpha=0.5)
        means = [over_seeds(f"{kind}_{layers}", "train_error")[0] for layers in DEPTHS]
        ax.plot(DEPTHS, means, color=colour, lw=2, label=kind)
    ax.set(xticks=DEPTHS, ylim=(0, None), xlabel="layers", ylabel="training pictures wrong (%)")
    ax.set_title("After 150 steps depth slows only the plain nets")
    ax.legend(loc="upper left")
    return figure


def long_errors() -> Figure:
    """Share of 5,000 training pictures that is wrong after each pass over all pictures."""
    figure, ax = plt.subplots(figsize=(6.4, 3.5))
    for kind, colour in KINDS.items():
        for layers, style in ((20, "--"), (44, "-")):
            (run,) = runs()[f"long_{kind}_{layers}"]
            errors, label = run["train_errors"], f"{kind}-{layers}"
            ax.plot(range(1, len(errors) + 1), errors, style, color=colour, label=label)
            shift = 3 if (kind, layers) in (("plain", 44), ("residual", 20)) else -3  # apart
            place = {"xytext": (5, shift), "textcoords": "offset points", "va": "center"}
            ax.annotate(f"{errors[-1]:.1f}%", (len(errors), errors[-1]), fontsize=9, **place)
    ax.set(xlabel="passes over all training pictures", ylabel="seen pictures wrong (%)")
    ax.set(xlim=(0, LONG_PASSES + 2), xticks=range(0, LONG_PASSES + 1, 5), ylim=(0, None))
    ax.set_title("The deeper plain net stays behind the shallower one")
    ax.legend()
    return figure


def duel() -> Figure:
    """GoogLeNet and two residual nets: training loss, and test accuracy of each seed."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.4), width_ratios=(3, 2))
    for row, (name, (label, colour)) in enumerate(RIVALS.items()):
        draw_losses(left, name, label, colour)
        values = [run["test_accuracy"] for run in runs()[name]]
        right.plot(values, [row] * len(values), "o", color=colour, alpha=0.7)
        right.plot(over_seeds(name, "test_accuracy")[0], row, "|", color=colour, ms=22, mew=3)
    left.set(xlabel="step", ylabel="training loss", ylim=(0, None))
    left.set_title("The losses lie close together")
    left.legend()
    names = [
        f"{label.removeprefix('ResNet, ')}\n{over_seeds(name, 'processor_seconds')[0]:.0f} s"
        for name, (label, _) in RIVALS.items()
    ]
    right.set(ylim=(2.6, -0.6), xlabel="test accuracy (%)", title="The ResNets lead")
    right.set_yticks(range(len(names)), names)
    return figure


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


def norms_by_layer(curves: Mapping[tuple[str, str], Sequence[float]]) -> Figure:
    """Gradient norm of each convolution by (kind of net, start); dashed: PyTorch's default."""
    figure, ax = plt.subplots(figsize=(7.2, 3.2))
    for (kind, start), norms in curves.items():
        style = "-" if start == "Kaiming" else "--"
        label = f"{kind}, {start}"
        ax.plot(range(1, len(norms) + 1), norms, style, color=KINDS[kind], label=label)
    ax.set(yscale="log", ylabel="gradient norm", xlabel="convolution, 1 = next to the picture")
    ax.set_title("Without batch norm the start decides (step 0)")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def replay(depth: int = 44, moment: int = 0) -> Figure:
    """Left the training losses of the plain and the residual net, right their gradients."""
    figure = Figure(figsize=(7.2, 3.3), dpi=110, layout="none", facecolor="white")
    # places by hand: the automatic layout takes as long as all the rest
    left, right = (figure.add_axes((x, 0.15, 0.4, 0.75)) for x in (0.08, 0.585))
    for kind, colour in KINDS.items():
        name = f"{kind}_{depth}"
        draw_losses(left, name, f"{kind}-{depth}", colour)
        draw_gradients(right, name, moment, kind, colour)
    step, _ = recorded_gradients(f"plain_{depth}", moment)
    left.axvline(step, color=COLOURS["gray"], ls=":", lw=1.5)
    left.set(xlabel="step", ylabel="training loss", ylim=(0, None))
    left.set_title("Training loss", loc="left", fontsize=11)
    right.set_title(f"Gradients at step {step}", loc="left", fontsize=11)
    decades = (0.01, 0.1, 1, 10, 100)  # as plain numbers: powers are set as formulas, and slowly
    right.set(ylim=(1e-2, 1e2), yticks=decades, yticklabels=[f"{n:g}" for n in decades])
    right.minorticks_off()
    left.legend(frameon=False)
    right.legend(frameon=False)
    return figure


# Blocks and joins ---------------------------------------------------------------------------------


def draw_residual(ax: Axes, block: nn.Module, in_channels: int, title: str) -> None:
    """Wiring of a residual block, read from it: convolutions in a row, identity shortcut beside."""
    convs = [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)]
    box = {"boxstyle": "round,pad=0.35", "fc": "white", "ec": COLOURS["gray"], "lw": 2}
    arrow = {"arrowstyle": "-|>", "color": COLOURS["gray"], "lw": 1.5}
    wire = {"color": KINDS["residual"], "lw": 2.5}
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
    ax.plot([0, 1.55, 1.55], [-0.35, -0.35, bottom], **wire)
    ax.annotate("", (0.22, bottom), (1.55, bottom), arrowprops=arrow | wire)
    ax.text(1.65, bottom / 2, "shortcut", rotation=90, va="center")
    ax.annotate("", (0, bottom - 0.62), (0, bottom - 0.2), arrowprops=arrow)
    ax.text(0, bottom - 0.75, "ReLU", **centred)


def draw_blocks(*blocks: tuple[nn.Module, int, str]) -> Figure:
    """Wiring of residual blocks side by side, each a (block, channels that come in, title)."""
    figure, axes = plt.subplots(1, len(blocks), figsize=(3.6 * len(blocks), 3.9), squeeze=False)
    for ax, (block, channels, title) in zip(axes[0], blocks, strict=True):
        draw_residual(ax, block, channels, title)
    return figure


def draw_joins() -> Figure:
    """Three ways to join what is new with what was there: the maps after two steps of each."""
    old, new, newer = "#D9D9D9", COLOURS["sky"], COLOURS["yellow"]
    branches = [(1, colour) for colour in BRANCH_COLOURS.values()]
    panels = {
        "Inception: stack the branches": [branches] * 2,
        "ResNet: add": [[(3, new)], [(3, newer)]],
        "DenseNet: stack onto all before": [
            [(3, old), (1, new)],
            [(3, old), (1, new), (1, newer)],
        ],
    }
    figure, axes = plt.subplots(1, 3, figsize=(7.4, 2.7))
    for ax, (title, steps) in zip(axes, panels.items(), strict=True):
        for row, bars in enumerate([[(3, old)], *steps]):
            left, height = 0, -1.6 * row
            for width, colour in bars:
                place = (left, height), width, 0.8
                ax.add_patch(plt.Rectangle(*place, facecolor=colour, edgecolor="white", lw=1.5))
                left += width
            if title.startswith("ResNet") and row:
                words = "x + F(x)" if row == 1 else "that + its own F"
                ax.text(1.5, height + 0.4, words, ha="center", va="center", fontsize=9)
            if row:
                arrow = {"arrowstyle": "-|>", "color": COLOURS["gray"]}
                ax.annotate("", (1.5, height + 0.85), (1.5, height + 1.55), arrowprops=arrow)
        ax.text(1.5, 0.4, "x", ha="center", va="center", fontsize=9)
        ax.set(xlim=(-0.2, 5.2), ylim=(-3.4, 1))
        ax.set_title(title, fontsize=9.5)
        ax.axis("off")
    return figure

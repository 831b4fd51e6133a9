"""Bottleneck designer: a k x k convolution with and without a 1x1 before it, in four budgets."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from torch import nn

from gnet_utils.counting import measure_ms
from gnet_utils.explorers import page_of
from gnet_utils.plotting import BRANCH_COLOURS, COLOURS

MEASURED_UP_TO = 5e8  # MACs: beyond, old machines take longer than a reader waits

PRESETS = {
    name: dict(zip(("in_channels", "reduce", "out_channels", "kernel_size"), values, strict=True))
    | {"height": size, "width": size}
    for name, values, size in (
        ("3a, 3x3 branch", (192, 96, 128, 3), 28),
        ("3a, 5x5 branch", (192, 16, 32, 5), 28),
        ("does not pay", (64, 96, 64, 3), 28),
        ("two 1x1", (192, 64, 128, 1), 28),
        ("late and wide", (512, 64, 512, 3), 7),
    )
}


class Design(NamedTuple):
    """A bottleneck in_channels -> reduce -> out_channels with a k x k kernel on a map."""

    in_channels: int = 192
    reduce: int = 96
    out_channels: int = 128
    kernel_size: int = 3
    height: int = 28
    width: int = 28

    @property
    def break_even(self) -> float:
        """The reduction, in channels, at which the bottleneck costs as much as the plain layer."""
        area = self.kernel_size**2
        dense = area * self.in_channels * self.out_channels
        return dense / (self.in_channels + area * self.out_channels)


class Cost(NamedTuple):
    """What a layer costs for one picture; no biases, as before batch norm."""

    parameters: int
    macs: int
    activation_bytes: int  # of its output in float32


def bottleneck_designer(**sizes: int) -> Figure:
    """Count and measure the plain layer and the bottleneck, and draw them (see `draw_design`)."""
    design = Design(**sizes)
    return draw_design(design, time_design(design))


def layer_costs(design: Design) -> tuple[Cost, Cost, Cost]:
    """Costs of the plain k x k layer, then of the bottleneck's 1x1 and of its k x k."""
    c_in, reduce, c_out, k, height, width = design

    def cost(a: int, b: int, kernel: int) -> Cost:
        weights, places = kernel**2 * a * b, height * width
        return Cost(weights, weights * places, 4 * b * places)

    return cost(c_in, c_out, k), cost(c_in, reduce, 1), cost(reduce, c_out, k)


def build(design: Design) -> tuple[nn.Module, nn.Module]:
    """The plain layer and the bottleneck as modules with random weights, both ending in a ReLU."""
    c_in, reduce, c_out, k, *_ = design
    same = {"padding": k // 2, "bias": False}
    plain = nn.Sequential(nn.Conv2d(c_in, c_out, k, **same), nn.ReLU())
    bottleneck = nn.Sequential(
        nn.Conv2d(c_in, reduce, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(reduce, c_out, k, **same),
        nn.ReLU(),
    )
    return plain, bottleneck


Times = tuple[tuple[float, float, float], ...]  # low, median, high of plain layer and bottleneck


def time_design(design: Design) -> Times | None:
    """Milliseconds of plain layer and bottleneck on one picture; None when that takes too long."""
    plain, first, second = layer_costs(design)
    if max(plain.macs, first.macs + second.macs) > MEASURED_UP_TO:
        return None
    shape = (1, design.in_channels, design.height, design.width)
    with torch.random.fork_rng(devices=[]):  # a slider must not change the cells' random numbers
        modules = build(design)
    return tuple(measure_ms(module, shape, seconds=0.02) for module in modules)


def pytorch_line(design: Design) -> str:
    """The bottleneck as one line of PyTorch, to copy."""
    c_in, reduce, c_out, k, *_ = design
    padding = f", padding={k // 2}" if k > 1 else ""
    return (
        f"nn.Sequential(nn.Conv2d({c_in}, {reduce}, 1, bias=False), nn.ReLU(), "
        f"nn.Conv2d({reduce}, {c_out}, {k}{padding}, bias=False), nn.ReLU())"
    )


def draw_design(design: Design, milliseconds: Times | None = None) -> Figure:
    """Bars for parameters, MACs, activations and time; the break-even line.

    `milliseconds` are the measured times of the plain layer and of the bottleneck.
    """
    plain, first, second = layer_costs(design)
    figure = Figure(figsize=(7.2, 4.3), dpi=110, facecolor="white", layout="none")
    page, k = page_of(figure), design.kernel_size
    names = "parameters", "MACs (millions)", "activations (KiB)"
    for i, (name, unit) in enumerate(zip(names, (1, 1e6, 1024), strict=True)):
        bottleneck = [(first[i] / unit, BRANCH_COLOURS["1x1"]), (second[i] / unit, _colour(k))]
        _panel(page, i, name, [[(plain[i] / unit, _colour(k))], bottleneck])
    _times(page, milliseconds)

    c_in, reduce, c_out, _, height, width = design
    route = f"{c_in} → {reduce} → {c_out}, {k}x{k}, on {height}x{width}"
    page.text(0.22, 4.17, route, fontsize=12, va="center")
    legend = (4.54, BRANCH_COLOURS["1x1"], "the 1x1 before"), (6.26, _colour(k), f"the {k}x{k}")
    for x, colour, name in legend:
        page.text(x, 4.17, name, fontsize=10, va="center")
        page.add_artist(Rectangle((x - 0.21, 4.1), 0.14, 0.14, color=colour))
    _break_even(page, design)
    return figure


def _colour(kernel_size: int) -> str:
    if kernel_size == 1:  # apart from the reduction, which is a 1x1 too
        return COLOURS["sky"]
    return BRANCH_COLOURS.get(f"{kernel_size}x{kernel_size}", COLOURS["purple"])


def _panel(
    page: Axes, column: int, name: str, stacks: Sequence, errors: Sequence = ((0, 0), (0, 0))
) -> None:
    """Two bars, each a stack of (height, colour): title, numbers above, what they are below.

    errors: for each bar the low and the high end of its error bar; 0 and 0 is none.
    """
    left, bottom, places = 0.22 + 1.764 * column, 2.4, (0.38, 1.12)
    values = [sum(height for height, _ in stack) for stack in stacks]
    unit = 1.05 / max(*values, *(high for _, high in errors))
    change = values[1] / values[0] - 1
    page.text(left, bottom + 1.28, f"{name}\n{change:+.0%}", fontsize=10)
    page.plot([left, left + 1.48], [bottom, bottom], color="black", lw=0.8)
    look = {"ha": "center", "fontsize": 9}
    words = "plain", "bottleneck"
    for place, word, value, stack, (low, high) in zip(
        places, words, values, stacks, errors, strict=True
    ):
        x, base = left + place, bottom
        for height, colour in stack:
            page.add_artist(Rectangle((x - 0.26, base), 0.52, unit * height, color=colour, lw=0))
            base += unit * height
        if high:
            ends = bottom + unit * low, bottom + unit * high
            page.plot([x, x], ends, "_-", color="black", lw=1.5, ms=8)
        digits = 0 if value >= 1000 else 1 if value >= 10 else 2
        text = f"{value:,.{0 if value == int(value) else digits}f}"
        page.text(x, bottom + unit * max(value, high) + 0.03, text, **look)
        page.text(x, bottom - 0.06, word, va="top", **look)


def _times(page: Axes, milliseconds: Times | None) -> None:
    if milliseconds is None:
        text = f"time not measured:\nover {MEASURED_UP_TO / 1e9:g} GMACs,\nor no kernel"
        page.text(6.25, 3.0, text, ha="center", va="center", fontsize=9)
        return
    stacks = [[(median, COLOURS["gray"])] for _, median, _ in milliseconds]
    errors = [(low, high) for low, _, high in milliseconds]
    _panel(page, 3, "milliseconds here", stacks, errors)


def _break_even(page: Axes, design: Design) -> None:
    left, bottom, width, height = 0.65, 0.5, 6.3, 1.16
    limit, ink = design.break_even, COLOURS["ink"]
    end = max(1.25 * limit, 1.1 * design.reduce)
    top = 1.08 * end / limit

    def x(channels: float) -> float:
        return left + width * channels / end

    def y(cost: float) -> float:
        return bottom + height * cost / top

    pays = (left, bottom), x(limit) - left, height
    page.add_artist(Rectangle(*pays, color=COLOURS["green"], alpha=0.1, lw=0))
    page.plot([left, left, left + width], [bottom + height, bottom, bottom], color=ink, lw=0.8)
    page.plot([x(0), x(end)], [y(0), y(end / limit)], color=ink)
    page.plot([left, left + width], [y(1), y(1)], color=COLOURS["gray"], lw=1)
    page.plot([x(limit), x(limit)], [bottom, bottom + height], color=COLOURS["red"], ls="--")
    page.plot(x(design.reduce), y(design.reduce / limit), "o", ms=9, color=COLOURS["blue"])
    round_steps = [1, 2, 5, 10]
    for tick in MaxNLocator(5, steps=round_steps).tick_values(0, end):
        if tick <= end:
            page.text(x(tick), bottom - 0.06, f"{tick:g}", ha="center", va="top", fontsize=9)
    for tick in MaxNLocator(3, steps=round_steps).tick_values(0, top):
        if tick <= top:
            page.text(left - 0.06, y(tick), f"{tick:g}", ha="right", va="center", fontsize=9)
    look = {"ha": "center", "va": "center", "fontsize": 9}
    page.text(0.2, bottom + height / 2, "cost / plain", rotation=90, **look)
    page.text(left + width / 2, 0.17, "channels between the two convolutions (reduce)", **look)
    verdict = "pays" if design.reduce < limit else "does not pay"
    title = f"Break-even at {limit:.1f} channels: {design.reduce} {verdict}"
    page.text(left, bottom + height + 0.08, title, fontsize=10)


def draw_profile(
    ax: Axes,
    channels: Sequence[int],
    layers: Sequence[tuple[str, int | None]],
    title: str,
    top: int,
) -> None:
    """The shape of a chain of layers: a bar as tall as each map has channels, layers between.

    channels: at the input and after each layer; layers: (kernel such as "3x3", its weights, or
    None to keep them back); top: channels at the upper edge, one scale for several drawings.
    """
    for x, (kernel, weights) in enumerate(layers):
        left, right = channels[x] / 2, channels[x + 1] / 2
        colour = BRANCH_COLOURS.get(kernel.split()[0], COLOURS["gray"])
        ax.fill([x, x + 1, x + 1, x], [left, right, -right, -left], color=colour, alpha=0.45, lw=0)
        label = kernel
        if weights is not None:
            label += f"\n{weights / 1e6:.2f} M" if weights >= 1e6 else f"\n{weights:,}"
        ax.text(x + 0.5, 0, label, ha="center", va="center", fontsize=9)
    for x, count in enumerate(channels):
        ax.plot([x, x], [-count / 2, count / 2], color=COLOURS["ink"], lw=3)
        ax.text(x, count / 2 + 0.03 * top, str(count), ha="center", va="bottom", fontsize=9)
    ax.set(xlim=(-0.25, len(layers) + 0.25), ylim=(-0.52 * top, 0.62 * top))
    ax.set_title(title, fontsize=10, loc="center")
    ax.axis("off")

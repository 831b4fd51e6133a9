"""Block builder of notebook 03: switches and widths of an Inception block -> what it costs.

Also the drawing of any block, `draw_block`, and the squares that three windows look for.
"""

from collections.abc import Callable
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon, Rectangle
from torch import Tensor, nn

from gnet_utils.counting import count_parameters, layer_table
from gnet_utils.explorers import Place, page_of
from gnet_utils.models import GOOGLENET_BLOCKS, BlockWidths, Inception, NaiveInception
from gnet_utils.plotting import BRANCH_COLOURS, BRANCHES, COLOURS, counted

BOX = 0.68  # height of a box in the drawing of a block, where branches lie 1 apart
SWITCHES = {f"use_{name}": True for name in BRANCHES} | {"reductions": True}


def _preset(name: str, in_channels: int, map_size: int, **changes: bool) -> dict[str, int | bool]:
    """The controls of a block of GoogLeNet, all branches on but for `changes`."""
    widths = GOOGLENET_BLOCKS[name]._asdict()
    return {"in_channels": in_channels, "map_size": map_size} | widths | SWITCHES | changes


PRESETS = {
    "block 3a": _preset("3a", 192, 28),
    "naive 3a": _preset("3a", 192, 28, reductions=False),
    "3a without 5x5": _preset("3a", 192, 28, use_5x5=False),
    "block 4d": _preset("4d", 512, 14),
    "block 5b": _preset("5b", 832, 7),
}


def nine_blocks(build: Callable[[int, BlockWidths], nn.Module]) -> list[tuple[int, int]]:
    """(channels out, MACs) of each of GoogLeNet's blocks, 3a to 5b, on its map size.

    build: makes the block that reads so many channels, with the widths of a row of Table 1.
    """
    channels, found = 192, []
    for name, widths in GOOGLENET_BLOCKS.items():
        size = {"3": 28, "4": 14, "5": 7}[name[0]]
        block = build(channels, widths)
        macs = sum(row.macs for row in layer_table(block, (1, channels, size, size)))
        channels = block(torch.zeros(1, channels, 1, 1)).shape[1]
        found.append((channels, macs))
    return found


class BranchCost(NamedTuple):
    """What one branch adds and costs, for one picture."""

    channels: int
    parameters: int  # weights and biases
    macs: int


def block_builder(
    in_channels: int = 192,
    map_size: int = 28,
    out_1x1: int = 64,
    reduce_3x3: int = 96,
    out_3x3: int = 128,
    reduce_5x5: int = 16,
    out_5x5: int = 32,
    pool_proj: int = 32,
    use_1x1: bool = True,
    use_3x3: bool = True,
    use_5x5: bool = True,
    use_pool: bool = True,
    reductions: bool = True,
) -> Figure:
    """Drawing of the block, above it its totals, below it the share of each branch.

    Without `reductions` the block is the naive one: the two reduce widths and the pool projection
    do nothing. Raises ValueError for no branch.
    """
    widths = (out_1x1, reduce_3x3, out_3x3, reduce_5x5, out_5x5, pool_proj)
    switches = zip(BRANCHES, (use_1x1, use_3x3, use_5x5, use_pool), strict=True)
    block = build_block(in_channels, widths, [name for name, on in switches if on], reductions)
    costs = branch_costs(block, in_channels, map_size)
    total = BranchCost(*map(sum, zip(*costs.values(), strict=True)))

    figure = Figure(figsize=(7.2, 4.7), dpi=110, layout="none", facecolor="white")
    drawing = figure.add_axes((0.02, 0.36, 0.96, 0.57))  # fixed places: a layout engine is slow
    draw_block(block, in_channels, drawing)
    drawing.set_title(
        f"{counted(total.channels, 'channel')} out, {counted(total.parameters, 'parameter')}, "
        f"{total.macs / 1e6:,.1f} M MACs on {map_size}x{map_size}",
        loc="left",
        fontsize=11,
    )
    draw_shares(page_of(figure), (1.3, 0.52, 4.9, 1.2), costs, total)
    return figure


def build_block(
    in_channels: int, widths: tuple[int, ...], branches: list[str], reductions: bool
) -> nn.Module:
    """An Inception block with some of its branches, without memory for weights (to be counted).

    `widths` are the six of a table row. Raises ValueError for no branch.
    """
    if not branches:
        raise ValueError("a block needs a branch, got none: switch one on")
    out_1x1, _, out_3x3, _, out_5x5, _ = widths
    with torch.device("meta"):
        if reductions:
            block = Inception(in_channels, *widths)
        else:
            block = NaiveInception(in_channels, out_1x1, out_3x3, out_5x5)
    for name in set(BRANCHES) - set(branches):
        delattr(block, f"branch_{name}")
    return block


def branch_costs(block: nn.Module, in_channels: int, map_size: int) -> dict[str, BranchCost]:
    """Cost of each branch on a map of `map_size` x `map_size`; a bare pool passes its input on."""
    costs = {}
    for name, branch in block.named_children():
        convs = [layer for layer in branch.modules() if isinstance(layer, nn.Conv2d)]
        costs[name.removeprefix("branch_")] = BranchCost(
            convs[-1].out_channels if convs else in_channels,
            count_parameters(branch),
            sum(conv.weight.numel() for conv in convs) * map_size**2,
        )
    return costs


def draw_shares(page: Axes, place: Place, costs: dict[str, BranchCost], total: BranchCost) -> None:
    """Three bars of 100%: how channels, parameters and MACs divide over the branches."""
    start, bottom, width, height = place
    rows, lefts = [bottom + height * (0.5 + row) / 3 for row in (2, 1, 0)], [start] * 3
    narrow = [[] for _ in rows]  # what finds no room in its bar stands at the end
    for name, cost in costs.items():
        look = {"color": "white" if name == "1x1" else "black", "fontsize": 9, "linespacing": 0.9}
        for row, (y, part, whole) in enumerate(zip(rows, cost, total, strict=True)):
            share = part / max(whole, 1)
            bar = (lefts[row], y - 0.16), width * share, 0.32
            page.add_artist(Rectangle(*bar, fc=BRANCH_COLOURS[name], ec="white"))
            if share >= 0.07:
                middle = lefts[row] + width * share / 2
                page.text(middle, y, f"{name}\n{share:.1%}", ha="center", va="center", **look)
            else:
                narrow[row].append(f"{name} {share:.1%}")
            lefts[row] += width * share
    for y, names, label in zip(
        rows, narrow, ("output channels", "parameters", "MACs"), strict=True
    ):
        page.text(
            start + width + 0.05, y, "\n".join(names), va="center", fontsize=9, linespacing=0.9
        )
        page.text(start - 0.06, y, label, ha="right", va="center")
    page.plot([start, start + width], [bottom, bottom], color="black", lw=0.8)
    for share in (0, 0.5, 1):
        page.text(start + share * width, bottom - 0.07, f"{share:.0%}", ha="center", va="top")
    page.text(start + width / 2, bottom - 0.28, "share of each branch", ha="center", va="top")


# The drawing of a block ---------------------------------------------------------------------------


def draw_block(block: nn.Module, in_channels: int | None = None, ax: Axes | None = None) -> Figure:
    """Wiring of an Inception block, read from the module itself: what runs after what, how wide.

    Works for any block whose children are named `branch_...`. The bands are as thick as the
    number of channels they carry. Draws into `ax` when one is given.
    """
    chains = [
        (name.removeprefix("branch_"), _chain(branch)) for name, branch in block.named_children()
    ]
    if in_channels is None:
        in_channels = next(m.in_channels for m in block.modules() if isinstance(m, nn.Conv2d))
    outs = [chain[-1][1] or in_channels for _, chain in chains]
    if ax is None:
        _, ax = plt.subplots(figsize=(7.2, 3.9))
    middle = (len(chains) - 1) / 2
    rows = max(4, len(chains))  # fewer branches do not make larger boxes
    ax.set(xlim=(-0.55, 5.15), ylim=(middle - rows / 2 - 0.12, middle + rows / 2 + 0.12))
    ax.axis("off")

    thickest = max(in_channels, *(c or 0 for _, chain in chains for _, c in chain))
    unit = min(BOX / thickest, (len(chains) - 0.3) / sum(outs))  # height of one channel
    top = middle + unit * sum(outs) / 2
    longest = max(len(chain) for _, chain in chains)
    box = min(1.08, (2.43 - 0.12 * (longest - 1)) / longest)
    columns = (0.96 + box / 2, 3.39 - box / 2)
    for row, ((name, chain), out) in enumerate(zip(chains, outs, strict=True)):
        y = len(chains) - 1 - row
        colour = BRANCH_COLOURS.get(name, COLOURS["gray"])
        xs = np.linspace(*columns, len(chain)) if len(chain) > 1 else columns[:1]
        _band(ax, (0.2, middle), (xs[0] - box / 2, y), unit * in_channels, COLOURS["gray"], 0.18)
        channels = in_channels
        for x, next_x, (label, made) in zip(xs, [*xs[1:], None], chain, strict=True):
            channels = made or channels
            _box(ax, x, y, f"{label}\n{counted(made, 'channel')}" if made else label, colour, box)
            if next_x is not None:
                ends = (x + box / 2, y), (next_x - box / 2, y)
                _band(ax, *ends, unit * channels, colour, 0.45)
        end = (4.35, top - unit * out / 2)
        _band(ax, (xs[-1] + box / 2, y), end, unit * out, colour, 0.45, bend=3.39)
        ax.add_artist(Rectangle((4.35, top - unit * out), 0.2, unit * out, fc=colour, ec="white"))
        ax.text(3.44, y + unit * out / 2 + 0.1, f"{out}", va="bottom", color=COLOURS["ink"])
        top -= unit * out
    corner = 0, middle - unit * in_channels / 2
    ax.add_artist(Rectangle(corner, 0.2, unit * in_channels, color="#BBBBBB"))
    before, after = (counted(n, "channel").replace(" ", "\n") for n in (in_channels, sum(outs)))
    ax.text(-0.05, middle, f"input\n{before}", ha="right", va="center")
    ax.text(4.6, middle, f"concat\n{after}", ha="left", va="center")
    return ax.figure


def _band(ax: Axes, start, end, thickness, colour, alpha, bend: float | None = None) -> None:
    """A band from one (x, y) to another, level until x = `bend`, then a smooth curve."""
    t = np.linspace(0, 1, 40)
    bend = start[0] if bend is None else bend
    x = np.r_[start[0], bend + (end[0] - bend) * t]
    y = np.r_[start[1], start[1] + (end[1] - start[1]) * (3 * t**2 - 2 * t**3)]
    edge = np.r_[x, x[::-1]], np.r_[y - thickness / 2, (y + thickness / 2)[::-1]]
    # add_patch would look for limits, which are set: that takes longer than all the rest
    ax.add_artist(Polygon(np.transpose(edge), color=colour, alpha=alpha, lw=0))


def _chain(branch: nn.Module) -> list[tuple[str, int | None]]:
    """(label, channels out) of each convolution or pool of a branch, in order."""
    steps = []
    for layer in branch.modules():
        if isinstance(layer, nn.Conv2d):
            kernel = "x".join(map(str, layer.kernel_size))
            steps.append((f"{kernel} conv", layer.out_channels))
        elif isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d)):
            kind = "max" if isinstance(layer, nn.MaxPool2d) else "avg"
            steps.append((f"{layer.kernel_size}x{layer.kernel_size} {kind} pool", None))
    return steps


def _box(ax, x: float, y: float, text: str, colour: str, width: float) -> None:
    height = BOX  # of every band at most, so that each band meets its box
    patch = FancyBboxPatch(
        (x - width / 2, y - height / 2),
        width,
        height,
        boxstyle="round,pad=0.02,rounding_size=0.08",
        facecolor="white",
        edgecolor=colour,
        linewidth=2,
        zorder=2,
    )
    ax.add_artist(patch)
    ax.text(x, y, text, ha="center", va="center", fontsize=9, color=COLOURS["ink"], zorder=3)


# The squares of section 1 -------------------------------------------------------------------------


def faint_squares() -> tuple[Tensor, dict[int, Tensor]]:
    """Six squares of each side 1, 3 and 5, of brightness 1 / side, (1, 1, 48, 72).

    With it for each side where the middles of its squares are, (1, 1, 48, 72) of bool.
    """
    picture, middles = torch.zeros(1, 1, 48, 72), {}
    for side, column in ((1, 12), (3, 36), (5, 60)):
        middles[side] = torch.zeros(picture.shape, dtype=torch.bool)
        middles[side][..., 8::16, [column - 5, column + 5]] = True
        grown = nn.functional.max_pool2d(middles[side].float(), side, stride=1, padding=side // 2)
        picture += grown / side
    return picture, middles


def draw_answers(picture: Tensor, answers: dict[int, Tensor], middles: dict[int, Tensor]) -> Figure:
    """The picture and the answers of each window, all on one scale of gray.

    A ring stands around each square to which this window answers more than the others do.
    """
    most = torch.stack(list(answers.values())).amax(0)
    squares = torch.stack(list(middles.values())).any(0)
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.4))
    panels = {"The test picture": picture} | {f"{k}x{k} window": answers[k] for k in answers}
    for ax, (name, panel) in zip(axes.flat, panels.items(), strict=True):
        colour = BRANCH_COLOURS.get(name.partition(" ")[0], "black")
        ax.imshow(panel[0, 0].numpy(), cmap="gray", vmin=0, vmax=1)
        ax.set(title=name, xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color=colour, linewidth=3)
        if panel is not picture:
            rows, columns = torch.nonzero((squares & (panel == most))[0, 0], as_tuple=True)
            look = {"facecolors": "none", "edgecolors": colour, "linewidths": 2}
            ax.scatter(columns, rows, s=230, **look)
    figure.suptitle("Black 0, white 1. Ring: this window answers more than the other two")
    return figure

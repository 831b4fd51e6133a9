"""Block builder of notebook 03: switches and widths of an Inception block -> what it costs."""

from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from gnet_utils.counting import conv_macs, conv_parameters
from gnet_utils.explorers import draw_branch_bars
from gnet_utils.models import GOOGLENET_BLOCKS, Inception, NaiveInception
from gnet_utils.plotting import BRANCHES, COLOURS, counted, draw_block

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
    shares = figure.add_axes((0.18, 0.11, 0.79, 0.26))
    draw_block(block, in_channels, drawing)
    drawing.set_title(
        f"{counted(total.channels, 'channel')} out, {counted(total.parameters, 'parameter')}, "
        f"{total.macs / 1e6:,.1f} M MACs on {map_size}x{map_size}",
        loc="left",
        fontsize=11,
    )
    draw_shares(shares, costs, total)
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
        shapes = [(conv.in_channels, conv.out_channels, conv.kernel_size[0]) for conv in convs]
        costs[name.removeprefix("branch_")] = BranchCost(
            convs[-1].out_channels if convs else in_channels,
            sum(conv_parameters(*shape) for shape in shapes),
            sum(conv_macs(*shape, map_size, map_size) for shape in shapes),
        )
    return costs


def draw_shares(ax: Axes, costs: dict[str, BranchCost], total: BranchCost) -> None:
    """Three bars of 100%: how channels, parameters and MACs divide over the branches."""
    shares = {
        name: [100 * part / max(whole, 1) for part, whole in zip(cost, total, strict=True)]
        for name, cost in costs.items()
    }

    def text(name: str, share: float) -> str:
        return f"{name}\n{share:.0f}%" if share >= 7 else ""  # else there is no room

    labels = ["output channels", "parameters", "MACs"]
    draw_branch_bars(ax, labels, shares, text, fontsize=9, linespacing=0.9)
    ax.set(xlim=(0, 100), xlabel="share of each branch (%)")
    ax.tick_params(axis="y", length=0, labelcolor=COLOURS["ink"])

"""X-ray of notebook 09: a picture -> the four branches' maps in one block, and what each adds.

Also its measurement of what channels answer to (`drawn_probes`, `dealt`, `share_between`), and the
drawings of its results: `draw_table`, `draw_leanings`, `draw_cams`.
"""

from collections.abc import Collection, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from gnet_utils.data import CLASS_NAMES, to_float
from gnet_utils.explorers import Place, odds_bar, page_of, put_odds, put_picture
from gnet_utils.explorers.n05 import as_the_net_sees
from gnet_utils.passes import evaluating, hooked
from gnet_utils.plotting import BRANCH_COLOURS, BRANCHES, COLOURS, counted
from gnet_utils.probing import BLACK, branch_names, enlarge

MAPS = 7  # shown of each branch


def block_names(net: nn.Module) -> list[str]:
    """The blocks of `net` in their order, such as "inception_3a"."""
    return list(dict.fromkeys(name.rpartition(".")[0] for name in branch_names(net)))


def xray(
    net: nn.Module,
    picture: np.ndarray,
    block: str = "inception_3a",
    off: Collection[str] = (),
    everywhere: bool = False,
    title: str = "the picture",
) -> Figure:
    """A picture, the strongest maps of the four branches of `block`, and the ten probabilities.

    picture: uint8, (28, 28) as in the data set, or (H, W, 3) RGB of any size.
    off: branches that give zeros, in this block or, with `everywhere`, in all of them.
    Above each row stands what the branch adds: the probability of the class that the whole net
    gives, with it and without it alone.
    """
    names = [name for name in branch_names(net) if name.startswith(f"{block}.")]
    small = picture if picture.shape == (28, 28) else as_the_net_sees(picture)
    images = to_float(torch.from_numpy(np.ascontiguousarray(small))[None, None])
    zeroed = [n for kind in off for n in branch_names(net, kind) if everywhere or n in names]
    (whole, *alone, now), maps = without(net, images, [[], *([name] for name in names), zeroed])
    best = int(whole.argmax())

    figure = Figure(figsize=(7.2, 4.5), dpi=110, layout="none", facecolor="white")
    page = page_of(figure)
    put_picture(
        page,
        small,
        (0.14, 2.48, 1.95, 1.58),
        f"{title}\nthe net says {CLASS_NAMES[best]}",
        cmap="gray",
    )
    bars = (1.0, 0.45, 1.06, 1.87)
    put_odds(page, bars, now.tolist(), [COLOURS["sky"]] * 10)
    for row, share in enumerate(whole.tolist()):
        page.add_artist(Rectangle(*odds_bar(bars, row, share), fill=False, lw=1))
    page.text(2.1, 0.08, "probability (outline: whole net)", fontsize=9, ha="right")
    for row, (name, odds) in enumerate(zip(names, alone, strict=True)):
        kind = name.rpartition("_")[2]
        text = f"{kind}: {counted(len(maps[name]), 'map')}; without it {CLASS_NAMES[best]} "
        text += f"{whole[best]:.0%} → {odds[best]:.0%}"
        place = (2.38, 3.48 - 1.06 * row, 4.72, 0.6)
        note = "off" if name in zeroed else ""
        left, bottom, _, height = draw_maps(page, place, maps[name], text, note)
        stripe = (left - 0.09, bottom), 0.05, height
        page.add_artist(Rectangle(*stripe, color=BRANCH_COLOURS[kind]))
    return figure


def without(
    net: nn.Module, image: Tensor, groups: Sequence[Sequence[str]]
) -> tuple[Tensor, dict[str, Tensor]]:
    """What `net` says when the modules of a group give zeros, for each of `groups`, in one pass.

    image: (1, 1, 28, 28). Returns the ten probabilities, (len(groups), 10), and what each module
    that a group names gives with the last group.
    """
    found = {}

    def leave_out(name: str, _, output: Tensor) -> Tensor:
        output = output.clone()
        output[[name in group for group in groups]] = 0
        found[name] = output[-1]
        return output

    modules = [(name, net.get_submodule(name)) for name in {n for group in groups for n in group}]
    with evaluating(net), torch.no_grad(), hooked(modules, leave_out):
        return net(image.expand(len(groups), -1, -1, -1)).softmax(1), found


def draw_maps(page: Axes, place: Place, maps: Tensor, title: str, note: str) -> Place:
    """The strongest maps of (C, H, W) in one row, the strongest first; `note` is written over.

    Returns where they lie.
    """
    place = left, bottom, width, height = put_picture(page, strip(maps), place, title, vmin=0)
    middle = left + width / 2, bottom + height / 2
    page.text(*middle, note, color="white", fontsize=12, ha="center", va="center")
    return place


def strip(maps: Tensor) -> np.ndarray:
    """The MAPS maps of (C, H, W) with the largest mean side by side, gaps of NaN between."""
    order = maps.mean((1, 2)).argsort(descending=True)[:MAPS]  # a narrow branch may have fewer
    gap = max(1, maps.shape[1] // 7)
    padded = F.pad(maps[order], (0, gap), value=torch.nan)
    return torch.cat(list(padded), dim=1)[:, :-gap].numpy()


# Measurements -------------------------------------------------------------------------------------


def draw_table(
    tables: Mapping[str, Tensor], rows: Sequence[str], columns: Sequence[str], low: float
):
    """Tables (R, C) below each other, by title, as colours from `low` (dark) to 0 (bright)."""
    height = 0.35 + len(tables) * (0.45 + 0.32 * len(rows))
    figure, axes = plt.subplots(len(tables), 1, figsize=(7.2, height), sharex=True, squeeze=False)
    for ax, (title, table) in zip(axes[:, 0], tables.items(), strict=True):
        ax.imshow(table, cmap="cividis", vmin=low, vmax=0, aspect="auto")
        for (row, column), value in np.ndenumerate(table.numpy()):
            colour = "white" if value < 0.45 * low else "black"
            text = f"{value:.1f}".replace("-0.0", "0.0")
            ax.text(column, row, text, color=colour, fontsize=9, ha="center", va="center")
        ax.set_xticks(range(len(columns)), columns)
        ax.set_yticks(range(len(rows)), rows)
        ax.set_title(title)
        ax.spines[:].set_visible(False)
    return figure


def draw_probes(probes: Mapping[str, Tensor], each: int = 6) -> Figure:
    """The first drawings of every kind, a row for each kind."""
    figure, axes = plt.subplots(len(probes), each, figsize=(7.2, 0.95 * len(probes)))
    for row, (kind, drawings) in zip(axes, probes.items(), strict=True):
        for ax, drawing in zip(row, drawings, strict=False):
            ax.imshow(drawing[0], cmap="gray", vmin=-1, vmax=1)
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(kind, rotation=0, ha="right", va="center")
    title = "In each column: the same place, other form and tone"
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure


def draw_leanings(
    panels: Mapping[str, Tensor], bands: Mapping[str, float], blocks: Sequence[str], headline: str
) -> Figure:
    """How far each branch leans from its block: panels (nets, blocks, branches) by title.

    Small points are single nets, lines their mean; the gray band is +- `bands`, by title.
    """
    rows = -(-len(panels) // 2)
    figure, axes = plt.subplots(
        rows, 2, figsize=(7.4, 2.7 * rows), sharey=True, sharex=True, squeeze=False
    )
    for ax, (title, leaning) in zip(axes.flat, panels.items(), strict=True):
        ax.axhspan(-bands[title], bands[title], color=COLOURS["gray"], alpha=0.25, lw=0)
        for k, kind in enumerate(BRANCHES):
            places = np.arange(len(blocks)) + 0.12 * (k - 1.5)
            for net in leaning[..., k]:
                ax.plot(places, net, ".", color=BRANCH_COLOURS[kind], ms=3, alpha=0.5)
            ax.plot(
                places, leaning[..., k].mean(0), "o-", color=BRANCH_COLOURS[kind], ms=4, label=kind
            )
        ax.set_title(title, fontsize=10)
        ax.set_ylim(-0.35, 0.35)  # the same in every figure: they are compared
        ax.set_xticks(range(len(blocks)), blocks)
    for ax in axes[:, 0]:
        ax.set_ylabel("leaning, branch minus block", fontsize=9)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.suptitle(headline, fontsize=11, x=0.01, ha="left")
    return figure


def draw_cams(
    pictures: Tensor, heats: Mapping[str, Tensor], titles: Sequence[str], headline: str
) -> Figure:
    """Pictures (N, 28, 28) in the first row, below them a row of heat (N, h, w) for each name."""
    figure, axes = plt.subplots(
        1 + len(heats), len(pictures), figsize=(7.2, 1.3 + 1.2 * len(heats))
    )
    for column, title in enumerate(titles):
        for row, heat in enumerate([None, *heats.values()]):
            ax = axes[row, column]
            ax.imshow(pictures[column], cmap="gray")
            if heat is not None:
                shown = enlarge(heat[column : column + 1])[0]
                ax.imshow(shown, cmap="inferno", alpha=0.6, vmin=0)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        axes[0, column].set_title(title, fontsize=9, loc="center")
    for ax, name in zip(axes[:, 0], ["picture", *heats], strict=True):
        ax.set_ylabel(name, fontsize=9)
    figure.suptitle(headline, fontsize=11, x=0.01, ha="left")
    return figure


# What channels answer to --------------------------------------------------------------------------


def drawn_probes(count: int = 24) -> dict[str, Tensor]:
    """Lines and discs on gray, brighter or darker than it by the same amount: (count, 1, 28, 28).

    The gray is 0 after `to_float`, as is the padding, so that no drawing has a frame. The four
    kinds have the same places; lines are 1.5 pixels wide and up to 18 long, discs 10 to 16 wide.
    """
    random = torch.Generator().manual_seed(0)

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, generator=random)

    rows, columns = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    rows, columns, angle, radius = (
        rows - draw(9, 18),
        columns - draw(9, 18),
        draw(0, 3.15),
        draw(5, 8),
    )
    squared = rows.square() + columns.square()
    on_line = (columns * angle.sin() - rows * angle.cos()).abs() < 0.75
    drawings = {"line": on_line & (squared < 9**2), "disc": squared < radius**2}
    return {
        f"{tone} {kind}": sign * -BLACK * drawing[:, None].float()
        for kind, drawing in drawings.items()
        for tone, sign in (("bright", 1), ("dark", -1))
    }


def dealt(groups: Sequence[Tensor]) -> list[Tensor]:
    """The same numbers in groups of the same sizes, dealt at random (PyTorch's generator)."""
    numbers = torch.cat(list(groups))
    order = torch.randperm(len(numbers))
    return list(numbers[order].split([len(group) for group in groups]))


def share_between(groups: Sequence[Tensor]) -> float:
    """The share of the variance of all numbers that lies between the groups: 0 to 1."""
    numbers = torch.cat(list(groups))
    between = sum(len(group) * (group.mean() - numbers.mean()).square() for group in groups)
    return float(between / (numbers - numbers.mean()).square().sum().clamp_min(1e-12))

"""X-ray of notebook 09: a picture -> the four branches' maps in one block, and what each adds."""

from collections.abc import Collection

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from gnet_utils.data import CLASS_NAMES, to_float
from gnet_utils.explorers.n05 import as_the_net_sees
from gnet_utils.plotting import BRANCH_COLOURS, COLOURS, counted
from gnet_utils.probing import ablate, branch_names, feature_maps

BRANCHES = ("1x1", "3x3", "5x5", "pool")
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
    with torch.no_grad():
        whole = feature_maps(net, images)["logits"].softmax(1)[0]
        with ablate(net, zeroed):
            found = feature_maps(net, images, *names)
    best = int(whole.argmax())
    alone = {name: odds_without(net, images, name)[best].item() for name in names}

    # fixed places: a layout engine is slow
    figure = Figure(figsize=(7.2, 4.5), dpi=110, layout="none", facecolor="white")
    left = figure.add_axes((0.02, 0.55, 0.27, 0.35))
    left.imshow(small, cmap="gray", interpolation="nearest")
    left.set_title(f"{title}\nthe net says {CLASS_NAMES[best]}", fontsize=9, loc="left")
    left.axis("off")
    draw_odds(figure.add_axes((0.14, 0.1, 0.15, 0.42)), whole, found["logits"].softmax(1)[0])
    for row, name in enumerate(names):
        kind = name.rpartition("_")[2]
        ax = figure.add_axes((0.33, 0.755 - 0.236 * row, 0.655, 0.175))
        draw_maps(ax, found[name][0], "off" if name in zeroed else "")
        maps = counted(found[name].shape[1], "map")
        text = f"{kind}: {maps}; without it {CLASS_NAMES[best]} "
        ax.set_title(text + f"{whole[best]:.0%} → {alone[name]:.0%}", fontsize=9, loc="left")
        stripe = {"transform": ax.transAxes, "color": BRANCH_COLOURS[kind], "clip_on": False}
        ax.add_patch(Rectangle((-0.018, 0), 0.01, 1, **stripe))
    return figure


def odds_without(net: nn.Module, images: Tensor, name: str) -> Tensor:
    """The ten probabilities of the first picture when the branch `name` gives zeros."""
    with torch.no_grad(), ablate(net, [name]):
        return feature_maps(net, images)["logits"].softmax(1)[0]


def draw_odds(ax: Axes, whole: Tensor, now: Tensor) -> None:
    """Ten bars: hollow for the whole net, filled for the net with the switches as they are."""
    places = range(10)
    ax.barh(places, now.tolist(), color=COLOURS["sky"], label="now")
    ax.barh(places, whole.tolist(), fill=False, edgecolor=COLOURS["ink"], lw=1, label="whole net")
    ax.set_yticks(places, CLASS_NAMES)
    ax.set(xlim=(0, 1.02), xticks=[0, 0.5, 1])
    ax.set_xlabel("probability (outline: whole net)", fontsize=8, loc="right")
    ax.invert_yaxis()
    ax.tick_params(labelsize=8, length=0)
    ax.spines[["top", "right"]].set_visible(False)


def draw_maps(ax: Axes, maps: Tensor, note: str) -> None:
    """The strongest maps of (C, H, W) in one row, the strongest first; `note` is written over."""
    ax.imshow(strip(maps), cmap="viridis", vmin=0, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    if note:
        centred = {"ha": "center", "va": "center", "transform": ax.transAxes}
        ax.text(0.5, 0.5, note, color="white", fontsize=12, **centred)


def strip(maps: Tensor) -> np.ndarray:
    """The MAPS maps of (C, H, W) with the largest mean side by side, gaps of NaN between."""
    order = maps.mean((1, 2)).argsort(descending=True)[:MAPS]
    height, width = maps.shape[1:]
    gap = max(1, height // 7)
    count = len(order)  # a narrow branch may have fewer
    row = np.full((height, count * width + (count - 1) * gap), np.nan, np.float32)
    for place, index in enumerate(order.tolist()):
        start = place * (width + gap)
        row[:, start : start + width] = maps[index].numpy()
    return row

"""Explorers: pure functions from the state of the controls to a Figure, one module a notebook.

The controls give no other values than a function knows, so none of them checks its arguments.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from gnet_utils.plotting import BRANCH_COLOURS


def running_mean(values: Sequence[float], window: int = 9) -> np.ndarray:
    """Mean of the last `window` values at each step, of fewer at the beginning."""
    sums = np.cumsum([0.0, *values])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def draw_band(ax: Axes, places: Sequence, curves: np.ndarray, middle: np.ndarray, **look) -> None:
    """A line `middle` through `curves` (seeds, places), a band from the lowest to the highest.

    look: of the line, as `Axes.plot` takes it, its `color` included.
    """
    band = {"color": look["color"], "alpha": 0.2, "lw": 0}
    ax.fill_between(places, curves.min(0), curves.max(0), **band)
    ax.plot(places, middle, **look)


def draw_branch_bars(
    ax: Axes,
    labels: Sequence[str],
    parts: Mapping[str, Sequence[float]],
    text: Callable[[str, float], str],
    **look,
) -> None:
    """A bar for each of `labels`, from the top down, of one part for each branch.

    parts: branch -> its length in each bar. text(branch, length): what stands in the part.
    look: of that text, as `Axes.text` takes it.
    """
    left = [0.0] * len(labels)
    for name, sizes in parts.items():
        ax.barh(labels, sizes, left=left, color=BRANCH_COLOURS[name], edgecolor="white", label=name)
        ink = "white" if name == "1x1" else "black"
        for row, (start, size) in enumerate(zip(left, sizes, strict=True)):
            if written := text(name, size):
                ax.text(start + size / 2, row, written, ha="center", va="center", color=ink, **look)
        left = [start + size for start, size in zip(left, sizes, strict=True)]
    ax.invert_yaxis()
    ax.spines[["top", "right", "left"]].set_visible(False)

"""Explorers: pure functions from the state of the controls to a Figure, one module a notebook.

The controls give no other values than a function knows, so none of them checks its arguments.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes


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

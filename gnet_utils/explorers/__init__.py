"""Explorers: pure functions from the state of the controls to a Figure, one module a notebook.

The controls give no other values than a function knows, so none of them checks its arguments.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gnet_utils.data import CLASS_NAMES

Place = tuple[float, float, float, float]  # left, bottom, width, height


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


def page_of(figure: Figure) -> Axes:
    """One Axes over the whole figure, in inches from its lower left corner.

    For all pictures together: every Axes more makes the reader wait.
    """
    page = figure.add_axes((0, 0, 1, 1))
    width, height = figure.get_size_inches()
    page.set(xlim=(0, width), ylim=(0, height))
    page.axis("off")
    return page


def put_picture(page: Axes, picture: np.ndarray, place: Place, title: str = "", **look) -> Place:
    """Show a picture (H, W, ...) as large as fits into `place`, in its middle, a title above it.

    look: as `Axes.imshow` takes it. Returns where the picture lies.
    """
    left, bottom, width, height = place
    rows, columns = picture.shape[:2]
    unit = min(width / columns, height / rows)
    across, up = columns * unit, rows * unit
    left, bottom = left + (width - across) / 2, bottom + (height - up) / 2
    page.imshow(picture, extent=(left, left + across, bottom, bottom + up), **look)
    page.text(left, bottom + up + 0.07, title, fontsize=9)
    return left, bottom, across, up


def put_odds(page: Axes, place: Place, odds: Sequence[float], colours: Sequence[str]) -> None:
    """Ten probabilities as bars from the left edge of `place`, the classes named before it."""
    left, bottom, width, height = place
    corner = [left, left, left + width], [bottom + height, bottom, bottom]
    page.plot(*corner, lw=0.8, color="black", zorder=2)
    for row, colour in enumerate(colours):
        (x, y), across, up = odds_bar(place, row, odds[row])
        page.add_artist(Rectangle((x, y), across, up, color=colour, lw=0))
        page.text(x - 0.05, y + up / 2, CLASS_NAMES[row], ha="right", va="center", fontsize=9)
    for share in (0, 0.5, 1):
        look = {"ha": "center", "va": "top", "fontsize": 9}
        page.text(left + share * width, bottom - 0.06, f"{share:g}", **look)


def odds_bar(place: Place, row: int, share: float) -> tuple[tuple[float, float], float, float]:
    """Corner, width and height of a bar of `put_odds`."""
    left, bottom, width, height = place
    step = height / len(CLASS_NAMES)
    return (left, bottom + height - (row + 0.9) * step), share * width, 0.8 * step

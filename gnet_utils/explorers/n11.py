"""Figure of notebook 11: what Table 1 prints, in percent of what is counted."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from gnet_utils.counting import PRINTED
from gnet_utils.plotting import COLOURS

LOW, HIGH = 88, 109  # percent; an arrow at the edge stands for what is lower


def printed() -> dict[str, tuple[str, str]]:
    """Row of Table 1, such as "3a" -> its params and ops as printed."""
    return {name.removeprefix("inception_"): row[-2:] for name, row in PRINTED.items() if row[-1]}


def draw_misfits(ax: Axes, counts: Mapping[str, tuple[int, int]], kilo: int) -> None:
    """Printed params and ops in percent of `counts`, row -> (weights, MACs); a K is `kilo`."""
    series = {"params": ("red", "o", 9, kilo, 0), "ops": ("ink", "s", 5, 1e6, 1)}
    ax.axhline(100, color=COLOURS["gray"], lw=1, zorder=0)
    for label, (colour, marker, size, unit, column) in series.items():
        figures = [float(texts[column][:-1]) * unit for texts in printed().values()]
        percent = [
            100 * figure / pair[column]
            for figure, pair in zip(figures, counts.values(), strict=True)
        ]
        inside = [value if value > LOW else float("nan") for value in percent]
        ax.plot(list(counts), inside, marker, color=COLOURS[colour], label=label, ms=size)
        low = [(place, value) for place, value in enumerate(percent) if value < LOW]
        for place, value in low[:1] if column else []:  # both columns of conv1 lie there
            ax.annotate("", (place, LOW), (place, LOW + 3), arrowprops={"arrowstyle": "->"})
            ax.text(place + 0.2, LOW + 1.5, f"both {value:.0f}%", va="center", fontsize=9)
    ax.set(xlim=(-0.6, len(counts) - 0.4), ylim=(LOW, HIGH), ylabel="printed / counted (%)")
    ax.legend(ncols=2, loc="upper left", bbox_to_anchor=(0.1, 1))

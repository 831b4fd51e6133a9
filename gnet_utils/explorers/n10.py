"""Search viewer of notebook 10: what a search over branch widths tried, and how the widths look."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gnet_utils.experiments import recorded
from gnet_utils.experiments.evolution import STEM, macs_of, out_channels
from gnet_utils.explorers import draw_branch_bars
from gnet_utils.plotting import BRANCHES, COLOURS

OUTPUTS = (0, 2, 4, 5)  # places of the branches' output channels among the six widths of a block
LOOKS = {
    "evolve": ("evolution", COLOURS["red"], "o"),
    "random": ("chance", COLOURS["sky"], "s"),
}
AXES = ("order of trying", "MACs", *(f"MACs in {name} (%)" for name in BRANCHES))


def searches() -> dict[int, dict[str, dict]]:
    """The recorded searches: seed -> {"evolve": run, "random": run}."""
    found = recorded("search")
    pairs = zip(*(found[f"{kind}_400k"] for kind in LOOKS), strict=True)
    return {pair[0]["seed"]: dict(zip(LOOKS, pair, strict=True)) for pair in pairs}


def branch_shares(widths: Sequence[int]) -> dict[str, float]:
    """Percent of the MACs of both blocks that each branch takes, its reduction included."""
    parts = dict.fromkeys(BRANCHES, 0)
    channels, places = STEM, 14 * 14
    for block in (widths[:6], widths[6:]):
        out_1x1, reduce_3x3, out_3x3, reduce_5x5, out_5x5, pool = block
        parts["1x1"] += places * channels * out_1x1
        parts["3x3"] += places * reduce_3x3 * (channels + 9 * out_3x3)
        parts["5x5"] += places * reduce_5x5 * (channels + 25 * out_5x5)
        parts["pool"] += places * channels * pool
        channels, places = out_channels(block), 7 * 7
    return {name: 100 * part / sum(parts.values()) for name, part in parts.items()}


def search_view(
    seed: int = 0,
    kind: str = "evolve",
    candidate: int = 24,
    axis: str = "order of trying",
) -> Figure:
    """All candidates up to one of them as dots, and the output channels of that one as bars.

    kind: "evolve" or "random", the search that `candidate` (1, 2, ...) belongs to.
    axis: what the dots are spread along, one of AXES.
    """
    pair = searches()[seed]
    chosen, hand = pair[kind]["candidates"][candidate - 1], pair[kind]["hand"]

    figure = Figure(figsize=(7.2, 3.7), dpi=110, layout="none", facecolor="white")
    dots = figure.add_axes((0.085, 0.15, 0.42, 0.66))
    bars = figure.add_axes((0.66, 0.15, 0.31, 0.66))
    draw_dots(dots, pair, candidate, axis)
    place = place_of(candidate, chosen, axis)
    dots.plot(place, 100 * chosen["accuracy"], "o", ms=14, mfc="none", mec=COLOURS["ink"], mew=1.8)
    level = 100 * hand["accuracy"]
    dots.axhline(level, color=COLOURS["ink"], ls="--", lw=1.2, zorder=0, label="hand-made")
    dots.legend(
        **{"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 3, "fontsize": 8},
        **{"frameon": False, "handlelength": 1.4, "columnspacing": 1.0, "handletextpad": 0.3},
    )
    draw_widths(bars, {"hand": hand["widths"], "this": chosen["widths"]})
    name = LOOKS[kind][0]
    figure.suptitle(
        f"Candidate {candidate} of {name}: {100 * chosen['accuracy']:.1f}% "
        f"with {macs_of(chosen['widths']):,} MACs\n"
        f"hand-made widths: {100 * hand['accuracy']:.1f}% with {macs_of(hand['widths']):,}",
        x=0.02,
        ha="left",
        fontsize=10.5,
    )
    return figure


def place_of(number: int, candidate: dict, axis: str) -> float:
    """Where a candidate stands along `axis`."""
    if axis == "order of trying":
        return number
    if axis == "MACs":
        return candidate["macs"] / 1000
    return branch_shares(candidate["widths"])[axis.split()[2]]


def draw_dots(ax: Axes, pair: dict[str, dict], last: int, axis: str) -> None:
    """Accuracy of the first `last` candidates of both searches; the best so far as a line."""
    for kind, (name, colour, marker) in LOOKS.items():
        tried = pair[kind]["candidates"]
        places = [place_of(number, c, axis) for number, c in enumerate(tried, start=1)]
        shares = [100 * c["accuracy"] for c in tried]
        ax.plot(
            places[:last], shares[:last], marker, ms=5, color=colour, mec="white", mew=0.5,
            label=name,
        )  # fmt: skip
        if axis == "order of trying":
            best = [max(shares[: n + 1]) for n in range(last)]
            ax.step(places[:last], best, color=colour, lw=1.5, where="post")
    everything = [c["accuracy"] for run in pair.values() for c in run["candidates"]]
    ax.set_ylim(100 * min(everything) - 1, 100 * max(everything) + 1.5)
    if axis == "order of trying":
        ax.set_xlim(0, 25)
    elif axis == "MACs":
        budget = pair["evolve"]["budget"] / 1000
        ax.set_xlim(0.95 * budget, 1.005 * budget)
    else:
        ax.set_xlim(-2, 102)
    ax.set_xlabel("thousand MACs" if axis == "MACs" else axis, fontsize=9)
    ax.set_ylabel("validation accuracy (%)", fontsize=9)
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)


def draw_widths(ax: Axes, nets: dict[str, Sequence[int]]) -> None:
    """Output channels of each branch, stacked: two bars for each net, one for each block."""
    rows = {
        f"block {n + 1}\n{name}": widths[6 * n : 6 * n + 6]
        for n in (0, 1)
        for name, widths in nets.items()
    }
    outputs = {
        name: [block[place] for block in rows.values()]
        for name, place in zip(BRANCHES, OUTPUTS, strict=True)
    }

    def text(_: str, count: float) -> str:
        return str(count) if count >= 4 else ""  # else there is no room

    draw_branch_bars(ax, list(rows), outputs, text, fontsize=8)
    ax.set_xlabel("output channels", fontsize=9)
    ax.tick_params(labelsize=8)
    ax.legend(fontsize=8, ncols=4, loc="lower center", bbox_to_anchor=(0.4, 1.0), frameon=False,
              handlelength=0.8, columnspacing=0.8, handletextpad=0.3)  # fmt: skip
